"""The sidebar: the menu, the model, the units."""

import streamlit as st

from views.frame import model_picker
from views.visit import session

MENU = {
    "Learn": {"app.py": "Loss, step by step"},
    "Explore": {
        "pages/token_probabilities.py": "Token probabilities",
        "pages/surprise.py": "Surprise in a text",
        "pages/temperature.py": "Temperature and sampling",
        "pages/compare.py": "Compare",
    },
    "Train": {"pages/data_set_loss.py": "Data set loss"},
}


def sidebar() -> None:
    """Draw it; the same on every page."""
    st.subheader("gptloss", anchor=False)
    st.caption("From text to loss, number by number")
    with st.container(key="menu", gap="xxsmall"):
        for group, pages in MENU.items():
            st.caption(group)
            for file, title in pages.items():
                st.page_link(file, label=title)
    model_picker.picker()
    _units()


def _units() -> None:
    session.give("units", session.settings().units)
    st.segmented_control(
        "Units of the logs",
        ["nats", "bits"],
        key="units",
        required=True,
        on_change=lambda: session.change(units=st.session_state.units),
        help="nats: natural logarithm, as in the book. bits: base 2; 1 nat = 1.4427 bits.",
    )
