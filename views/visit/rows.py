"""The rows of a visitor as texts, and what is typed as rows again."""

from views.visit.fields.kinds import MAX_ROWS
from views.visit.fields.text import joined
from views.visit.settings import Settings


def row_texts(settings: Settings) -> tuple[str, ...]:
    """The rows as texts: an input and what its target adds."""
    if settings.targets is None:
        return settings.inputs
    return tuple(map(joined, settings.inputs, settings.targets))


def lines_are_rows(rows: tuple[str, ...]) -> bool:
    """Whether the box of a page shows each row as a line."""
    return len(rows) > 1 and not any("\n" in row for row in rows)


def rows_typed(settings: Settings, typed: str) -> tuple[str, ...]:
    """What was typed, as rows: rows stay rows if there are not too many, a single text stays one."""
    if not lines_are_rows(row_texts(settings)):
        return (typed,)
    lines = tuple(line for line in typed.split("\n") if line)
    return (typed,) if len(lines) > MAX_ROWS else lines or ("",)
