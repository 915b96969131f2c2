"""A text that is folded to a line or two, with what changes it inside."""

import streamlit as st
from streamlit.delta_generator import DeltaGenerator

from views.shared.markdown import literal

# Letters of a text in a line.
LETTERS_SHOWN = 72


def folded(key: str, summary: str) -> DeltaGenerator:
    """A heading that shows the text, and opens to change it; `summary` is Markdown, its lines are kept.

    The browser alone knows whether it is open. With `on_change` the heading would be part of the widget's identity,
    and Streamlit 1.67 would draw it anew, closed, at every letter typed.
    """
    return st.expander(summary, icon=":material/edit:", key=f"fold-{key}")


def preview(text: str, letters: int = LETTERS_SHOWN) -> str:
    """The beginning of a text in one line, as Markdown that shows it as it is."""
    line = " ".join(text.split("\n"))
    return literal(line if len(line) <= letters else f"{line[: letters - 1]}…") or "(empty)"
