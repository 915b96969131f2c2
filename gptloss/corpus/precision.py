"""A model in the precision that is asked for, and what a lower one does to the loss."""

from collections.abc import Iterable
from itertools import islice
from typing import Literal, get_args

from gptloss.corpus.conventions import Plan
from gptloss.corpus.scoring import batches, score_batch
from gptloss.corpus.tally import CorpusLoss, Tally
from gptloss.errors import GptlossError
from gptloss.models.base import LanguageModel
from gptloss.models.fast.layers import bfloat16, pack
from gptloss.models.fast.plan import Kernels

Precision = Literal["float32", "float64", "bfloat16"]
PRECISIONS: tuple[Precision, ...] = get_args(Precision)
# Forward passes of about 512 tokens of which the loss is measured in both precisions.
SAMPLE = 8


def in_precision(model: LanguageModel, precision: Precision, kernels: Kernels | None = None) -> LanguageModel:
    """The model as it scores long texts, by these kernels or by those that are quickest here.

    `float32` is the model itself, its matrices brought into the quickest order; `float64` is a model that was loaded
    so; `bfloat16` is a second one, with 16-bit matrices, for averages only. ln p is made of the logits in float32, or
    in float64 of logits in float64. Raises `GptlossError` for a precision that the model cannot have.
    """
    if precision not in PRECISIONS:
        raise GptlossError(f"There is no precision {precision!r}; use {', '.join(PRECISIONS)}.")
    if precision == "bfloat16":
        return bfloat16(model)
    return pack(model, kernels) if precision == "float32" else model


def sample_loss(model: LanguageModel, pieces: Iterable[str], plan: Plan) -> CorpusLoss:
    """The loss of the first windows of a text, a few forward passes: to compare two precisions on."""
    tally = Tally(plan)
    for batch in islice(batches(model, pieces, plan), SAMPLE):
        for scored in score_batch(model, batch):
            tally.add(scored)
    return tally.snapshot()
