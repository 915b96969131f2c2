"""Text that Streamlit would read as Markdown, shown as it is."""

import re


def literal(text: str) -> str:
    """A text for a label that Streamlit reads as Markdown: shown as it is."""
    return re.sub(r"([!-/:-@\[-`{-~])", r"\\\1", text)  # all ASCII punctuation
