"""The search box: what the model gave any token of the vocabulary at the chosen position."""

import re
from collections.abc import Sequence

import pandas as pd
import streamlit as st

from gptloss.errors import GptlossError
from gptloss.models import find
from gptloss.numbers import proba_text
from gptloss.prediction.search import LONGEST, find_tokens
from gptloss.tokens import Token
from views.shared.markdown import literal
from views.shared.tables import DIGITS
from views.token_probabilities.position import FOUND_SIGN, ChosenPosition
from views.visit import session

MATCHES = 8


def search(position: ChosenPosition) -> None:
    """The box, the tokens that match, and their numbers here."""
    st.text_input(
        f"Search all {position.v:,} tokens, by text or id",
        key="search",
        placeholder=" the · 464 · ↵ · <F0 9F>",
        on_change=_find,
        help="A token may start with a blank, shown as a dot: type the blank, or the dot.",
    )
    typed: str = st.session_state.search
    matches, said = _matches(position.settings.model, typed)
    if said:
        st.text(said)
    shown = matches or ((position.found,) if position.found else ())
    if position.found and position.found not in shown:
        shown = (position.found, *shown)
    if shown:
        _choice(shown, position)
        st.dataframe(_numbers(shown, position), hide_index=True, column_config=DIGITS, key="matches")


@st.cache_data(max_entries=256, show_spinner=False)
def _matches(model: str, query: str) -> tuple[tuple[Token, ...], str]:
    """The tokens that a query may mean, and what to say of them; for a text of several tokens, these."""
    if len(query) > LONGEST:
        return (), f"The search has {len(query):,} characters, and no token is so long; type a shorter text."
    info, tokenizer = find(model).info, find(model).tokenizer()
    if found := find_tokens(tokenizer, query, MATCHES):
        return found, f"The first {MATCHES} tokens that match" if len(found) == MATCHES else "All tokens that match"
    if re.fullmatch("[0-9]{1,12}", query):
        return (
            (),
            f"There is no token {query}: the ids are 0 to {info.vocab_size - 1:,}, and no token holds this text.",
        )
    try:
        parts = tuple(dict.fromkeys(tokenizer.encode(query)))[:MATCHES]
    except GptlossError as error:  # the tokenizer cannot spell it
        return (), str(error)
    return parts, "No single token holds this; it is made of these" if parts else ""


def _find() -> None:
    """The first match is chosen; the others are one click away."""
    matches, _ = _matches(session.settings().model, st.session_state.search)
    session.change(token=matches[0].id if matches else None)


def _choice(shown: Sequence[Token], position: ChosenPosition) -> None:
    labels = {token.id: f"{literal(token.label)} · {token.id}" for token in shown}
    session.give("match", position.settings.token)
    st.pills(
        f"Marked {FOUND_SIGN} in the charts, and in the softmax",
        list(labels),
        format_func=lambda id: labels.get(id, str(id)),
        key="match",
        on_change=lambda: session.change(token=st.session_state.match),
    )


def _numbers(tokens: Sequence[Token], position: ChosenPosition) -> pd.DataFrame:
    line = position.distribution
    return pd.DataFrame(
        {
            "token": [token.label for token in tokens],
            "id": [token.id for token in tokens],
            "probability": [proba_text(line.log_proba(token.id)) for token in tokens],
            "logit": [line.logit(token.id) for token in tokens],
            "rank": [line.rank(token.id) for token in tokens],
        }
    )
