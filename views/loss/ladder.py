"""The ladder and the charts under it: one fragment, so that choosing a column redraws nothing else."""

from typing import Any

import streamlit as st

from gptloss.charts.colours import TARGET
from gptloss.charts.loss import expected_chart, losses_chart
from gptloss.charts.probabilities import Mark
from gptloss.charts.ranks import rank_chart
from gptloss.charts.theme import CONFIG
from gptloss.charts.vocabulary import index_sentence, seven_words_chart, vocabulary_chart
from gptloss.lessons.ladder import steps
from gptloss.numbers import odds_text, position_name, proba_text
from gptloss.prediction.distribution import Distribution
from gptloss.scoring.batch import ScoredBatch
from gptloss.serving.question import Question
from gptloss.serving.readings import reading
from gptloss.tables import ladder_table as ladder_frame
from gptloss.tables import predictions_table
from views.components.choice import chosen
from views.components.ladder_table import cached_ladder_data, chosen_step, first_column, ladder_table
from views.shared import ticks
from views.shared.choose_one import choose_one
from views.shared.other_model import other_model
from views.shared.tables import DIGITS, numbers_as_tables
from views.visit import session
from views.visit.fields.probabilities import Order
from views.visit.settings import Settings

LADDER = "ladder"
TABLE_TOP = 20
ORDERS = {"index": "by index", "rank": "by rank", "seven": "seven words"}


@st.fragment
def ladder_and_charts() -> None:
    """The ladder table, the steps explained, and the charts of the chosen p_ij."""
    session.write_link()
    settings = session.settings()
    batch = _batch(settings)
    if batch is None:
        st.info("No row can be scored yet: mend a row above, or choose an example.")
    else:
        data = cached_ladder_data(settings.question, _start(batch, settings), settings.units)
        ladder_table(
            _with_other(data, batch, settings),
            at=batch.index(*settings.at),
            key=LADDER,
            on_choose=_choose,
            step=settings.step,
            on_explain=_explain,
        )
        _explanation(batch, settings)
        _charts(settings)
        _tables(batch, settings)


def _with_other(data: dict[str, Any], batch: ScoredBatch, settings: Settings) -> dict[str, Any]:
    """The ladder, and what the other model gave each target."""
    other = other_model(batch, settings)
    if other is None:
        return data
    logs = [other.log_probas[column["k"]] for column in data["columns"]]
    columns = [
        {**column, "other": "–" if log is None else proba_text(log)}
        for column, log in zip(data["columns"], logs, strict=True)
    ]
    return {**data, "other": other.word, "columns": columns}


def _batch(settings: Settings) -> ScoredBatch | None:
    return reading(settings.question).batch


def _start(batch: ScoredBatch, settings: Settings) -> int:
    return first_column(batch.index(*settings.at))


def _choose() -> None:
    batch = _batch(session.settings())
    if batch is not None:
        session.change(at=chosen(LADDER, batch))


def _explain() -> None:
    """Explain the step that was pressed; the one that is explained is closed."""
    step = chosen_step(LADDER)
    session.change(step=0 if step == session.settings().step else step)


def _explanation(batch: ScoredBatch, settings: Settings) -> None:
    """One step at a time: the formula with this example's numbers, a sentence, the PyTorch lines."""
    if not settings.step:
        return
    step = steps(batch, *settings.at, settings.units)[settings.step - 1]
    with st.container(border=True, key="explanation", gap="xsmall"):
        sentence, formula, code = st.columns([5, 6, 9], vertical_alignment="center", gap="small")
        sentence.text(f"{settings.step} · {step.name}. {step.sentence}")
        formula.latex(step.latex)
        code.code(step.code, language="python", wrap_lines=True)


def _charts(settings: Settings) -> None:
    """The three charts of p_ij."""
    left, right = st.columns(2, gap="medium")
    with left.container(border=True, height="stretch"):
        _expected(settings.question, settings.at)
    with right.container(border=True, height="stretch"):
        if settings.order == "seven":
            _seven_words()
        else:
            _all_probabilities(settings.question, settings.at, settings.order)
        choose_one("order", "Order", ORDERS, hide_label=True)
    ticks.let_draw()
    with st.container(border=True):
        _losses(settings)


@st.cache_data(max_entries=256, show_spinner=False)
def _expected(question: Question, at: tuple[int, int]) -> None:
    """What was drawn once is replayed, for any visitor."""
    batch = _read(question)
    alt = f"Bars of the likeliest tokens. {_said(batch, at)} First: {batch.argmax[batch.index(*at)].label}."
    _chart(expected_chart(batch, *at), "expected", alt)


@st.cache_data(max_entries=256, show_spinner=False)
def _all_probabilities(question: Question, at: tuple[int, int], order: Order) -> None:
    batch = _read(question)
    k, line = batch.index(*at), Distribution(batch.logits_at(*at))
    target = Mark(batch.targets[k], "▸", TARGET)
    if order == "rank":
        chart, said = rank_chart(line, [target]), "from most to least likely"
    else:
        chart, said = vocabulary_chart(line, [target], index_sentence(batch, at)), "in the order of the vocabulary"
    odds = odds_text(batch.log_probas[k].item())
    _chart(chart, "distribution", f"All probabilities {said}. {_said(batch, at)} That is {odds}.")


@st.cache_data(max_entries=1, show_spinner=False)
def _seven_words() -> None:
    _chart(seven_words_chart(), "distribution", "The probabilities of seven words; the target, effort, has index 1.")


def _read(question: Question) -> ScoredBatch:
    batch = reading(question).batch
    assert batch is not None, "only what was scored is drawn"
    return batch


def _said(batch: ScoredBatch, at: tuple[int, int]) -> str:
    k = batch.index(*at)
    target, log_proba, rank = batch.targets[k], batch.log_probas[k].item(), int(batch.ranks[k])
    return f"{position_name(*at)}: target {target.label}, probability {proba_text(log_proba)}, rank {rank:,}."


def _losses(settings: Settings) -> None:
    """What each token costs; a click on a bar chooses it."""
    batch = _read(settings.question)
    st.plotly_chart(
        losses_chart(batch, *settings.at, settings.units),
        key="losses",
        config=CONFIG,
        on_select=_choose_bar,
        selection_mode="points",
        alt=f"A bar for the loss of each of {len(batch)} target tokens; their mean is {batch.loss:.4f} nats. The"
        " table below has each number.",
    )


def _choose_bar() -> None:
    points, batch = st.session_state.losses.selection.points, _batch(session.settings())
    if points and batch is not None:
        session.change(at=batch.positions[min(int(points[0]["customdata"][0]), len(batch) - 1)])


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
