"""Up to three positions or tokens, kept beside the chosen ones and compared with them."""

from functools import partial

import pandas as pd
import streamlit as st

from gptloss.numbers import in_units, position_name, proba_text
from gptloss.tokens import text_of
from views.shared.markdown import literal
from views.shared.tables import DIGITS, formats
from views.token_probabilities.position import PIN_SIGNS, ChosenPosition
from views.visit import session
from views.visit.fields.kinds import Pin
from views.visit.fields.probabilities import MOST_PINS

# Of what was read before a position, the last letters.
LETTERS = 32
FORMATS = DIGITS | formats("%.1f", "effective choices")


def pins(position: ChosenPosition) -> None:
    """The buttons that pin, and what is pinned, to be taken off again."""
    st.caption(f"Pin up to {MOST_PINS} positions or tokens, to compare")
    with st.container(horizontal=True, gap="small", key="pin-buttons"):
        _pin_button(position.at, f"Pin {position.name}", position)
        _pin_button(position.subject.id, f"Pin {literal(position.subject.label)}", position)
    with st.container(horizontal=True, gap="small", key="pinned"):
        for n, pin in enumerate(position.settings.pins):
            st.button(
                f"{PIN_SIGNS[n]} {literal(_name(pin, position))}",
                key=f"unpin-{n}",
                icon=":material/close:",
                help="Unpin",
                type="tertiary",
                on_click=partial(_unpin, pin),
            )


def pinned(position: ChosenPosition) -> None:
    """What is pinned, as tables: the positions, and what each token got at the chosen and the pinned positions."""
    positions = [pin for pin in position.settings.pins if not isinstance(pin, int)]
    tokens = [pin for pin in position.settings.pins if isinstance(pin, int)]
    if not position.settings.pins:
        return
    with st.container(border=True, key="comparison"):
        if positions:
            st.dataframe(
                _positions(positions, position), hide_index=True, column_config=FORMATS, key="pinned-positions"
            )
        if tokens:
            st.dataframe(
                _tokens(tokens, positions, position), hide_index=True, column_config=DIGITS, key="pinned-tokens"
            )


def _pin_button(pin: Pin, label: str, position: ChosenPosition) -> None:
    pinned = position.settings.pins
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


def _name(pin: Pin, position: ChosenPosition) -> str:
    return position.token(pin).label if isinstance(pin, int) else position_name(*pin)


def _positions(positions: list[tuple[int, int]], position: ChosenPosition) -> pd.DataFrame:
    """The chosen position first, then the pinned ones."""
    units = position.settings.units
    places = list(dict.fromkeys([position.at, *positions]))
    targets = [position.target_at(at) for at in places]
    lines = [position.distribution if at == position.at else position.distribution_at(at) for at in places]
    pairs = list(zip(lines, targets, strict=True))
    return pd.DataFrame(
        {
            "position": [position_name(*at) for at in places],
            "after": [_read(at, position) for at in places],
            "target": [token.label for token in targets],
            "probability": [proba_text(line.log_proba(token.id)) for line, token in pairs],
            f"surprisal ({units})": [in_units(line.surprisal(token.id), units) for line, token in pairs],
            f"entropy ({units})": [in_units(line.entropy, units) for line in lines],
            "effective choices": [line.effective_choices for line in lines],
        }
    )


def _read(at: tuple[int, int], position: ChosenPosition) -> str:
    i, j = at
    row = next(row for row in position.batch.rows if row.number == i)
    text = text_of(row.inputs[max(0, j - LETTERS) : j])
    return text if len(text) <= LETTERS else f"…{text[1 - LETTERS :]}"


def _tokens(ids: list[int], positions: list[tuple[int, int]], position: ChosenPosition) -> pd.DataFrame:
    """What each pinned token got at the chosen position and at the pinned ones: a line for each pair."""
    places = list(dict.fromkeys([position.at, *positions]))
    lines = [position.distribution if at == position.at else position.distribution_at(at) for at in places]
    pairs = [(id, at, line) for id in ids for at, line in zip(places, lines, strict=True)]
    return pd.DataFrame(
        {
            "token": [position.token(id).label for id, _, _ in pairs],
            "id": [id for id, _, _ in pairs],
            "position": [position_name(*at) for _, at, _ in pairs],
            "probability": [proba_text(line.log_proba(id)) for id, _, line in pairs],
            "logit": [line.logit(id) for id, _, line in pairs],
            "rank": [line.rank(id) for id, _, line in pairs],
        }
    )
