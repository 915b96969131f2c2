"""Pins: up to three positions or tokens, kept beside the chosen ones and compared with them."""

from functools import partial

import pandas as pd
import streamlit as st

from gptloss.numbers import in_units, position_name, proba_text
from gptloss.tokens import text_of
from views.loss.ladder import DIGITS
from views.shared.markdown import literal
from views.token_probabilities.position import PIN_SIGNS, Place
from views.visit import session
from views.visit.fields.kinds import Pin
from views.visit.fields.probabilities import MOST_PINS

# Of what was read before a position, the last letters.
LETTERS = 32
FORMATS = DIGITS | {"effective choices": st.column_config.NumberColumn(format="%.1f")}


def pins(here: Place) -> None:
    """The buttons that pin, and what is pinned, to be taken off again."""
    st.caption(f"Pin up to {MOST_PINS} positions or tokens, to compare")
    with st.container(horizontal=True, gap="small", key="pin-buttons"):
        _pin_button(here.at, f"Pin {here.name}", here)
        _pin_button(here.subject.id, f"Pin {literal(here.subject.label)}", here)
    with st.container(horizontal=True, gap="small", key="pinned"):
        for n, pin in enumerate(here.settings.pins):
            st.button(
                f"{PIN_SIGNS[n]} {literal(_name(pin, here))}",
                key=f"unpin-{n}",
                icon=":material/close:",
                help="Unpin",
                type="tertiary",
                on_click=partial(_unpin, pin),
            )


def pinned(here: Place) -> None:
    """What is pinned, as tables: the positions, and what each token got at the chosen and the pinned positions."""
    positions = [pin for pin in here.settings.pins if not isinstance(pin, int)]
    tokens = [pin for pin in here.settings.pins if isinstance(pin, int)]
    if not here.settings.pins:
        return
    with st.container(border=True, key="comparison"):
        if positions:
            st.dataframe(_positions(positions, here), hide_index=True, column_config=FORMATS, key="pinned-positions")
        if tokens:
            st.dataframe(_tokens(tokens, positions, here), hide_index=True, column_config=DIGITS, key="pinned-tokens")


def _pin_button(pin: Pin, label: str, here: Place) -> None:
    pinned = here.settings.pins
    st.button(
        label,
        key="pin-token" if isinstance(pin, int) else "pin-position",
        icon=":material/keep:",
        disabled=pin in pinned or len(pinned) == MOST_PINS,
        on_click=partial(_pin, pin),
    )


def _pin(pin: Pin) -> None:
    pinned = session.settings().pins
    session.change(pins=(*pinned, pin)[:MOST_PINS])


def _unpin(pin: Pin) -> None:
    session.change(pins=tuple(other for other in session.settings().pins if other != pin))


def _name(pin: Pin, here: Place) -> str:
    return here.token(pin).label if isinstance(pin, int) else position_name(*pin)


def _positions(positions: list[tuple[int, int]], here: Place) -> pd.DataFrame:
    """The chosen position first, then the pinned ones."""
    units = here.settings.units
    places = list(dict.fromkeys([here.at, *positions]))
    targets = [here.target_at(at) for at in places]
    lines = [here.here if at == here.at else here.there(at) for at in places]
    pairs = list(zip(lines, targets, strict=True))
    return pd.DataFrame(
        {
            "position": [position_name(*at) for at in places],
            "after": [_read(at, here) for at in places],
            "target": [token.label for token in targets],
            "probability": [proba_text(line.log_proba(token.id)) for line, token in pairs],
            f"surprisal ({units})": [in_units(line.surprisal(token.id), units) for line, token in pairs],
            f"entropy ({units})": [in_units(line.entropy, units) for line in lines],
            "effective choices": [line.effective_choices for line in lines],
        }
    )


def _read(at: tuple[int, int], here: Place) -> str:
    i, j = at
    row = next(row for row in here.batch.rows if row.number == i)
    text = text_of(row.inputs[max(0, j - LETTERS) : j])
    return text if len(text) <= LETTERS else f"…{text[1 - LETTERS :]}"


def _tokens(ids: list[int], positions: list[tuple[int, int]], here: Place) -> pd.DataFrame:
    """What each pinned token got at the chosen position and at the pinned ones: a line for each pair."""
    places = list(dict.fromkeys([here.at, *positions]))
    lines = [here.here if at == here.at else here.there(at) for at in places]
    pairs = [(id, at, line) for id in ids for at, line in zip(places, lines, strict=True)]
    return pd.DataFrame(
        {
            "token": [here.token(id).label for id, _, _ in pairs],
            "id": [id for id, _, _ in pairs],
            "position": [position_name(*at) for _, at, _ in pairs],
            "probability": [proba_text(line.log_proba(id)) for id, _, line in pairs],
            "logit": [line.logit(id) for id, _, line in pairs],
            "rank": [line.rank(id) for id, _, line in pairs],
        }
    )
