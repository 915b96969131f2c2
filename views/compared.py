"""The runs of a comparison, and the chosen place in each of them."""

from collections.abc import Sequence
from dataclasses import dataclass

from gptloss.compare import Piece, Span, piece_at, pieces, spans_of_text, spans_of_tokens, widest
from gptloss.errors import GptlossError
from gptloss.scoring import ScoredBatch
from views import shell
from views.cache import reading
from views.comparison import asked
from views.settings import Asked, Settings


@dataclass(frozen=True)
class Compared:
    """One run: its number n, its title, what was asked, the scored rows, and row i, which is shown."""

    n: int
    i: int
    title: str
    asked: Asked
    batch: ScoredBatch
    row: tuple[Piece, ...]


def compared(settings: Settings) -> list[Compared]:
    """The runs that have the shown row; what is wrong with the others is said on their cards."""
    runs = []
    i = _row_shown(settings)
    for n, (title, question) in enumerate(asked(settings)):
        batch = scored(question)
        if batch and (row := pieces(batch, i)):
            runs.append(Compared(n, i, title, question, batch, row))
    return runs


def scored(question: Asked) -> ScoredBatch | None:
    """What was scored of it; None if nothing was, or the model cannot be loaded."""
    try:
        return reading(*question).batch
    except GptlossError:
        return None


def _row_shown(settings: Settings) -> int:
    """The chosen row; the last one if none was chosen, or none of that number was scored."""
    batches = [scored(question) for _, question in asked(settings)]
    numbers = {row.number for batch in batches if batch for row in batch.rows}
    return settings.spot[0] if settings.spot and settings.spot[0] in numbers else max(numbers, default=1)


def place(runs: Sequence[Compared], k: int, settings: Settings) -> int | None:
    """The chosen token's j in `runs[k]`: where the same text begins, or, of two texts, the token in the same place.

    None if that run predicts no token there.
    """
    j = _first_place(runs, settings)
    if settings.comparing == "texts":
        return j if j <= len(runs[k].row) else None
    same = piece_at(runs[k].row, runs[0].row[j - 1].start)
    return same.j if same else None


def _first_place(runs: Sequence[Compared], settings: Settings) -> int:
    """The chosen token's j in the first run; if none was chosen, where it and the second differ most."""
    if settings.spot:
        return min(settings.spot[1], len(runs[0].row))
    span = widest(spans(runs[0], runs[1], settings)) if len(runs) > 1 else None
    at = piece_at(runs[0].row, span.start) if span else None
    return at.j if at else 1


def spans(one: Compared, other: Compared, settings: Settings) -> tuple[Span, ...]:
    """What two runs share, to subtract one's losses from the other's."""
    return (spans_of_tokens if settings.comparing == "texts" else spans_of_text)(one.row, other.row)


def choose(runs: Sequence[Compared], k: int, i: int, j: int) -> None:
    """Token j of row i was chosen in `runs[k]`; the settings name the place in the first run."""
    first = pieces(runs[0].batch, i)
    if shell.settings().comparing == "models":
        same = piece_at(first, pieces(runs[k].batch, i)[j - 1].start)
        j = same.j if same else 1
    shell.change(spot=(i, min(j, len(first) or 1)))
