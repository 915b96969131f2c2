"""The switch between recorded runs and one that trains now."""

import streamlit as st

from views.shared.choose_one import choose_one
from views.visit import access


def mode_switch() -> None:
    """Draw it; both views have it at the same place."""
    if not access.live_training():
        st.caption("Live training is switched off on this server.")
        return
    choose_one("mode", "Recorded, or live", {"replay": "Replay", "live": "Live"}, hide_label=True)
