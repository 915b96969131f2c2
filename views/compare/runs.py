"""The runs of a comparison, and the chosen place in each of them. No run holds a model in memory."""

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from jaxtyping import Float
from torch import Tensor

from gptloss.analysis.alignment import Piece, Span, piece_at, pieces, spans_of_text, spans_of_tokens, widest
from gptloss.errors import GptlossError
from gptloss.numbers import Units
from gptloss.scoring.score import ScoredBatch
from gptloss.serving.readings import Shelf, in_memory, reading
from views.compare.controls import asked
from views.components.ladder_table import COLUMNS, first_column
from views.loss.ladder import cached_ladder_data
from views.visit import session
from views.visit.settings import Asked, Settings

# As many columns as a ladder shows: 6 MB under GPT-2.
MOST_LINES = 8


@dataclass(frozen=True)
class Question:
    """One run before it is read: its number n, its title, and what is asked."""

    n: int
    title: str
    asked: Asked


@dataclass(frozen=True, eq=False)
class Compared(Question):
    """One run: the scored rows, row i, which is shown, and the chosen token's j there.

    j is None if this run predicts no token in the chosen place.
    """

    batch: ScoredBatch
    i: int
    row: tuple[Piece, ...]
    j: int | None

    @property
    def column(self) -> int:
        """Where the chosen token, or the row's first, stands in the ladder."""
        return self.batch.index(self.i, self.j or 1)


_lines = Shelf[Tensor](MOST_LINES)


def questions(settings: Settings) -> list[Question]:
    """The runs to be, in their order."""
    return [Question(n, title, question) for n, (title, question) in enumerate(asked(settings))]


def compared(wanted: Sequence[Question], settings: Settings) -> list[Compared]:
    """The runs that have the shown row."""
    found = [(question, batch) for question in wanted if (batch := _scored(question))]
    i = _row_shown([batch for _, batch in found], settings)
    shown = [(question, batch, row) for question, batch in found if (row := pieces(batch, i))]
    places = _places([row for *_, row in shown], settings)
    return [
        Compared(question.n, question.title, question.asked, batch, i, row, j)
        for (question, batch, row), j in zip(shown, places, strict=True)
    ]


def _scored(question: Question) -> ScoredBatch | None:
    """What was scored of it; None if nothing was, or the model can no longer be loaded."""
    try:
        return reading(*question.asked).batch
    except GptlossError:
        return None


def _row_shown(batches: Sequence[ScoredBatch], settings: Settings) -> int:
    """The chosen row; the last one if none was chosen, or none of that number was scored."""
    numbers = {row.number for batch in batches for row in batch.rows}
    return settings.spot[0] if settings.spot and settings.spot[0] in numbers else max(numbers, default=1)


def _places(rows: Sequence[tuple[Piece, ...]], settings: Settings) -> list[int | None]:
    """The chosen token's j in each run: where the same text begins, or, of two texts, the token in the same place."""
    if not rows:
        return []
    j = _first_place(rows, settings)
    if settings.comparing == "texts":
        return [j if j <= len(row) else None for row in rows]
    same = [piece_at(row, rows[0][j - 1].start) for row in rows]
    return [piece.j if piece else None for piece in same]


def _first_place(rows: Sequence[tuple[Piece, ...]], settings: Settings) -> int:
    """The chosen token's j in the first run; if none was chosen, where it and the second differ most."""
    if settings.spot:
        return min(settings.spot[1], len(rows[0]))
    span = widest(spans(rows[0], rows[1], settings)) if len(rows) > 1 else None
    return span.j if span else 1


def spans(one: tuple[Piece, ...], other: tuple[Piece, ...], settings: Settings) -> tuple[Span, ...]:
    """What two runs share, to subtract one's losses from the other's."""
    return (spans_of_tokens if settings.comparing == "texts" else spans_of_text)(one, other)


def ladder(run: Compared, units: Units) -> dict[str, Any]:
    """What the ladder shows around the chosen column. Raises `GptlossError` if the model cannot be loaded again."""
    return cached_ladder_data(run.asked, first_column(run.column), units)


def logits(run: Compared) -> Float[Tensor, " v"]:
    """All V logits at the chosen place; those of the ladder's other columns are kept with them. Raises the same."""
    start = first_column(run.column)
    hidden = run.batch.hidden[start : start + COLUMNS]
    return _lines.get((run.asked, start), lambda: run.batch.model.head(hidden))[run.column - start]


def remember(runs: Sequence[Compared], units: Units) -> None:
    """Ask those models that are in memory for what the page shows of their weights: it is kept when they are gone."""
    for run in runs:
        if in_memory(run.asked[0]):
            with suppress(GptlossError):  # the page asks again, and says it
                ladder(run, units)
                logits(run)


def choose(runs: Sequence[Compared], k: int, i: int, j: int) -> None:
    """Token j of row i was chosen in `runs[k]`; the settings name the place in the first run."""
    first = pieces(runs[0].batch, i)
    if session.settings().comparing == "models":
        same = piece_at(first, pieces(runs[k].batch, i)[j - 1].start)
        j = same.j if same else 1
    session.change(spot=(i, min(j, len(first) or 1)))
