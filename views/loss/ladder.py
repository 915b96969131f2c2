"""The ladder and the charts under it: one fragment, so that choosing a column redraws nothing else."""

from typing import Any

import streamlit as st

from gptloss.charts.colours import TARGET
from gptloss.charts.loss import expected_chart, logs_chart
from gptloss.charts.probabilities import Mark
from gptloss.charts.ranks import rank_chart
from gptloss.charts.theme import CONFIG
from gptloss.lessons.ladder import steps
from gptloss.numbers import Units, odds_text, position_name, proba_text
from gptloss.prediction.distribution import Distribution
from gptloss.scoring.batch import ScoredBatch
from gptloss.serving.question import Question
from gptloss.serving.readings import reading
from gptloss.tables import ladder_table as ladder_frame
from gptloss.tables import predictions_table
from views.components.choice import chosen
from views.components.ladder_table import cached_ladder_data, first_column, ladder_table
from views.shared.tables import DIGITS, numbers_as_tables
from views.visit import session
from views.visit.settings import Settings

LADDER = "ladder"
TABLE_TOP = 20


@st.fragment
def ladder_and_charts() -> None:
    """The ladder table, the steps explained, and the charts of the chosen p_ij."""
    session.write_link()
    settings = session.settings()
    batch = _batch(settings)
    if batch is None:
        st.info("No row can be scored yet: mend a row above, or choose an example.")
    else:
        ladder_table(
            cached_ladder_data(settings.question, _start(batch, settings), settings.units),
            at=batch.index(*settings.at),
            key=LADDER,
            on_choose=_choose,
        )
        _explanation(batch, settings)
        _charts(settings.question, settings.at, settings.units)
        _tables(batch, settings)


def _batch(settings: Settings) -> ScoredBatch | None:
    return reading(settings.question).batch


def _start(batch: ScoredBatch, settings: Settings) -> int:
    return first_column(batch.index(*settings.at))


def _choose() -> None:
    batch = _batch(session.settings())
    if batch is not None:
        session.change(at=chosen(LADDER, batch))


def _explanation(batch: ScoredBatch, settings: Settings) -> None:
    """One step at a time: the formula with this example's numbers, a sentence, the PyTorch lines."""
    all_steps = steps(batch, *settings.at, settings.units)
    session.give("step", settings.step or None)
    st.segmented_control(
        "How is it computed?",
        range(1, len(all_steps) + 1),
        format_func=lambda number: f"{number} · {all_steps[number - 1].name}",
        key="step",
        on_change=lambda: session.change(step=st.session_state.step or 0),
    )
    if settings.step:
        step = all_steps[settings.step - 1]
        with st.container(border=True, key="explanation"):
            st.text(step.sentence)
            formula, code = st.columns([2, 3], vertical_alignment="center")
            formula.latex(step.latex)
            code.code(step.code, language="python", wrap_lines=True)


@st.cache_data(max_entries=256, show_spinner=False)
def _charts(question: Question, at: tuple[int, int], units: Units) -> None:
    """The three charts of p_ij. What was drawn once is replayed, for any visitor."""
    batch = reading(question).batch
    assert batch is not None
    k = batch.index(*at)
    i, j = at
    target, log_proba, rank = batch.targets[k], batch.log_probas[k].item(), int(batch.ranks[k])
    said = f"{position_name(i, j)}: target {target.label}, probability {proba_text(log_proba)}, rank {rank:,}."
    first = batch.argmax[k].label
    left, right = st.columns(2, gap="medium")
    with left.container(border=True):
        _chart(
            expected_chart(batch, i, j), "expected", f"Bars of the likeliest tokens. {said} First choice: {first}."
        )
    with right.container(border=True):
        _chart(
            rank_chart(Distribution(batch.logits_at(i, j)), [Mark(target, "", TARGET)]),
            "distribution",
            f"All probabilities from most to least likely. {said} That is {odds_text(log_proba)}.",
        )
    with st.container(border=True):
        _chart(
            logs_chart(batch, i, j, units),
            "logs",
            f"A bar for the log of each of {len(batch)} target probabilities; their mean is"
            f" {batch.avg_log_proba:.4f} nats. The table below has each number.",
        )


def _chart(figure: Any, key: str, alt: str) -> None:
    st.plotly_chart(figure, key=key, config=CONFIG, alt=alt)


def _tables(batch: ScoredBatch, settings: Settings) -> None:
    with numbers_as_tables("tables") as opened:
        if opened:
            st.caption("The ladder, a line for each target token; logs and entropies in nats")
            st.dataframe(ladder_frame(batch), hide_index=True, column_config=DIGITS, key="ladder-frame")
            i, j = settings.at
            st.caption(f"The {TABLE_TOP} likeliest tokens at {position_name(i, j)}")
            top = predictions_table(batch.top(i, j, TABLE_TOP))
            st.dataframe(top, hide_index=True, column_config=DIGITS, key="top-frame")
