"""score(): rows of text in, the loss of every target token out. The centre of everything.

Position (i, j) predicts target (i, j): after reading the row's input tokens 1 to j, the model's distribution
is asked for target token j. Both count from 1, as in the book's p_ij.
"""

from collections import defaultdict
from collections.abc import Callable, Sequence

import torch
from jaxtyping import Float, Int
from torch import Tensor

from gptloss import measures
from gptloss.errors import GptlossError
from gptloss.models import LanguageModel
from gptloss.numbers import position_name
from gptloss.scoring import recent
from gptloss.scoring.batch import CHUNK, ScoredBatch, ids_of, logits_by_chunks
from gptloss.scoring.rows import Row, TextOrIds, as_rows, read_row
from gptloss.scoring.states import States, hidden_states

# The likeliest tokens that are kept for every position: 80 bytes.
TOP = 10
# Called with the number of tokens scored so far, and of all.
OnScored = Callable[[int, int], None]
# States and targets to what `measure` gives, and the logits if they are asked for.
Measure = Callable[[Tensor, Tensor, bool], tuple[Tensor, ...]]


def score(
    model: LanguageModel,
    inputs: TextOrIds | Sequence[TextOrIds],
    targets: TextOrIds | Sequence[TextOrIds] | None = None,
    *,
    bos: bool = False,
    stride: int | None = None,
) -> ScoredBatch:
    """Score rows of text or of token ids: the loss of every target token.

    `inputs` is one row or several, each a text or a list of ids. `targets` has a row for each, of the same
    number of tokens; left out, the targets are the inputs shifted by one, so that a row of t tokens has
    t - 1 positions. Rows may differ in length. `bos=True` puts the model's start token in front of every row;
    without targets that lets the first token be predicted too, so a row of t tokens has t positions. With a
    `stride`, a row longer than the context is read in windows of the context that move on by so many tokens: each
    target is scored once, with at least context - stride tokens before it. Raises `GptlossError` for a row that is
    empty, too long or unequal to its target, for a start token that the model does not have, and for a stride that
    is not 1 to the context, with the way out.

    Source: chapter 5.1 of *Build a Large Language Model (From Scratch)*, S. Raschka, 2024.
    """
    input_rows = as_rows(inputs)
    target_rows = [None] * len(input_rows) if targets is None else as_rows(targets)
    if len(input_rows) != len(target_rows):
        raise GptlossError(
            f"There are {len(input_rows)} inputs and {len(target_rows)} targets; give one target for each input."
        )
    pairs = zip(input_rows, target_rows, strict=True)
    rows = [
        read_row(model, i, given, target, bos, slide=stride is not None) for i, (given, target) in enumerate(pairs, 1)
    ]
    return score_rows(model, rows, stride)


def score_rows(
    model: LanguageModel,
    rows: Sequence[Row],
    stride: int | None = None,
    report: OnScored = lambda done, total: None,
    keep_logits: bool = True,
) -> ScoredBatch:
    """Score rows that `read_row` made; `report` hears how many tokens are done, after each forward pass.

    The logits of few positions are kept for a while, see `gptloss.scoring.recent`, unless nobody will look at them.

    Raises `GptlossError` if there is no row, for a stride that is not 1 to the context, and if a loss is no number.
    """
    if not rows:
        raise GptlossError("There is no row to score; give at least one input.")
    limit = model.info.context_length
    if stride is not None and not 1 <= stride <= limit:
        raise GptlossError(f"A stride of {stride:,} leaves out tokens or stands still; use 1 to {limit:,}.")
    parts: dict[int, list[tuple[Tensor, ...]]] = defaultdict(list)
    done, total = 0, sum(len(row.targets) for row in rows)
    short = keep_logits and total <= recent.SHORT
    for run in hidden_states(model, rows, stride):
        for states, columns in zip(run, _scored(model, rows, run, short), strict=True):
            parts[states.row].append(columns)
            done += len(states.hidden)
        report(done, total)
    in_order = [part for i in range(len(rows)) for part in parts[i]]
    whole = [torch.cat(column) for column in zip(*in_order, strict=True)]
    logits = whole.pop() if short else None
    batch = _checked(ScoredBatch(model, tuple(rows), *whole))
    if logits is not None:
        recent.keep(batch.hidden, logits)
    return batch


def _checked(batch: ScoredBatch) -> ScoredBatch:
    """The batch, if all its losses are numbers."""
    bad = (~batch.log_probas.isfinite()).nonzero()
    if not len(bad):
        return batch
    k = int(bad[0])
    raise GptlossError(
        f"{batch.model.info.name} gives {batch.targets[k].label!r}, {position_name(*batch.positions[k])}, the"
        f" log-probability {batch.log_probas[k].item()}, so there is no loss; use another model."
    )


def _scored(
    model: LanguageModel, rows: Sequence[Row], run: Sequence[States], short: bool
) -> list[tuple[Tensor, ...]]:
    """The columns of a batch for each of `run`, and of a `short` text the logits; the head takes them together."""
    lengths = [len(states.hidden) for states in run]
    hidden = torch.cat([states.hidden for states in run])
    ids = ids_of(token for s in run for token in rows[s.row].targets[s.start : s.start + len(s.hidden)])
    elsewhere: Measure | None = getattr(model, "measured", None)  # of a model in another process
    if elsewhere is None:
        chunks = logits_by_chunks(model, hidden)
        measured = [
            (*measure(logits, ids[start : start + CHUNK]), *([logits] if short else [])) for start, logits in chunks
        ]
    else:
        parts = zip(torch.split(hidden, CHUNK), torch.split(ids, CHUNK), strict=True)
        measured = [elsewhere(*part, short) for part in parts]
    columns = [hidden, *(torch.cat(column) for column in zip(*measured, strict=True))]
    return list(zip(*(torch.split(column, lengths) for column in columns), strict=True))


def measure(logits: Float[Tensor, "n v"], ids: Int[Tensor, " n"]) -> tuple[Tensor, ...]:
    """What a batch keeps of n positions: its columns from `logits` to `top_logits`, in their order."""
    normalisers, entropies = measures.normalisers(logits)
    chosen = measures.target_logits(logits, ids)
    values, best = measures.likeliest(logits, TOP)
    return (
        chosen,
        normalisers,
        measures.target_ranks(logits, ids),
        entropies,
        logits.argmax(-1),
        best,
        values,
    )
