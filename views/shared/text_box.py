"""The text box of the pages that read a text: the rows as texts, and what the visitor types there."""

import streamlit as st

from views.visit import session
from views.visit.fields.text import joined
from views.visit.settings import Settings


def own_text(settings: Settings, height: int = 80) -> None:
    """The text box of these pages. Typing there makes one text of the rows, each token the target of those before."""
    several = len(settings.inputs) > 1
    session.give("own-text", "\n".join(row_texts(settings)))
    st.text_area(
        "Text: each line is read on its own; change it, and it is read as one" if several else "Text",
        key="own-text",
        height=height,
        on_change=_read_own,
    )


def row_texts(settings: Settings) -> tuple[str, ...]:
    """The rows as texts: an input and what its target adds."""
    if settings.targets is None:
        return settings.inputs
    return tuple(map(joined, settings.inputs, settings.targets))


def take(text: str, at: tuple[int, int] = (1, 1)) -> None:
    """Let `text` be what all pages read. Call it from a callback. Pinned tokens stay, pinned positions do not."""
    pins = tuple(pin for pin in session.settings().pins if isinstance(pin, int))
    session.change(inputs=(text,), targets=None, at=at, made=0, pins=pins)


def _read_own() -> None:
    settings = session.settings()
    take(st.session_state["own-text"], settings.at if len(settings.inputs) == 1 else (1, 1))
