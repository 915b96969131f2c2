"""The parts of the page, of which one is shown."""

from pathlib import Path

import streamlit as st

from gptloss.scoring.batch import ScoredBatch
from views.perplexity.pitfalls import pitfalls
from views.perplexity.ruler import ruler
from views.perplexity.two_classes import two_classes
from views.perplexity.what_if import what_if
from views.perplexity.why_log import why_log
from views.shared.choose_one import choose_one
from views.visit import session
from views.visit.settings import Settings

STYLE = (Path(__file__).parent / "style.css").read_text("utf-8")
PARTS = {
    "ruler": "Is it good?",
    "pitfalls": "Pitfalls",
    "log": "Why log?",
    "classes": "Two classes",
    "whatif": "What if",
}


def parts(settings: Settings, batch: ScoredBatch | None) -> None:
    """The choice of a part, and below it that part."""
    with st.container(key="parts"):
        choose_one("part", "Part of the page", PARTS, hide_label=True)
    if batch is None:  # the page has said why
        return
    st.html(f"<style>{STYLE}</style>")
    if settings.part == "ruler":
        ruler(batch, settings)
    elif settings.part == "pitfalls":
        pitfalls(batch, settings)
    elif settings.part == "log":
        why_log(settings.question, settings.units)
    elif settings.part == "classes":
        two_classes()
    else:
        what_if()
    session.write_link()
