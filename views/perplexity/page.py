"""The parts of the page, of which one is shown."""

import streamlit as st

from gptloss.scoring.batch import ScoredBatch
from views.perplexity.pitfalls import pitfalls
from views.perplexity.ruler import ruler
from views.shared.choose_one import choose_one
from views.visit import session
from views.visit.settings import Settings

PARTS = {
    "ruler": "Is it good?",
    "pitfalls": "Pitfalls",
}


def parts(settings: Settings, batch: ScoredBatch | None) -> None:
    """The choice of a part, and below it that part."""
    with st.container(key="parts"):
        choose_one("part", "Part of the page", PARTS, hide_label=True)
    if batch is None:  # the page has said why
        return
    if settings.part == "pitfalls":
        pitfalls(batch, settings)
    else:
        ruler(batch, settings)
    session.write_link()
