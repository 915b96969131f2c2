"""The runs of a comparison, and the chosen place in each of them."""

from collections.abc import Sequence
from dataclasses import dataclass

from gptloss.compare import Piece, piece_at, pieces
from gptloss.errors import GptlossError
from gptloss.scoring import ScoredBatch
from views import shell
from views.cache import reading
from views.comparison import asked
from views.settings import Asked, Settings


@dataclass(frozen=True)
class Compared:
    """One run: its title, what was asked, the scored rows, and the tokens of the row that is shown."""

    title: str
    asked: Asked
    batch: ScoredBatch
    row: tuple[Piece, ...]


def compared(settings: Settings) -> list[Compared]:
    """The runs that have the shown row; what is wrong with the others is said on their cards."""
    runs = []
    i = row_shown(settings)
    for title, question in asked(settings):
        batch = scored(question)
        if batch and (row := pieces(batch, i)):
            runs.append(Compared(title, question, batch, row))
    return runs


def scored(question: Asked) -> ScoredBatch | None:
    """What was scored of it; None if nothing was, or the model cannot be loaded."""
    try:
        return reading(*question).batch
    except GptlossError:
        return None


def row_shown(settings: Settings) -> int:
    """The chosen row, or the first that some model could score if there is no such row."""
    batches = [scored(question) for _, question in asked(settings)]
    numbers = {row.number for batch in batches if batch for row in batch.rows}
    return settings.at[0] if settings.at[0] in numbers else min(numbers, default=1)


def place(runs: Sequence[Compared], n: int, settings: Settings) -> int | None:
    """The chosen token's j in run n: where the same text begins, or, of two texts, the token in the same place.

    None if run n predicts no token there.
    """
    j = min(settings.at[1], len(runs[0].row))
    if settings.comparing == "texts":
        return j if j <= len(runs[n].row) else None
    same = piece_at(runs[n].row, runs[0].row[j - 1].start)
    return same.j if same else None


def choose(runs: Sequence[Compared], n: int, i: int, j: int) -> None:
    """Token j of row i was chosen in run n; the settings name the place in the first run."""
    if shell.settings().comparing == "models":
        same = piece_at(pieces(runs[0].batch, i), pieces(runs[n].batch, i)[j - 1].start)
        j = same.j if same else 1
    shell.change(at=(i, min(j, len(pieces(runs[0].batch, i)) or 1)))
