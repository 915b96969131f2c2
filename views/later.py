"""How a fragment that ticks comes to rest."""

import time

import streamlit as st

# Seconds after which the browser has shown all that it was sent, even if it had to fetch code for it.
REST = 5.0


def rest(name: str, done: bool) -> None:
    """Call at every tick: some time after all is `done`, the page runs again, this time without what ticks.

    Only a run of the whole page stops the ticks. At once it would be too early: a widget that was given a value and
    is not on the screen yet would be drawn by the second run, which gives it none, and show its smallest one.
    """
    name = f"{name}-done-at"
    if not done:
        st.session_state.pop(name, None)
    elif time.monotonic() - st.session_state.setdefault(name, time.monotonic()) > REST:
        del st.session_state[name]
        st.rerun()
