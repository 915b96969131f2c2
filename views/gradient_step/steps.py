"""Real optimiser steps on a copy of the whole model: what they promise, and what comes."""

import math
from typing import Any

import streamlit as st

from gptloss.charts.theme import CONFIG
from gptloss.charts.training.gradients import climb_chart, layers_chart
from gptloss.errors import GptlossError
from gptloss.models import find
from gptloss.numbers import in_units
from gptloss.scoring.batch import ScoredBatch
from gptloss.serving.optimizer_steps import Steps, desk
from gptloss.training.optimizer_steps import MOST_STEPS, OptimizerStep
from views.shared.choose_one import choose_one
from views.shared.scored_text import scored
from views.visit import session
from views.visit.settings import Settings
from views.visit.visitor import is_connected, visitor

RATES = (*(float(f"{digit}e{power}") for power in range(-6, 0) for digit in (1, 2, 5)), 1.0)
OPTIMIZERS = {"sgd": "SGD", "adamw": "AdamW"}
# Notes of the visit: a step was asked for, what the steps were, and what is to be said of the last one.
WANTED, MADE, SAID = "step-wanted", "steps-made", "step-said"
# Losses are added up in float32, so a smaller change, in nats, may be rounding.
ROUNDING = 1e-5
RESTARTED = "Another visitor needed the copy’s place, so the steps began at the start again."


@st.fragment
def steps_view() -> None:
    """The controls of a step, and below them what all steps so far have changed."""
    settings = session.settings()
    batch = scored(settings)
    if batch is None:
        return
    asked = Steps(settings.question, settings.optimizer)
    st.header("One optimiser step", anchor=False)
    controls = st.container()
    if session.recall(WANTED, False):
        session.forget(WANTED)
        _take(asked, settings.rate, find(settings.model).info.parameters)
    made, said = _noted(MADE, asked) or (), _noted(SAID, asked)
    with controls:
        _controls(settings, made)
    if said:
        st.warning(said)
    if made:
        _results(batch, made, settings)
    elif not said:
        st.caption(
            "A step changes every weight of a copy of the model a little, against the gradient. The model itself"
            " stays as it is."
        )
    session.write_link()


def _noted(note: str, asked: Steps) -> Any:
    """What a note says of these rows under this optimiser; None if it is about others."""
    about, said = session.recall(note, (None, None))
    return said if about == asked else None


def _controls(settings: Settings, made: tuple[OptimizerStep, ...]) -> None:
    kind, rate, buttons = st.columns([3, 8, 6], gap="medium", vertical_alignment="bottom")
    choose_one("optimizer", "Optimiser", OPTIMIZERS, kind)
    session.give("rate", settings.rate)
    rate.select_slider(
        "Learning rate",
        sorted({*RATES, settings.rate}),
        format_func=lambda value: f"{value:g}",
        key="rate",
        on_change=lambda: session.change(rate=st.session_state.rate),
    )
    with buttons.container(horizontal=True, gap="small"):
        label = "Take a step" if not made else "Step again"
        full = len(made) >= MOST_STEPS
        st.button(label, type="primary", key="take-step", icon=":material/play_arrow:", on_click=_want, disabled=full)
        st.button("Back to the start", key="steps-over", icon=":material/replay:", on_click=_over, disabled=not made)


def _want() -> None:
    session.remember(WANTED, True)
    session.forget(SAID)
    session.change()


def _over() -> None:
    desk.forget(visitor())
    session.forget(MADE)
    session.forget(SAID)
    session.change()


def _take(asked: Steps, rate: float, weights: int) -> None:
    """One step, with progress. Its result is noted before anything is drawn: a click may end the run there."""
    with st.spinner(f"Forward, backward and a step on {weights / 1e6:,.0f} million weights …"):
        before = _noted(MADE, asked) or ()
        try:
            made = desk.step(visitor(), asked, rate, is_connected)
        except GptlossError as error:
            return session.remember(SAID, (asked, str(error)))
        session.remember(MADE, (asked, made))
        if len(made) <= len(before):
            session.remember(SAID, (asked, RESTARTED))


def _results(batch: ScoredBatch, made: tuple[OptimizerStep, ...], settings: Settings) -> None:
    _figures(made[-1], settings)
    st.text(verdict(made))
    left, right = st.columns([11, 8], gap="medium")
    with left.container(border=True):
        names = ", ".join(token.label for token in batch.targets[:8])
        alt = f"Probabilities of the targets {names} before the first step and after each of {len(made)}."
        st.plotly_chart(climb_chart(batch, made), key="climb", config=CONFIG, alt=alt)
    with right.container(border=True):
        alt = f"A bar for the norm of the gradient of each of {len(made[-1].layers)} layers."
        st.plotly_chart(layers_chart(made[-1]), key="layers", config=CONFIG, alt=alt)


def _figures(step: OptimizerStep, settings: Settings) -> None:
    units = settings.units
    before, after = in_units(step.loss_before, units), in_units(step.loss_after, units)
    predicted, actual = in_units(step.predicted, units), in_units(step.actual, units)
    by_norm = settings.optimizer == "sgd" and units == "nats"  # the optimiser lowers the loss in nats
    promise = "= −learning rate · ‖gradient‖²" if by_norm else "= gradient · move"
    figures = [
        ("Loss before", f"{before:.4f}", units),
        ("Loss after", f"{after:.4f}", f"step {step.number}, rate {step.learning_rate:g}"),
        ("Predicted change", f"{predicted:+.4f}", promise),
        ("Actual change", f"{actual:+.4f}", "after − before"),
        ("Norm of the gradient", f"{in_units(step.gradient_norm, units):.4g}", f"of all weights, {units}"),
    ]
    with st.container(horizontal=True, gap="small", key="figures-here"):
        for label, value, note in figures:
            st.metric(label, value, note, delta_color="off", delta_arrow="off")


def verdict(made: tuple[OptimizerStep, ...]) -> str:
    """What the last step teaches, and at which learning rate the loss first went up."""
    last = made[-1]
    rose = [step for step in made if not step.actual < ROUNDING]
    marked = (
        f" The loss first went up at step {rose[0].number}, with a learning rate of {rose[0].learning_rate:g}."
        if rose and rose[0] is not last
        else ""
    )
    if not math.isfinite(last.loss_after):
        return f"The weights have grown without bound: the loss is no number. Take a smaller learning rate.{marked}"
    if max(abs(last.predicted), abs(last.actual)) < ROUNDING:
        return f"The step is so short that rounding hides what it changed. Take a larger learning rate.{marked}"
    if last.predicted > 0:
        went = "rose" if last.actual > 0 else "fell all the same"
        return (
            f"AdamW also follows the gradients of earlier steps: this move went uphill, and the loss {went}.{marked}"
        )
    if last.actual > 0:
        return (
            f"The step was too long: the slope promised less loss, and the loss went up. Go back to the start and"
            f" take a smaller learning rate.{marked}"
        )
    share = last.actual / last.predicted
    if share > 0.9:
        return f"The loss fell by {share:.1%} of what the slope promised: the step is short enough.{marked}"
    return (
        f"The loss fell by {share:.1%} of what the slope promised: the step is so long that the slope changes on the"
        f" way.{marked}"
    )
