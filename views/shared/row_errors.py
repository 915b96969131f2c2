"""What is wrong with a row of text, as a card with the way out."""

from collections.abc import Iterator
from contextlib import contextmanager

import streamlit as st

from gptloss.errors import GptlossError
from gptloss.models import find
from gptloss.serving.question import CHARACTERS, MOST_CHARACTERS
from gptloss.tokens import Token
from views.visit import session


@contextmanager
def row_error_card(number: int, left_out: str, sentence: str) -> Iterator[None]:
    """A card that says which row is left out and why; what is drawn inside is the way out."""
    with st.container(border=True, key=f"error-{number}", gap="xsmall"):
        st.badge(left_out, icon=":material/error:", color="red")
        st.text(sentence)
        yield


def encoded_or_empty(text: str) -> tuple[Token, ...]:
    """The tokens of a text under the chosen model.

    None for a text that it cannot spell and for one that is far too long, which the card explains.
    """
    if len(text) > MOST_CHARACTERS:
        return ()
    try:
        return find(session.settings().model).tokenizer().encode(text)
    except GptlossError:
        return ()


def start_of(text: str, tokens: int) -> str:
    """The first tokens of a text, without the half of a character that the cut may leave."""
    kept = encoded_or_empty(text[: CHARACTERS * tokens])[:tokens]
    return b"".join(token.raw for token in kept).decode("utf-8", "ignore")
