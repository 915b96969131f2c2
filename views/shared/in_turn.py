"""A page that waits for its turn says so, and loses nothing."""

import time
from collections.abc import Iterator
from contextlib import contextmanager

import streamlit as st

from gptloss.serving.turns import TURNS, QueueFullError
from views.shared.pace import keep_pace
from views.visit import session
from views.visit.visitor import is_connected, visitor

# Seconds after which a page that found no room tries again by itself.
AGAIN = 5


@contextmanager
def in_turn() -> Iterator[None]:
    """Wait for this visitor's turn; its place in the queue stands in the corner. Ends the run if too many wait.

    Nobody takes a turn more often than the profile's rate allows.
    """
    keep_pace()
    words: list[st.delta_generator.DeltaGenerator] = []

    def tell(before: int) -> None:
        stop_if_gone()
        sentence = f"Many visitors at once: your place in the queue is {before + 1:,}. Your text is safe."
        if words:
            words[0].toast(sentence, icon=":material/hourglass:")
        else:
            words.append(st.toast(sentence, icon=":material/hourglass:"))

    try:
        with TURNS.turn(tell):
            yield
    except QueueFullError as error:
        _try_again(str(error))


def stop_if_gone() -> None:
    """Call after each part of long work: nothing more is done for a visitor who is not connected any more."""
    if not is_connected(visitor()):
        st.stop()


def _try_again(sentence: str) -> None:
    """What a page shows that found no room: the reason, and it comes again by itself."""
    st.info(f"{sentence} Your text is safe; this page tries again every {AGAIN} seconds.")
    session.remember("no-room-since", time.monotonic())
    _come_again()
    st.stop()


@st.fragment(run_every=AGAIN)
def _come_again() -> None:
    if time.monotonic() - session.recall("no-room-since", 0.0) > AGAIN / 2:  # not in the run that found no room
        st.rerun()
