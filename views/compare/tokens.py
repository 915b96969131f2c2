"""What lies behind the numbers: the tokens under each side."""

from collections.abc import Sequence
from functools import lru_cache, partial
from statistics import fmean

import pandas as pd
import streamlit as st

from gptloss.analysis.alignment import Span, same_vocabulary
from gptloss.charts.colours import RUNS
from gptloss.charts.compare import TokenPanel, difference_chart, token_chart
from gptloss.charts.loss import expected_chart
from gptloss.charts.theme import CONFIG
from gptloss.errors import GptlossError
from gptloss.measures import kl_divergence
from gptloss.models import find
from gptloss.numbers import LOGARITHMS, Units, in_units, position_name
from gptloss.serving.question import Question
from gptloss.serving.readings import reading
from gptloss.tokens import text_of
from views.compare.numbers import heading
from views.compare.sides import Side, UnreadSide, choose_token, ladder, logits, place_of_other_contexts, sides, spans
from views.components.choice import chosen
from views.components.ladder_table import ladder_table
from views.shared.markdown import literal
from views.shared.tables import numbers_as_tables
from views.visit import session
from views.visit.settings import Settings


@st.fragment
def token_comparison(unread: Sequence[UnreadSide]) -> None:
    """The tokens of one text under each side: their losses, what was expected, the ladders, the tables.

    `unread` are those that can be read; they, and not the sides, are what a fragment may keep.
    """
    session.write_link()
    settings = session.settings()
    shown = sides(unread, settings)
    if not shown:
        st.info("Nothing can be compared yet: write some text above.")
        return
    _row_chooser(shown[0])
    bars = st.container()
    if opening := session.just_opened():  # so that nothing jumps
        with bars:
            _token_bars(shown, unread, settings)
    _differences(shown, settings)
    _expected(shown, settings)
    _ladders(shown, unread, settings)
    _tables(shown)
    if not opening:  # the slowest to draw, so it comes after what a click asked for
        with bars:
            _token_bars(shown, unread, settings)


def _row_chooser(first: Side) -> None:
    if len(first.batch.rows) < 2:
        return
    session.give("row", first.i)
    names = {row.number: _short(text_of([*row.inputs[:1], *row.targets])) for row in first.batch.rows}
    st.segmented_control(
        "Show the tokens of",
        list(names),
        format_func=lambda number: f"{number} · {literal(names[number])}",
        key="row",
        required=True,
        on_change=lambda: session.change(spot=(st.session_state.row, 1)),
    )


def _short(text: str) -> str:
    return text if len(text) <= 34 else f"{text[:32].rstrip()} …"


def _token_bars(shown: Sequence[Side], unread: Sequence[UnreadSide], settings: Settings) -> None:
    line = f", line {shown[0].i}" if len(shown[0].batch.rows) > 1 else ""
    drawn = [
        TokenPanel(
            f"{side.title}: {in_units(fmean(p.loss for p in side.row), settings.units):.4f} per token",
            side.row,
            side.j,
            RUNS[side.colour],
        )
        for side in shown
    ]
    st.plotly_chart(
        token_chart(drawn, settings.units, f"Loss of each token{line}"),
        key="tokens",
        config=CONFIG,
        on_select=partial(_choose_bar, unread),
        selection_mode="points",
        alt="A panel of bars for each run, a bar for each token. " + " ".join(panel.title + "." for panel in drawn),
    )


def _choose_bar(unread: Sequence[UnreadSide]) -> None:
    points = st.session_state.tokens.selection.points
    if points:
        shown = sides(unread, session.settings())
        choose_token(shown, points[0]["curve_number"], shown[0].i, int(points[0]["customdata"][0]))


def _differences(shown: Sequence[Side], settings: Settings) -> None:
    """The first side against each of the others."""
    first = shown[0]
    for side in shown[1:]:
        shared = spans(first.row, side.row, settings)
        if shared:
            models = settings.comparing == "models"
            knew = f"{side.title} knew better" if models else "dearer in Text A; only in A → only in B"
            colours = RUNS[first.colour], RUNS[side.colour]
            _difference_chart(side.n, shared, (first.title, side.title), settings.units, knew, colours)


@st.cache_data(max_entries=256, show_spinner=False)
def _difference_chart(
    n: int, shared: tuple[Span, ...], titles: tuple[str, str], units: Units, above: str, colours: tuple[str, str]
) -> None:
    """What was drawn once is replayed, for any visitor."""
    chart = difference_chart(shared, titles, units, above, colours)
    said = f"Bars: the loss of {titles[0]} minus that of {titles[1]}, in {units}, for each stretch of text."
    st.plotly_chart(chart, key=f"difference-{n}", config=CONFIG, alt=said)


def _expected(shown: Sequence[Side], settings: Settings) -> None:
    """What each side expected at the chosen place, and how far apart two distributions are."""
    columns = st.columns(2)
    for n, side in enumerate(shown):
        with columns[n % 2].container(border=True):
            heading(side.title, f"expected-{n}")
            if side.j is None:
                st.text("has no token to predict in this place.")
                continue
            _expected_chart(n, side.question, (side.i, side.j))
    for n, side in enumerate(shown[1:], 1):
        _divergence(n, shown[0], side, settings)


@st.cache_data(max_entries=256, show_spinner=False)
def _expected_chart(n: int, question: Question, at: tuple[int, int]) -> None:
    batch = reading(question).batch
    assert batch is not None, "only what was scored is drawn"
    first = batch.argmax[batch.index(*at)].label
    chart = expected_chart(batch, *at)
    st.plotly_chart(chart, key=f"expected-{n}", config=CONFIG, alt=f"Bars of the likeliest tokens; first {first}.")


def _divergence(n: int, one: Side, other: Side, settings: Settings) -> None:
    if one.j is None or other.j is None or not _same_vocabulary(one.question.model, other.question.model):
        return
    j, later = one.j, ""
    same_model = one.question.model == other.question.model
    if same_model:
        place = place_of_other_contexts(one, other)
        if place is None:
            return
        if place != j:
            later = f" At {position_name(one.i, j)} both have read the same, so it would be 0 there."
        j = place
    try:
        p, q = logits(one, j)[None], logits(other, j if same_model else other.j)[None]
    except GptlossError:  # the ladder shows the error
        return
    there, back = (in_units(kl_divergence(*pair).item(), settings.units) for pair in ((p, q), (q, p)))
    log, units = LOGARITHMS[settings.units].latex, rf"\text{{{settings.units}}}"
    with st.container(border=True, key=f"divergence-{n}"):
        st.text(
            f"{one.title} (p) and {other.title} (q) have the same vocabulary, so their distributions at"
            f" {position_name(one.i, j)} can be compared.{later} The KL divergence is what it costs more to expect q"
            " where p is true; it is 0 only if both are the same:"
        )
        st.latex(
            rf"\begin{{aligned}} \mathrm{{KL}}(p \| q) &= \sum_{{v=1}}^{{{len(p[0])}}} p_v {log} \frac{{p_v}}{{q_v}}"
            rf" = {there:.4f}\ {units} \\ \mathrm{{KL}}(q \| p) &= {back:.4f}\ {units} \end{{aligned}}"
        )


@lru_cache(maxsize=32)
def _same_vocabulary(one: str, other: str) -> bool:
    return same_vocabulary(find(one).tokenizer(), find(other).tokenizer())


def _ladders(shown: Sequence[Side], unread: Sequence[UnreadSide], settings: Settings) -> None:
    """A ladder for each side, drawn when they are unfolded."""
    with st.expander("Ladders", icon=":material/stairs:", key="compare-ladders", on_change=session.change) as fold:
        if fold.open:
            _draw_ladders(shown, unread, settings)


def _draw_ladders(shown: Sequence[Side], unread: Sequence[UnreadSide], settings: Settings) -> None:
    for n, side in enumerate(shown):
        heading(side.title, f"ladder-{n}")
        try:
            data = ladder(side, settings.units)
        except GptlossError as error:
            st.text(str(error))
            continue
        ladder_table(data, at=side.column, key=f"ladder-{n}", on_choose=partial(_choose_column, unread, n))


def _choose_column(unread: Sequence[UnreadSide], n: int) -> None:
    shown = sides(unread, session.settings())
    choose_token(shown, n, *chosen(f"ladder-{n}", shown[n].batch))


def _tables(shown: Sequence[Side]) -> None:
    with numbers_as_tables("compare-tables") as opened:
        if opened:
            st.dataframe(_summary(shown), hide_index=True, key="summary")
            for n, side in enumerate(shown):
                st.text(f"{side.title}: the tokens of the shown text; losses in nats")
                st.dataframe(_token_table(side), hide_index=True, key=f"pieces-{n}")


def _summary(shown: Sequence[Side]) -> pd.DataFrame:
    return pd.DataFrame(
        {
            "run": [side.title for side in shown],
            "tokens": [len(side.batch) for side in shown],
            "bytes": [side.batch.target_bytes for side in shown],
            "loss (nats per token)": [side.batch.loss for side in shown],
            "perplexity": [side.batch.perplexity for side in shown],
            "bits per byte (of these bytes)": [side.batch.bits_per_byte for side in shown],
        }
    )


def _token_table(side: Side) -> pd.DataFrame:
    return pd.DataFrame(
        [(piece.j, piece.label, piece.start, piece.stop - piece.start, piece.loss) for piece in side.row],
        columns=["j", "token", "first byte", "bytes", "loss"],
    )
