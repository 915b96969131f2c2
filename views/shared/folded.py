"""A text that is folded to a line or two, with what changes it inside."""

import streamlit as st
from streamlit.delta_generator import DeltaGenerator

from views.shared.markdown import literal
from views.visit import session

# Letters of a text in a line.
LETTERS_SHOWN = 72
OPEN = "The text"


def folded(key: str, summary: str) -> DeltaGenerator:
    """A heading that shows the text, and opens to change it; `summary` is Markdown, its lines are kept.

    Open, its heading stays the same: with another one Streamlit would draw it anew, closed, at every letter typed.
    """
    name = f"fold-{key}"
    is_open = session.recall(name, False)

    def toggle() -> None:
        session.remember(name, bool(st.session_state[name]))
        session.change()

    heading = OPEN if is_open else summary
    return st.expander(heading, expanded=is_open, icon=":material/edit:", key=name, on_change=toggle)


def preview(text: str, letters: int = LETTERS_SHOWN) -> str:
    """The beginning of a text in one line, as Markdown that shows it as it is."""
    line = " ".join(text.split("\n"))
    return literal(line if len(line) <= letters else f"{line[: letters - 1]}…") or "(empty)"
