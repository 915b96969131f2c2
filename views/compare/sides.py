"""The sides of a comparison, and the chosen token in each. No side holds a model in memory."""

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from jaxtyping import Float
from torch import Tensor

from gptloss.analysis.alignment import (
    AlignedToken,
    Span,
    aligned_token_at,
    aligned_tokens,
    spans_of_text,
    spans_of_tokens,
    widest,
)
from gptloss.errors import GptlossError
from gptloss.numbers import Units
from gptloss.scoring.batch import ScoredBatch
from gptloss.serving.make_once import MakeOnceCache
from gptloss.serving.models import in_memory
from gptloss.serving.question import Question
from gptloss.serving.readings import reading
from views.compare.controls import colour_of, titled_questions
from views.components.ladder_table import COLUMNS, cached_ladder_data, first_column
from views.visit import session
from views.visit.settings import Settings

# As many columns as a ladder shows: 6 MB under GPT-2.
MOST_LINES = 8


@dataclass(frozen=True)
class UnreadSide:
    """A side before it is read: its number n, its title, what it asks of a model, which of `RUNS` is its colour."""

    n: int
    title: str
    question: Question
    colour: int


@dataclass(frozen=True, eq=False)
class Side(UnreadSide):
    """A side that was read: its scored rows, row i, which is shown, and the chosen token's j there.

    j is None if this side predicts no token in the chosen place.
    """

    batch: ScoredBatch
    i: int
    row: tuple[AlignedToken, ...]
    j: int | None

    @property
    def column(self) -> int:
        """Where the chosen token, or the row's first, stands in the ladder."""
        return self.batch.index(self.i, self.j or 1)


_lines = MakeOnceCache[Tensor](MOST_LINES)


def unread_sides(settings: Settings) -> list[UnreadSide]:
    """The sides to be, in their order."""
    return [
        UnreadSide(n, title, question, colour_of(n, question, settings))
        for n, (title, question) in enumerate(titled_questions(settings))
    ]


def sides(wanted: Sequence[UnreadSide], settings: Settings) -> list[Side]:
    """The sides that have the shown row."""
    found = [(side, batch) for side in wanted if (batch := _scored(side))]
    i = _row_shown([batch for _, batch in found], settings)
    shown = [(side, batch, row) for side, batch in found if (row := aligned_tokens(batch, i))]
    places = _places([row for *_, row in shown], settings)
    return [
        Side(side.n, side.title, side.question, side.colour, batch, i, row, j)
        for (side, batch, row), j in zip(shown, places, strict=True)
    ]


def _scored(side: UnreadSide) -> ScoredBatch | None:
    """Its scored rows; None if no row was scored, or if the model can no longer be loaded."""
    try:
        return reading(side.question).batch
    except GptlossError:
        return None


def _row_shown(batches: Sequence[ScoredBatch], settings: Settings) -> int:
    """The chosen row; the last one if none was chosen, or if the chosen one was not scored."""
    numbers = {row.number for batch in batches for row in batch.rows}
    return settings.spot[0] if settings.spot and settings.spot[0] in numbers else max(numbers, default=1)


def _places(rows: Sequence[tuple[AlignedToken, ...]], settings: Settings) -> list[int | None]:
    """The chosen token's j in each side: where the same text begins; in two texts, the token in the same place."""
    if not rows:
        return []
    j = _first_place(rows, settings)
    if settings.comparing == "texts":
        return [j if j <= len(row) else None for row in rows]
    same = [aligned_token_at(row, rows[0][j - 1].start) for row in rows]
    return [piece.j if piece else None for piece in same]


def _first_place(rows: Sequence[tuple[AlignedToken, ...]], settings: Settings) -> int:
    """The chosen token's j in the first side; if none was chosen, where it and the second differ most."""
    if settings.spot:
        return min(settings.spot[1], len(rows[0]))
    span = widest(spans(rows[0], rows[1], settings)) if len(rows) > 1 else None
    return span.j if span else 1


def spans(one: tuple[AlignedToken, ...], other: tuple[AlignedToken, ...], settings: Settings) -> tuple[Span, ...]:
    """What two sides share, to subtract one's losses from the other's."""
    return (spans_of_tokens if settings.comparing == "texts" else spans_of_text)(one, other)


def ladder(side: Side, units: Units) -> dict[str, Any]:
    """What the ladder shows around the chosen column. Raises `GptlossError` if the model cannot be loaded again."""
    return cached_ladder_data(side.question, first_column(side.column), units)


def logits(side: Side, j: int | None = None) -> Float[Tensor, " v"]:
    """All V logits at the chosen place, or at the row's j; those of the ladder's other columns are kept with them.

    Raises the same.
    """
    column = side.column if j is None else side.batch.index(side.i, j)
    start = first_column(column)
    hidden = side.batch.hidden[start : start + COLUMNS]
    return _lines.get((side.question, start), lambda: side.batch.model.head(hidden))[column - start]


def place_of_other_contexts(one: Side, other: Side) -> int | None:
    """The first j from the chosen one on at which the two sides have read different tokens; None if there is none.

    Before that, one model gives both the same distribution.
    """
    first, second = (next(row for row in side.batch.rows if row.number == side.i) for side in (one, other))
    for j in range(one.j or 1, 1 + min(len(first.inputs), len(second.inputs))):
        if first.inputs[:j] != second.inputs[:j]:
            return j
    return None


def compute_while_loaded(shown: Sequence[Side], units: Units) -> None:
    """Let the models that are in memory compute all that the page shows; it is kept when they have gone."""
    for side in shown:
        if in_memory(side.question.model):
            with suppress(GptlossError):  # the page asks again, and shows the error
                ladder(side, units)
                logits(side)


def choose_token(shown: Sequence[Side], k: int, i: int, j: int) -> None:
    """Token j of row i was chosen in `shown[k]`; the settings name the place in the first side."""
    first = aligned_tokens(shown[0].batch, i)
    if session.settings().comparing == "models":
        same = aligned_token_at(first, aligned_tokens(shown[k].batch, i)[j - 1].start)
        j = same.j if same else 1
    session.change(spot=(i, min(j, len(first) or 1)))
