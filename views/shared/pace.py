"""A visitor who changes things faster than a person can is answered more slowly, so that others are served, too."""

from time import monotonic, sleep

import streamlit as st

from gptloss.hosting import in_force
from views.visit import session

# The seconds over which changes are counted, and those that each change beyond the limit waits.
SPAN, PAUSE = 10.0, 2.0
RUNS = "runs-at"


def keep_pace() -> None:
    """Call before a page takes its turn: beyond the profile's rate it waits, and says so in the corner."""
    now, rate = monotonic(), in_force().rate
    before: tuple[float, ...] = session.recall(RUNS, ())
    runs = [at for at in before if now - at < SPAN]
    session.remember(RUNS, (*runs, now)[-rate - 1 :])
    if len(runs) >= rate:
        st.toast(f"More than {rate} changes in {SPAN:.0f} seconds: each waits a moment now. Nothing is lost.")
        sleep(PAUSE)
