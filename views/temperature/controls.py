"""The controls of sampling: temperature, top-k, top-p and seed, shared with the other pages; and examples."""

import streamlit as st

from gptloss.models import find
from gptloss.prediction.sampling import Sampler
from views.shared import ticks
from views.visit import session
from views.visit.fields.sampling import HOTTEST, LARGEST_SEED
from views.visit.settings import Settings

# The fragments that change with the sampler: the charts, and the continuation.
CHARTS, PATHS = "sampling-charts", "sampling-paths"
# The vocabulary of the book's chapter 5.3.
BOOK_WORDS = ("closer", "every", "effort", "forward", "inches", "moves", "pizza", "toward", "you")
OFF = {"temperature": 1.0, "top_k": 0, "top_p": 1.0}
BOOK_EXAMPLES = {
    "Temperature 1": OFF,
    "Temperature 0.1": OFF | {"temperature": 0.1},
    "Temperature 5": OFF | {"temperature": 5.0},
    "Top-k 3": OFF | {"top_k": 3},
}
EXAMPLES = {
    "As the model has it": OFF,
    "Greedy": OFF | {"temperature": 0.0},
    "Temperature 0.5": OFF | {"temperature": 0.5},
    "Temperature 2": OFF | {"temperature": 2.0},
    "Top-k 50": OFF | {"top_k": 50},
    "Top-p 0.9": OFF | {"top_p": 0.9},
}


def sampler_of(settings: Settings) -> Sampler:
    """How the settings sample."""
    return Sampler(settings.temperature, settings.top_k, settings.top_p)


def sampling_controls(settings: Settings) -> None:
    """The sliders and boxes, and buttons that set them."""
    book = settings.source == "book"
    v = len(BOOK_WORDS) if book else find(settings.model).info.vocab_size
    _slider("temperature", "Temperature (0: greedy)", 0.0, HOTTEST, 0.1, settings.temperature)
    _slider("top_p", "Top-p (1: all)", 0.01, 1.0, 0.01, settings.top_p)
    by_k, seed = st.columns(2, gap="small", wrap=False)
    with by_k:
        _number("top_k", "Top-k (0: all)", v, min(settings.top_k, v))
    with seed:
        _number("seed", "Seed", LARGEST_SEED, settings.seed)
    with st.container(horizontal=True, gap="small", key="sampler-examples", vertical_alignment="center"):
        for name, fields in (BOOK_EXAMPLES if book else EXAMPLES).items():
            st.button(name, type="tertiary", on_click=change_sampling, kwargs=fields)


def _slider(field: str, label: str, low: float, high: float, step: float, value: float) -> None:
    key = ticks.widget_key(field, value)
    st.slider(label, low, high, value, step=step, key=key, on_change=_read, args=(field,))


def _number(field: str, label: str, high: int, value: int) -> None:
    key = ticks.widget_key(field, value)
    st.number_input(label, 0, high, value, step=1, key=key, on_change=_read, args=(field,))


def _read(field: str) -> None:
    """Copy what the visitor has set to the settings."""
    change_sampling(**{field: ticks.set_by_widget(field)})


def change_sampling(**fields: object) -> None:
    """Set these fields from a callback of the charts; the continuation follows, if there is one."""
    session.change(**fields)
    settings = session.settings()
    if settings.made and settings.source == "text":
        st.rerun([CHARTS, PATHS])
