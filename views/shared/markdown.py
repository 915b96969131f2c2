"""Text that Streamlit would read as Markdown, shown as it is."""

import re

# What Markdown takes for an address by itself, escaped or not; a joiner without a width after it ends that.
ADDRESS = re.compile(r"(https?://|www(?=\.)|@)", re.IGNORECASE)
JOINER = "\u2060"


def literal(text: str) -> str:
    """A text for a label that Streamlit reads as Markdown: shown as it is."""
    return re.sub(r"([!-/:-@\[-`{-~])", r"\\\1", ADDRESS.sub(rf"\1{JOINER}", text))  # all ASCII punctuation
