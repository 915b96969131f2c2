"""The text box of the pages that read a text: the rows as texts, and what the visitor types there."""

from collections.abc import Callable

import streamlit as st

from views.shared.folded import folded, preview
from views.visit import session
from views.visit.fields.kinds import MAX_ROWS
from views.visit.rows import lines_are_rows, row_texts, rows_typed
from views.visit.settings import Settings

# Rows in the folded text.
ROWS_SHOWN = 3
CHANGE = "Change the text"


def own_text(
    settings: Settings, height: int = 80, more: Callable[[], None] | None = None, label: str | None = None
) -> None:
    """The text of these pages, folded, with the box that changes it and what `more` a page has to choose a text.

    Each token is the target of those before it. The `label` stands for the text where that is beside it.
    """
    rows = row_texts(settings)
    with folded("text", label or "\n".join(map(preview, rows[:ROWS_SHOWN]))):
        session.give("own-text", "\n".join(rows))
        st.text_area(
            "Text (one row per line)" if lines_are_rows(rows) else "Text",
            key="own-text",
            height=height,
            on_change=_read_own,
        )
        if more:
            more()


def take(rows: tuple[str, ...], at: tuple[int, int] = (1, 1)) -> None:
    """Let these rows be what all pages read. Call it from a callback. Pinned tokens stay, pinned positions do not."""
    pins = tuple(pin for pin in session.settings().pins if isinstance(pin, int))
    session.change(inputs=rows, targets=None, at=at, made=0, pins=pins, edit=None, branches=())


def _read_own() -> None:
    """Take what was typed: rows stay rows, a single text stays one.

    The book's words take the box away, and a click soon after still carries its text: then nothing is new.
    """
    settings, typed = session.settings(), st.session_state["own-text"]
    rows = rows_typed(settings, typed)
    if rows == row_texts(settings):
        return session.change()
    take(rows, settings.at)
    if lines_are_rows(row_texts(settings)) and rows == (typed,) and "\n" in typed:
        lines = sum(map(bool, typed.split("\n")))
        session.notify(f"The text has {lines} lines, more than {MAX_ROWS} rows: it is read as one text.")
