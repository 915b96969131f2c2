"""The chosen position, when the text or the model changes: another model numbers the tokens in its own way."""

from bisect import bisect_right
from itertools import accumulate
from typing import Any

from gptloss.numbers import position_name
from gptloss.scoring.batch import ScoredBatch
from gptloss.scoring.rows import Row
from views.visit import session
from views.visit.settings import Settings

# What was read in the run before: the model, the texts, and at which byte each target of each row begins.
READ = "read"
_NOTHING: tuple[str, list[Any], dict[int, list[int]]] = ("", [], {})


def keep_position(batch: ScoredBatch, settings: Settings) -> None:
    """Choose the token that holds the byte where the chosen one began, if another model reads the same texts."""
    model, *read = settings.question
    begun = {row.number: _begin(row) for row in batch.rows}
    last_model, last_read, last_begun = session.recall(READ, _NOTHING)
    session.remember(READ, (model, read, begun))
    i, j = settings.at
    known = last_begun.get(i, [])
    anew = read == last_read and model != last_model
    if not anew or session.turned() or session.by_link() or i not in begun or j > len(known):
        return
    now = max(1, bisect_right(begun[i], known[j - 1]))
    if now != j:
        session.correct("", at=(i, now))


def correct_position(batch: ScoredBatch, settings: Settings) -> None:
    """Choose the nearest position of the row, and say so, if these rows do not have the chosen one."""
    if settings.at not in batch.positions:
        in_row = [position for position in batch.positions if position[0] == settings.at[0]]
        i, j = in_row[-1] if in_row else batch.positions[0]
        wanted, first = position_name(*settings.at), position_name(i, j)
        session.correct(f"There is no {wanted} in this text; {first} is shown.", at=(i, j))


def _begin(row: Row) -> list[int]:
    """At which byte of the row each target begins."""
    read = (b"" if row.starts and k == 0 else token.raw for k, token in enumerate(row.inputs))
    return list(accumulate(map(len, read)))
