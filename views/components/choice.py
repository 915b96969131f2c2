"""What a visitor chose in a component. A browser may send anything, so it is clamped."""

import streamlit as st

from gptloss.scoring.batch import ScoredBatch


def chosen(key: str, batch: ScoredBatch) -> tuple[int, int]:
    """(i, j) of the column the visitor chose."""
    return batch.positions[sent(key, len(batch))]


def sent(key: str, count: int) -> int:
    """What the browser says was chosen in the component `key`; whatever it sends, one of `count`."""
    try:
        index = int(st.session_state[key].chosen)
    except (TypeError, ValueError):
        index = 0
    return min(max(index, 0), count - 1)
