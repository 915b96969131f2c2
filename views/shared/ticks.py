"""What comes a moment later: the rest of a page after its charts, and the end of a fragment that ticks."""

import time

import streamlit as st
from streamlit.runtime.scriptrunner import get_script_run_ctx

# Seconds after which the browser has shown all that it was sent, even if it had to fetch code for it.
REST = 5.0
# Seconds in which the browser draws two charts.
DRAWING = 0.08


def let_draw() -> None:
    """Call after the charts of a fragment: the browser puts off drawing them for as long as more comes in."""
    context = get_script_run_ctx()
    if context and context.fragment_ids_this_run:
        time.sleep(DRAWING)


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
