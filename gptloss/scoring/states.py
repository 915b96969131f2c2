"""Rows to final hidden states. Short rows run together; sliding windows read a row longer than the context."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby

import torch
from jaxtyping import Float, Int
from torch import Tensor

from gptloss.models.architectures.reader import Recomputed
from gptloss.models.base import LanguageModel
from gptloss.scoring.rows import Row

# A row of more than two pieces is read piece by piece on a cache, which makes the way through it visible.
PIECE = 256
# Rows that run together are padded to the longest. More rows, or more tokens in all, are hardly quicker together, and
# nobody who has stopped waiting can be told between two passes.
ROWS_AT_ONCE, TOKENS_AT_ONCE = 16, 512
# Rows of so few tokens cost the same, whatever their length: the time goes into reading the weights.
TINY = 16


@dataclass(frozen=True, eq=False)
class States:
    """The states of some positions in a row: `rows[row]`, from its position `start` on, from 0."""

    row: int
    start: int
    hidden: Float[Tensor, "t d"]


def hidden_states(model: LanguageModel, rows: Sequence[Row], stride: int | None = None) -> Iterator[list[States]]:
    """Every position of every row once: a list for each forward pass.

    With a stride, a row longer than the model's context is read in windows of it, see `windows`.
    """
    limit = model.info.context_length
    lengths = [len(_read(row)) for row in rows]
    together = [i for i, length in enumerate(lengths) if length <= min(limit, 2 * PIECE)]
    for members in _alike(rows, together):
        yield _run(model, rows, members)
    for i in sorted(set(range(len(rows))) - set(together)):
        yield from _slide(model, rows[i], i, stride or limit) if lengths[i] > limit else _pieces(model, rows[i], i)


def windows(length: int, size: int, stride: int) -> Iterator[tuple[int, int, int]]:
    """(start, first, stop) of each window on `length` positions: start to stop are read, first to stop are new.

    Windows are `size` long and move on by `stride`; the last one ends with the text. So each position is new in
    exactly one window, and has at least `size - stride` before it there, unless the text has fewer.
    """
    first = 0
    while first < length:
        stop = min(length, first + stride if first else size)
        yield max(0, stop - size), first, stop
        first = stop


def _alike(rows: Sequence[Row], members: list[int]) -> Iterator[list[int]]:
    """Rows of like length, as many at a time as are worth it."""

    def size(i: int) -> int:
        return max(TINY, len(_read(rows[i]))).bit_length()

    for _, group in groupby(sorted(members, key=size), key=size):
        alike = list(group)
        longest = max(len(_read(rows[i])) for i in alike)
        at_once = max(1, min(ROWS_AT_ONCE, TOKENS_AT_ONCE // longest))
        for start in range(0, len(alike), at_once):
            yield alike[start : start + at_once]


def _run(model: LanguageModel, rows: Sequence[Row], members: list[int]) -> list[States]:
    hidden = hidden_together(model, [_read(rows[i]) for i in members])
    return [States(i, 0, states[len(rows[i].before) :]) for i, states in zip(members, hidden, strict=True)]


def hidden_together(model: LanguageModel, rows: Sequence[Tensor]) -> list[Tensor]:
    """Final hidden states (t, d) of each row of t ids, from one forward pass if that gives what each gives alone.

    Padding on the right changes nothing before it: the model is causal. Only for a model that says it `moves` the
    length of the longest row does.
    """
    if getattr(model, "moves", False) and len({len(ids) for ids in rows}) > 1:
        return [model.hidden(ids[None])[0] for ids in rows]
    padded = torch.nn.utils.rnn.pad_sequence(list(rows), batch_first=True)
    return [states[: len(ids)] for ids, states in zip(rows, model.hidden(padded), strict=True)]


def _pieces(model: LanguageModel, row: Row, i: int) -> Iterator[list[States]]:
    """The same states as in one pass, within 1e-5; a model without a cache reads the row in one."""
    reader, before, start = model.reader(), len(row.before), 0
    ids = _read(row)
    for piece in torch.split(ids, len(ids) if isinstance(reader, Recomputed) else PIECE):
        skip = max(0, before - start)
        yield [States(i, start + skip - before, reader.read(piece)[skip:])]
        start += len(piece)


def _slide(model: LanguageModel, row: Row, i: int, stride: int) -> Iterator[list[States]]:
    ids, before = _read(row), len(row.before)
    for start, first, stop in windows(len(ids), model.info.context_length, stride):
        states = model.hidden(ids[None, start:stop])[0, max(first, before) - start :]
        yield [States(i, max(first, before) - before, states)]


def _read(row: Row) -> Int[Tensor, " t"]:
    """What the model reads of a row."""
    return torch.tensor([token.id for token in row.before + row.inputs])
