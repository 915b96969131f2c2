"""The gradient at the logits of the chosen p_ij: which tokens are pushed where, and why by so much."""

import streamlit as st

from gptloss.charts.theme import CONFIG
from gptloss.charts.training.gradients import logit_curve_chart, pushes_chart
from gptloss.lessons.gradients import gradient_latex, logit_curve, pushes
from gptloss.numbers import Units, position_name, proba_text
from gptloss.scoring.batch import ScoredBatch
from gptloss.serving.question import Question
from gptloss.serving.readings import batch_of
from views.shared import ticks
from views.shared.position_strip import position_strip
from views.shared.scored_text import scored
from views.visit import session


@st.fragment
def logits_view() -> None:
    """The text to choose a target in, the two charts of that target, and the formula with its numbers."""
    settings = session.settings()
    batch = scored(settings)
    if batch is None:  # the page has said why
        return session.write_link()
    above, charts = st.container(), st.container()
    with charts:
        left, right = st.columns(2, gap="medium")
        with left.container(border=True, height="stretch"):
            _pushes(settings.question, settings.at, settings.units)
        with right.container(border=True, height="stretch"):
            _curve(settings.question, settings.at, settings.units)
    ticks.let_draw()
    with above:
        position_strip(settings)
    _formula(batch, settings.at)
    session.write_link()


@st.cache_data(max_entries=256, show_spinner=False)
def _pushes(question: Question, at: tuple[int, int], units: Units) -> None:
    """What was drawn once is replayed, for any visitor."""
    batch = batch_of(question)
    pushed, v = pushes(batch, *at), batch.model.info.vocab_size
    alt = (
        f"Bars of the push on each logit at {position_name(*at)}: the target {pushed[0].token.label} goes up, every"
        " other token down in proportion to its probability; the sum is 0."
    )
    chart = pushes_chart(pushed, v, at, units)
    st.plotly_chart(chart, key="pushes", config=CONFIG, alt=alt)


@st.cache_data(max_entries=256, show_spinner=False)
def _curve(question: Question, at: tuple[int, int], units: Units) -> None:
    curve = logit_curve(batch_of(question), *at)
    alt = (
        f"The loss at {position_name(*at)} falls as the target's logit grows. At {curve.logit:.4f} its slope is"
        f" {curve.slope:.4f}."
    )
    st.plotly_chart(logit_curve_chart(curve, at, units), key="curve", config=CONFIG, alt=alt)


def _formula(batch: ScoredBatch, at: tuple[int, int]) -> None:
    target = batch.targets[batch.index(*at)]
    proba = proba_text(batch.log_probas[batch.index(*at)].item())
    with st.container(border=True, key="gradient-formula"):
        sentence, formula = st.columns([8, 9], gap="medium", vertical_alignment="center")
        sentence.text(
            "The gradient of the loss at the logits is softmax minus one-hot, divided by the number N of targets."
            f" {target.label} has p = {proba}: the smaller p is, the harder its logit is pushed up."
        )
        formula.latex(gradient_latex(batch, *at))
