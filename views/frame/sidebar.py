"""The sidebar: the menu, the model, the units."""

from functools import cache
from itertools import groupby

import streamlit as st
from streamlit.navigation.page import StreamlitPage

from views.frame import model_picker
from views.shared.choose_one import choose_one
from views.visit import session
from views.visit.pages import PAGES


def sidebar() -> None:
    """Draw it; the same on every page."""
    st.subheader("gptloss", anchor=False)
    st.caption("From text to loss, number by number")
    queries = session.offer_pages(PAGES)
    with st.container(key="menu", gap="xxsmall"):
        for group, members in groupby(PAGES, key=lambda page: page.group):
            st.caption(group)
            for page in members:
                st.page_link(_known(page.file), label=page.title, query_params=queries[page.file])
    model_picker.picker()
    _units()


@cache
def _known(file: str) -> StreamlitPage:
    """The page as an object of Streamlit. If a link has a path instead, Streamlit looks for the file in every run."""
    return st.Page(file, default=file == "app.py")


def _units() -> None:
    choose_one(
        "units",
        "Units of the logs",
        {"nats": "nats", "bits": "bits"},
        help="nats: natural logarithm, as in the book. bits: base 2; 1 nat = 1.4427 bits.",
    )
