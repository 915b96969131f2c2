"""Running the whole page again from a fragment, without losing what the fragment has just drawn."""

import streamlit as st

SOON = 0.05


def run_again() -> None:
    """Run the page again as soon as the browser has got what was drawn until now.

    `st.rerun()` at once would throw away what is still on its way: a widget that was given a new value would show its
    smallest one. The browser asks for this run, and it does so when it has read what came before.
    """
    st.session_state.asked_again = False
    st.fragment(_run_again, run_every=SOON)()


def _run_again() -> None:
    if st.session_state.asked_again:
        st.rerun()
    st.session_state.asked_again = True
