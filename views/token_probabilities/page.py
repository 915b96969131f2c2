"""What stands below the text, in one fragment, so that choosing a token redraws nothing else."""

import pandas as pd
import streamlit as st

from gptloss.charts.loss import position_title
from gptloss.charts.probabilities import likeliest_chart
from gptloss.charts.ranks import cumulative_chart, rank_chart
from gptloss.charts.theme import CONFIG
from gptloss.charts.vocabulary import index_sentence, vocabulary_chart
from gptloss.numbers import LOGARITHMS, in_units, odds_text, perplexity_text, proba_text
from gptloss.prediction.distribution import softmax_latex
from gptloss.serving.question import Question
from gptloss.tables import predictions_table
from views.shared import ticks
from views.shared.choose_one import choose_one
from views.shared.markdown import literal
from views.shared.position_strip import position_strip
from views.shared.tables import DIGITS, numbers_as_tables
from views.token_probabilities.pins import pinned, pins
from views.token_probabilities.position import ChosenPosition, chosen_position
from views.token_probabilities.search import search
from views.visit import session
from views.visit.fields.kinds import Pin
from views.visit.fields.probabilities import FEWEST_SHOWN, MOST_SHOWN, View
from views.visit.settings import Settings

ORDERS = {"index": "by index", "rank": "by rank"}
VIEWS = {"probas": "Probabilities", "logits": "Logits"}


@st.fragment
def position_view() -> None:
    """The strip, and everything about the position that is chosen in it.

    The charts are sent first, and of them the bars, which need no more than is kept of every position: the browser
    draws them while the rest is still being worked out.
    """
    settings = session.settings()
    position = chosen_position(settings)
    if position is None:  # the page has said why
        return session.write_link()
    said = _said(position)
    above, charts = st.container(), st.container()
    with charts:
        _charts(position, said)
    ticks.let_draw()
    with above:
        position_strip(position.settings)
        _figures(position)
    _softmax(position)
    left, right = st.columns(2, gap="medium")
    with left.container(border=True):
        search(position)
    with right.container(border=True):
        pins(position)
    pinned(position)
    with st.container(border=True):
        _shares(settings.question, settings.at, settings.pins, position)
    _tables(position)
    session.write_link()


def _figures(position: ChosenPosition) -> None:
    """What the target cost here, beside what the model expected it to cost."""
    units, line, id = position.settings.units, position.distribution, position.target.id
    log_proba, excess = line.log_proba(id), round(in_units(line.excess(id), units), 4) + 0.0  # never -0.0000
    log, base = LOGARITHMS[units].symbol, LOGARITHMS[units].base
    figures = [
        (
            f"Probability of {literal(position.target.label)}",
            proba_text(log_proba),
            f"{odds_text(log_proba)} · rank {line.rank(id):,}",
        ),
        (f"Surprisal, {units}", f"{in_units(-log_proba, units):.4f}", f"= −{log} p"),
        (f"Entropy, {units}", f"{in_units(line.entropy, units):.4f}", "the surprisal it expects"),
        ("Effective choices", perplexity_text(line.entropy), f"= {base}^entropy, of {position.v:,}"),
        (f"Surprisal − entropy, {units}", f"{excess:+.4f}", _verdict(excess)),
    ]
    with st.container(horizontal=True, gap="small", key="figures-here"):
        for label, value, note in figures:
            st.metric(label, value, note, delta_color="off", delta_arrow="off")


def _verdict(excess: float) -> str:
    """Whether the token surprised the model more than it expects to be surprised here."""
    if excess == 0:
        return "as surprising as expected"
    return f"{'more' if excess > 0 else 'less'} surprising than expected"


def _charts(position: ChosenPosition, said: str) -> None:
    """What the model expected, as bars, and all V by rank; each with its controls."""
    settings = position.settings
    left, right = st.columns(2, gap="medium")
    with left.container(border=True, height="stretch"):
        shown = settings.shown, settings.view
        _likeliest(settings.question, settings.at, shown, settings.token, settings.pins, position, said)
        _bar_controls(settings)
    with right.container(border=True, height="stretch"):
        if settings.order == "rank":
            cuts = settings.top_k, settings.top_p
            _ranks(settings.question, settings.at, cuts, settings.token, settings.pins, position, said)
            choose_one("order", "Order", ORDERS, hide_label=True)
            _cut_controls(position)
        else:
            _indices(settings.question, settings.at, settings.token, settings.pins, position, said)
            choose_one("order", "Order", ORDERS, hide_label=True)


def _bar_controls(settings: Settings) -> None:
    many, view = st.columns(2, gap="medium", vertical_alignment="bottom")
    session.give("shown", settings.shown)
    many.slider(
        "Likeliest tokens",
        FEWEST_SHOWN,
        MOST_SHOWN,
        key="shown",
        on_change=lambda: session.change(shown=st.session_state.shown),
    )
    choose_one(
        "view",
        "Bars show",
        VIEWS,
        view,
        help="Two views of the same thing: a softmax turns logits into probabilities and keeps their order.",
    )


def _cut_controls(position: ChosenPosition) -> None:
    by_k, by_p = st.columns(2, gap="medium", vertical_alignment="bottom")
    session.give("top_k", min(position.settings.top_k, position.v))
    by_k.number_input(
        "Cut at top-k (0: off)",
        0,
        position.v,
        step=10,
        key="top_k",
        on_change=lambda: session.change(top_k=st.session_state.top_k),
        help="Keep only the k likeliest tokens when a token is drawn.",
    )
    session.give("top_p", position.settings.top_p)
    by_p.number_input(
        "Cut at top-p (1: off)",
        0.01,
        1.0,
        step=0.05,
        key="top_p",
        on_change=lambda: session.change(top_p=st.session_state.top_p),
        help="Keep only the fewest likeliest tokens that hold this share of the probability; after top-k.",
    )


@st.cache_data(max_entries=256, show_spinner=False)
def _likeliest(
    question: Question,
    at: tuple[int, int],
    shown: tuple[int, View],
    token: int | None,
    pinned: tuple[Pin, ...],
    _position: ChosenPosition,
    _said: str,
) -> None:
    """What was drawn once is replayed, for any visitor; `_position` and what is said of it follow from the rest."""
    title = position_title(_position.batch, *at)
    many, view = shown
    first = _position.first(many)
    chart = likeliest_chart(title, first, _position.marked(first), _position.marks, view)
    st.plotly_chart(chart, key="likeliest", config=CONFIG, alt=f"Bars of the likeliest tokens. {_said}")


@st.cache_data(max_entries=256, show_spinner=False)
def _ranks(
    question: Question,
    at: tuple[int, int],
    cuts: tuple[int, float],
    token: int | None,
    pinned: tuple[Pin, ...],
    _position: ChosenPosition,
    _said: str,
) -> None:
    chart = rank_chart(_position.distribution, _position.marks, _position.name, _position.others, *cuts)
    alt = f"All probabilities from most to least likely. {_said}"
    st.plotly_chart(chart, key="ranks", config=CONFIG, alt=alt)


@st.cache_data(max_entries=256, show_spinner=False)
def _indices(
    question: Question,
    at: tuple[int, int],
    token: int | None,
    pinned: tuple[Pin, ...],
    _position: ChosenPosition,
    _said: str,
) -> None:
    chart = vocabulary_chart(_position.distribution, _position.index_marks, index_sentence(_position.batch, at))
    alt = f"All probabilities in the order of the vocabulary. {_said}"
    st.plotly_chart(chart, key="ranks", config=CONFIG, alt=alt)


@st.cache_data(max_entries=256, show_spinner=False)
def _shares(question: Question, at: tuple[int, int], pinned: tuple[Pin, ...], _position: ChosenPosition) -> None:
    chart = cumulative_chart(_position.distribution, _position.name, _position.others)
    half, most, nearly = _position.distribution.holders()
    alt = f"The likeliest tokens added up: {half:,} hold half of the probability, {most:,} 90 %, {nearly:,} 99 %."
    st.plotly_chart(chart, key="shares", config=CONFIG, alt=alt)


def _said(position: ChosenPosition) -> str:
    first, target = position.first(1)[0], position.batch.prediction(*position.at, position.target.id)
    return (
        f"{position.name}: target {target.token.label}, probability {proba_text(target.log_proba)},"
        f" rank {target.rank:,}. First: {first.token.label}."
    )


def _softmax(position: ChosenPosition) -> None:
    """From logit to probability for one token, with its numbers."""
    line, subject = position.distribution, position.subject
    first = position.token(line.likeliest(1)[0])
    with st.container(border=True, key="softmax"):
        st.text(
            f"Softmax for {subject.label}, logit z = {line.logit(subject.id):.4f}. We subtract the largest logit,"
            f" that of {first.label}, from every logit; p stays the same and e^z cannot overflow."
        )
        st.latex(softmax_latex(line, subject.id))


def _tables(position: ChosenPosition) -> None:
    with numbers_as_tables("place-tables") as opened:
        if opened:
            st.caption(f"The {position.settings.shown} likeliest tokens at {position.name}; logs in nats")
            top = predictions_table(position.batch.top(*position.at, position.settings.shown))
            st.dataframe(top, hide_index=True, column_config=DIGITS, key="top-frame")
            st.caption("How many of the likeliest tokens hold a share of the probability")
            st.dataframe(_share_table(position), hide_index=True, key="share-frame")


def _share_table(position: ChosenPosition) -> pd.DataFrame:
    return pd.DataFrame({"share": ["50 %", "90 %", "99 %"], "tokens": position.distribution.holders()})
