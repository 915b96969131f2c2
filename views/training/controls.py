"""What a live run is made from: the controls of its text, its sizes and its optimiser, and the recipe of them."""

from dataclasses import replace
from typing import Any

import streamlit as st

from gptloss.corpus import samples
from gptloss.training.recipe import BYTES, LETTERS, WORDS, Recipe
from views.shared.choose_one import choose_one
from views.shared.folded import folded
from views.visit import session
from views.visit.fields.training import BATCHES, BUDGETS, CONTEXTS, HEADS, LAYERS, RATES, VOCABULARIES, WIDTHS
from views.visit.settings import Settings

OWN = "your own text"
PRESETS = {"letters": LETTERS, "words": WORDS}


# The fields of the settings, and what a recipe calls them.
FIELDS = {
    "vocabulary": "vocab_size",
    "width": "emb_dim",
    "layers": "n_layers",
    "heads": "n_heads",
    "context": "context_length",
    "windows": "batch_size",
    "step_rate": "learning_rate",
    "schedule": "schedule",
    "train_seed": "seed",
    "steps": "steps",
}


def recipe_of(settings: Settings) -> Recipe:
    """What a live run is made from. Raises `GptlossError` for sizes that do not go together."""
    return replace(LETTERS, **{name: getattr(settings, field) for field, name in FIELDS.items()})


def take_preset(preset: str) -> None:
    """Let the settings ask for a preset. Call it from a callback."""
    session.change(**{field: getattr(PRESETS[preset], name) for field, name in FIELDS.items()})


def size_controls(settings: Settings) -> None:
    """Everything that decides the curve."""
    recipe = recipe_of(settings)
    with folded(
        "live-recipe",
        f"{recipe.n_layers} layers, {recipe.emb_dim} wide, {_vocabulary(recipe)}, {recipe.steps:,} steps",
    ):
        first, second, third = st.columns(3, gap="small")
        _select(first, "vocabulary", "Vocabulary", VOCABULARIES)
        _select(second, "width", "Width", WIDTHS)
        _select(third, "layers", "Layers", LAYERS)
        _select(first, "heads", "Heads", HEADS)
        _select(second, "context", "Context", CONTEXTS)
        _select(third, "windows", "Batch", BATCHES)
        _select(first, "step_rate", "Learning rate", RATES)
        _number(second, "steps", "Steps", 10, 5_000)
        _number(third, "train_seed", "Seed", 0, 2**31 - 1)
        _select(first, "budget", "Seconds at most", BUDGETS)
        choose_one("schedule", "Schedule", {"constant": "constant", "cosine": "cosine"}, second)
        with st.container(horizontal=True, gap="small"):
            for preset in PRESETS:
                st.button(f"Preset: {preset}", key=f"preset-{preset}", on_click=take_preset, args=(preset,))


def _vocabulary(recipe: Recipe) -> str:
    return "letter by letter" if recipe.vocab_size == BYTES else f"{recipe.vocab_size:,} tokens"


def _select(column: Any, field: str, label: str, values: tuple[Any, ...]) -> None:
    value = getattr(session.settings(), field)
    session.give(field, value)
    column.selectbox(
        label,
        sorted({*values, value}),
        format_func=lambda value: f"{value:g}" if isinstance(value, float) else f"{value:,}",
        key=field,
        on_change=_set,
        args=(field,),
    )


def _number(column: Any, field: str, label: str, low: int, high: int) -> None:
    session.give(field, getattr(session.settings(), field))
    column.number_input(label, low, high, step=1, key=field, on_change=_set, args=(field,))


def _set(field: str) -> None:
    session.change(**{field: st.session_state[field]})


def text_control() -> None:
    """What it learns from."""
    names = [*samples.BY_NAME, OWN]
    session.give("live-source", session.recall("live-source", names[0]))
    st.selectbox("It learns from", names, key="live-source", on_change=_remember, args=("live-source",))
    if session.recall("live-source", names[0]) == OWN:
        session.give("live-text", session.recall("live-text", ""))
        st.text_area(
            "Your own text; some thousand characters at least",
            key="live-text",
            height=120,
            on_change=_remember,
            args=("live-text",),
        )


def _remember(note: str) -> None:
    session.remember(note, st.session_state[note])
    session.change()


def learned_from() -> str:
    """The text that the next run learns from."""
    source = session.recall("live-source", next(iter(samples.BY_NAME)))
    return samples.BY_NAME[source] if source != OWN else session.recall("live-text", "")
