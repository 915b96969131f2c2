"""Final hidden states of rows: short rows run together, a row longer than the context is read by sliding windows."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby

import torch
from jaxtyping import Float, Int
from torch import Tensor

from gptloss.models.base import LanguageModel
from gptloss.rows import Row

# Rows that run together are padded to the longest; 16 short rows fill the machine.
ROWS_AT_ONCE = 16


@dataclass(frozen=True, eq=False)
class Stretch:
    """The states of some positions in a row: `rows[row]`, from its position `start` on, from 0."""

    row: int
    start: int
    hidden: Float[Tensor, "t d"]


def hidden_states(model: LanguageModel, rows: Sequence[Row], stride: int | None = None) -> Iterator[list[Stretch]]:
    """Every position of every row once: a list of stretches for each forward pass.

    With a stride, a row longer than the model's context is read in windows of it, see `windows`.
    """
    limit = model.info.context_length
    long = [i for i, row in enumerate(rows) if stride is not None and len(_read(row)) > limit]
    for members in _alike(rows, [i for i in range(len(rows)) if i not in set(long)]):
        yield _run(model, rows, members)
    for i in long:
        yield from _slide(model, rows[i], i, stride or limit)


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
    """Rows of like length, a few at a time."""

    def size(i: int) -> int:
        return len(_read(rows[i])).bit_length()

    for _, group in groupby(sorted(members, key=size), key=size):
        alike = list(group)
        for start in range(0, len(alike), ROWS_AT_ONCE):
            yield alike[start : start + ROWS_AT_ONCE]


def _run(model: LanguageModel, rows: Sequence[Row], members: list[int]) -> list[Stretch]:
    """One forward pass. Padding on the right changes nothing before it: the model is causal."""
    padded = torch.nn.utils.rnn.pad_sequence([_read(rows[i]) for i in members], batch_first=True)
    return [
        Stretch(i, 0, states[len(rows[i].before) : len(_read(rows[i]))])
        for i, states in zip(members, model.hidden(padded), strict=True)
    ]


def _slide(model: LanguageModel, row: Row, i: int, stride: int) -> Iterator[list[Stretch]]:
    ids, before = _read(row), len(row.before)
    for start, first, stop in windows(len(ids), model.info.context_length, stride):
        states = model.hidden(ids[None, start:stop])[0, max(first, before) - start :]
        yield [Stretch(i, max(first, before) - before, states)]


def _read(row: Row) -> Int[Tensor, " t"]:
    """What the model reads of a row."""
    return torch.tensor([token.id for token in row.before + row.inputs])
