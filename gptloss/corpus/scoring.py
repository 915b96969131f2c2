"""The loss of a text of any length: streamed, window by window, in constant memory.

    plan = conventions.plan("rolling", model.info)
    tally = Tally(plan)
    for scored in scored_windows(model, pieces_of(Path("book.txt")), plan):
        tally.add(scored)
    tally.snapshot().loss

The mean is weighted by tokens: a mean of the means of windows or of batches would be another number.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice

import torch
from jaxtyping import Float, Int
from torch import Tensor

from gptloss.corpus.conventions import Plan, Window
from gptloss.corpus.head import log_probas
from gptloss.corpus.stream import Read, TooShortError, reads
from gptloss.errors import GptlossError
from gptloss.models.base import LanguageModel
from gptloss.scoring.states import hidden_together

__all__ = ["ScoredWindow", "TooShortError", "scored_windows"]

# Tokens of the windows that run together: fewer leave the machine idle, more take memory and gain nothing.
TOKENS = 512


@dataclass(frozen=True, eq=False)
class ScoredWindow:
    """A window, its scored targets and ln p of each, in nats; and the words and bytes of those targets.

    A word counts in the first window that scores a part of it.
    """

    window: Window
    ids: Int[Tensor, " t"]
    log_probas: Float[Tensor, " t"]
    words: int
    bytes: int


def scored_windows(model: LanguageModel, pieces: Iterable[str], plan: Plan) -> Iterator[ScoredWindow]:
    """The windows of one text, scored, in order; a few run together.

    The text comes in pieces of any size and is never whole in memory, if its tokenizer allows; its tokens are those
    of the whole. Raises `TooShortError` for a text of which nothing is scored, and `GptlossError` for a probability
    that is 0 or no number.
    """
    for batch in batches(model, pieces, plan):
        yield from score_batch(model, batch)


def batches(model: LanguageModel, pieces: Iterable[str], plan: Plan) -> Iterator[list[Read]]:
    """The windows of a text, as many together as one forward pass takes. Raises `TooShortError`."""
    windows = reads(model, pieces, plan)
    while batch := list(islice(windows, max(1, TOKENS // plan.window))):
        yield batch


def score_batch(model: LanguageModel, batch: Sequence[Read]) -> list[ScoredWindow]:
    """One forward pass. Raises `GptlossError` for a probability that is 0 or no number."""
    return [_checked(model, scored) for scored in with_log_probas(batch, forward(model, batch))]


def with_log_probas(batch: Sequence[Read], log_probas: Float[Tensor, " n"]) -> list[ScoredWindow]:
    """The windows with the log-probabilities of their targets, which are given as one list of n."""
    parts = torch.split(log_probas, [read.window.scored for read in batch])
    return [
        ScoredWindow(read.window, torch.from_numpy(read.targets), part, read.words, read.bytes)
        for read, part in zip(batch, parts, strict=True)
    ]


@torch.no_grad()
def forward(model: LanguageModel, batch: Sequence[Read]) -> Float[Tensor, " n"]:
    """ln p of the targets of all windows, as one list; in float64 if the model computes in it, else in float32."""
    targets = torch.cat([torch.from_numpy(read.targets) for read in batch])
    return log_probas(model, _hidden(model, batch), targets)


def _hidden(model: LanguageModel, batch: Sequence[Read]) -> Float[Tensor, "n d"]:
    """The states that predict the targets."""
    hidden = hidden_together(model, [torch.from_numpy(read.ids) for read in batch])
    return torch.cat([states[-read.window.scored :] for read, states in zip(batch, hidden, strict=True)])


def _checked(model: LanguageModel, scored: ScoredWindow) -> ScoredWindow:
    """The window, if all its losses are numbers."""
    bad = (~scored.log_probas.isfinite()).nonzero()
    if not len(bad):
        return scored
    k = int(bad[0])
    token = model.tokenizer.token(int(scored.ids[k]))
    raise GptlossError(
        f"{model.info.name} gives {token.label!r}, token {scored.window.first + k + 1:,} of what it reads, the"
        f" log-probability {scored.log_probas[k].item()}, so the text has no loss; use another model."
    )
