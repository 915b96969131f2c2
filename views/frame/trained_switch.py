"""The switch Untrained | Trained beside the title of every page, and the name of the model that is shown."""

import streamlit as st

from gptloss.models import DEFAULT_MODEL, find
from views.frame.model_choice import choose_model
from views.visit import access, session
from views.visit.pages import TEMPERATURE
from views.visit.settings import Settings

UNTRAINED = "GPT-2, random weights"


def trained_switch() -> None:
    """One click between the untrained GPT-2 and the pretrained model; the sidebar has all others."""
    settings, trained = session.settings(), access.pretrained()
    if session.page().brings_models:
        return
    if trained:
        names = {DEFAULT_MODEL: "Untrained", trained: "Trained"}
        session.give("trained", settings.model if _reads_text() and settings.model in names else None)
        st.segmented_control(
            "Untrained or trained",
            list(names),
            format_func=names.__getitem__,
            key="trained",
            label_visibility="collapsed",
            width="content",
            on_change=_switch,
        )
    with st.container(key="model-name", width="content"):
        st.text(model_name(settings), width="content")


def model_name(settings: Settings) -> str:
    """What stands beside the switch."""
    if not _reads_text():
        return "the book’s nine words, no model"
    return UNTRAINED if settings.model == DEFAULT_MODEL else find(settings.model).info.title


def _reads_text() -> bool:
    """Whether the page shows what a model makes of a text; the book's nine words need none."""
    return session.page() != TEMPERATURE or session.settings().source == "text"


def _switch() -> None:
    """Take the other model; a second click on the chosen one changes nothing."""
    name = st.session_state.trained or session.settings().model
    choose_model(name)
