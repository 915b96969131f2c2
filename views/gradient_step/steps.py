"""Real optimiser steps on a copy of the whole model: what they promise, and what comes."""

import math
from typing import Any

import streamlit as st

from gptloss.charts.gradients import climb_chart, layers_chart
from gptloss.charts.theme import CONFIG
from gptloss.errors import GptlossError
from gptloss.models import find
from gptloss.numbers import Units, in_units
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
# Notes of the visit: a step was asked for, what the steps were, and why one could not be taken.
WANTED, MADE, REFUSED = "step-wanted", "steps-made", "step-refused"


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
    made, refused = _noted(MADE, asked) or (), _noted(REFUSED, asked)
    with controls:
        _controls(settings, made)
    if refused:
        st.warning(refused)
    if made:
        _results(batch, made, settings)
    elif not refused:
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
    session.forget(REFUSED)
    session.change()


def _over() -> None:
    desk.forget(visitor())
    session.forget(MADE)
    session.forget(REFUSED)
    session.change()


def _take(asked: Steps, rate: float, weights: int) -> None:
    """One step, with progress. Its result is noted before anything is drawn: a click may end the run there."""
    with st.spinner(f"Forward, backward and a step on {weights / 1e6:,.0f} million weights …"):
        try:
            session.remember(MADE, (asked, desk.step(visitor(), asked, rate, is_connected)))
        except GptlossError as error:
            session.remember(REFUSED, (asked, str(error)))


def _results(batch: ScoredBatch, made: tuple[OptimizerStep, ...], settings: Settings) -> None:
    _figures(made[-1], settings.units)
    st.text(verdict(made))
    left, right = st.columns([11, 8], gap="medium")
    with left.container(border=True):
        names = ", ".join(token.label for token in batch.targets[:8])
        alt = f"Probabilities of the targets {names} before the first step and after each of {len(made)}."
        st.plotly_chart(climb_chart(batch, made), key="climb", config=CONFIG, alt=alt)
    with right.container(border=True):
        alt = f"A bar for the norm of the gradient of each of {len(made[-1].layers)} layers."
        st.plotly_chart(layers_chart(made[-1]), key="layers", config=CONFIG, alt=alt)


def _figures(step: OptimizerStep, units: Units) -> None:
    before, after = in_units(step.loss_before, units), in_units(step.loss_after, units)
    predicted, actual = in_units(step.predicted, units), in_units(step.actual, units)
    by_slope = math.isclose(step.predicted, -step.learning_rate * step.gradient_norm**2, rel_tol=1e-2)
    promise = "= −learning rate · ‖gradient‖²" if by_slope else "= gradient · move"
    figures = [
        ("Loss before", f"{before:.4f}", units),
        ("Loss after", f"{after:.4f}", f"step {step.number}, rate {step.learning_rate:g}"),
        ("Predicted change", f"{predicted:+.4f}", promise),
        ("Actual change", f"{actual:+.4f}", "after − before"),
        (
            "Norm of the gradient",
            f"{step.gradient_norm:.4g}",
            "of all weights, nats" if units == "nats" else "of all weights",
        ),
    ]
    with st.container(horizontal=True, gap="small", key="figures-here"):
        for label, value, note in figures:
            st.metric(label, value, note, delta_color="off", delta_arrow="off")


def verdict(made: tuple[OptimizerStep, ...]) -> str:
    """What the last step teaches, and at which learning rate the loss first went up."""
    last = made[-1]
    rose = [step for step in made if not step.actual < 0]
    marked = (
        f" The loss first went up at step {rose[0].number}, with a learning rate of {rose[0].learning_rate:g}."
        if rose and rose[0] is not last
        else ""
    )
    if not math.isfinite(last.loss_after):
        return f"The weights have grown without bound: the loss is no number. Take a smaller learning rate.{marked}"
    if last.actual > 0:
        return (
            f"The step was too long: the slope promised less loss, and the loss went up. Go back to the start and"
            f" take a smaller learning rate.{marked}"
        )
    share = last.actual / last.predicted if last.predicted else 1.0
    if share > 0.9:
        return f"The loss fell by {share:.1%} of what the slope promised: the step is short enough.{marked}"
    return (
        f"The loss fell by {share:.1%} of what the slope promised: the step is so long that the slope changes on the"
        f" way.{marked}"
    )
