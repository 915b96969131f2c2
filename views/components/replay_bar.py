"""The bar of a replay: one slider and one button move the figures, the sample and the marks on two charts."""

from collections.abc import Callable
from typing import Any

import streamlit as st

from views.components.bundle import FOLDER, bundle

SCRIPT = bundle("replay_bar.js")

_mount = st.components.v2.component(
    "gptloss_replay_bar",
    html="<div class='replay'></div>\n",
    css=(FOLDER / "replay_bar.css").read_text("utf-8"),
    js=SCRIPT,
)


def replay_bar(data: dict[str, Any], key: str, on_move: Callable[[], None]) -> None:
    """Draw the bar. All looks travel in `data`, so that a move asks nothing of the server.

    `data` has the `run` (when it changes, the bar begins anew), the number `at` of the look to begin with, the
    `looks`, and where the charts `curve` and `map` lie. In `on_move`, `moved_to(key)` is the step that is shown.
    """
    _mount(data=data, key=key, on_moved_change=on_move)


def moved_to(key: str, last: int) -> int:
    """The step at which the visitor has stopped; whatever the browser sends, one of the run's."""
    try:
        step = int(st.session_state[key].moved)
    except (TypeError, ValueError):
        step = 0
    return min(max(step, 0), last)
