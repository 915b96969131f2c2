"""The page "Compare", below its controls: the numbers side by side, and the tokens behind them."""

from collections.abc import Sequence
from functools import lru_cache, partial

import pandas as pd
import streamlit as st

from gptloss.charts.compare import Run, difference_chart, token_chart
from gptloss.charts.loss import expected_chart
from gptloss.charts.theme import CONFIG
from gptloss.compare import pieces, same_vocabulary, spans_of_text, spans_of_tokens
from gptloss.errors import GptlossError
from gptloss.ladder import in_units
from gptloss.measures import kl_divergence
from gptloss.models import find
from gptloss.numbers import Units, perplexity_text, position_name
from gptloss.scoring import ScoredBatch
from gptloss.tokens import text_of
from views import shell
from views.cache import reading
from views.compared import Compared, choose, compared, place, row_shown
from views.comparison import asked
from views.components.ladder_table import chosen, first_column, ladder_table
from views.inside import cached_ladder_data
from views.settings import Asked, Settings

WHY_BYTES = (
    "Each model cuts text into tokens of its own, so a loss per token is not the same thing for two models."
    " Bits per byte spreads the whole loss over the bytes of the text, which are the same for all: compare that."
)


def numbers(settings: Settings) -> None:
    """A card for each run: loss, perplexity and bits per byte; and what could not be read."""
    runs = asked(settings)
    for n, (column, (title, question)) in enumerate(zip(st.columns(max(len(runs), 2)), runs, strict=False)):
        with column.container(border=True, key=f"run-{n}", gap="xsmall"):
            st.text(title)
            try:
                _card(question, settings)
            except GptlossError as error:
                st.text(str(error))
    if len(runs) > 1 and settings.comparing == "models":
        st.caption(WHY_BYTES)


def _card(question: Asked, settings: Settings) -> None:
    result = reading(*question)
    batch = result.batch
    with st.container(horizontal=True, gap="medium"):
        st.metric(
            f"Loss, {settings.units} per token", f"{in_units(batch.loss, settings.units):.4f}" if batch else "–"
        )
        st.metric("Perplexity", perplexity_text(batch.loss) if batch else "–")
        st.metric("Bits per byte", f"{batch.bits_per_byte:.4f}" if batch else "–")
    if batch:
        st.caption(f"{len(batch):,} tokens, {batch.target_bytes:,} bytes scored")
    for error in result.errors.values():
        st.text(str(error))


@st.fragment
def tokens() -> None:
    """The tokens of one text under each run: their losses, what was expected, the ladders, the tables."""
    shell.write_link()
    settings = shell.settings()
    runs = compared(settings)
    if not runs:
        st.info("Nothing can be compared yet: write some text above.")
        return
    _row_chooser(runs[0].batch, settings)
    _token_bars(runs, settings)
    _differences(runs, settings)
    _expected(runs, settings)
    _ladders(runs, settings)
    _tables(runs, settings)


def _row_chooser(batch: ScoredBatch, settings: Settings) -> None:
    if len(batch.rows) < 2:
        return
    shell.give("row", row_shown(settings))
    names = {row.number: _short(text_of([*row.inputs[:1], *row.targets])) for row in batch.rows}
    st.segmented_control(
        "Show the tokens of",
        list(names),
        format_func=lambda number: f"{number} · {names[number]}",
        key="row",
        required=True,
        on_change=lambda: shell.change(at=(st.session_state.row, 1)),
    )


def _short(text: str) -> str:
    return text if len(text) <= 34 else f"{text[:32].rstrip()} …"


def _token_bars(runs: Sequence[Compared], settings: Settings) -> None:
    drawn = [
        Run(
            f"{run.title}: {in_units(sum(p.loss for p in run.row) / len(run.row), settings.units):.4f} per token",
            run.row,
            place(runs, n, settings),
        )
        for n, run in enumerate(runs)
    ]
    st.plotly_chart(
        token_chart(drawn, settings.units),
        key="tokens",
        config=CONFIG,
        on_select=partial(_choose_bar, runs),
        selection_mode="points",
        alt="A panel of bars for each run, a bar for each token. " + " ".join(run.title + "." for run in drawn),
    )


def _choose_bar(runs: Sequence[Compared]) -> None:
    points = st.session_state.tokens.selection.points
    if points:
        choose(runs, points[0]["curve_number"], row_shown(shell.settings()), int(points[0]["customdata"][0]))


def _differences(runs: Sequence[Compared], settings: Settings) -> None:
    """The first run against each of the others."""
    first = runs[0]
    for n, run in enumerate(runs[1:], 1):
        by_tokens = settings.comparing == "texts"
        _difference_chart(
            n, (first.title, run.title), (first.asked, run.asked), row_shown(settings), settings.units, by_tokens
        )


@st.cache_data(max_entries=256, show_spinner=False)
def _difference_chart(
    n: int, titles: tuple[str, str], questions: tuple[Asked, Asked], i: int, units: Units, by_tokens: bool
) -> None:
    first = _batch(questions[0])
    one, other = pieces(first, i), pieces(_batch(questions[1]), i)
    spans = (spans_of_tokens if by_tokens else spans_of_text)(one, other)
    if spans:
        chart = difference_chart(spans, _text(first, i), titles, units, (0, n))
        said = f"Bars: the loss of {titles[0]} minus that of {titles[1]}, in {units}, for each stretch of text."
        st.plotly_chart(chart, key=f"difference-{n}", config=CONFIG, alt=said)


def _text(batch: ScoredBatch, i: int) -> bytes:
    """The bytes of row i, with what only is read."""
    row = next(row for row in batch.rows if row.number == i)
    only_read = row.inputs[:1] if pieces(batch, i)[0].start else ()
    return b"".join(token.raw for token in (*only_read, *row.targets))


def _expected(runs: Sequence[Compared], settings: Settings) -> None:
    """What each run expected at the chosen place, and how far apart two distributions are."""
    columns = st.columns(2)
    for n, run in enumerate(runs):
        j = place(runs, n, settings)
        with columns[n % 2].container(border=True):
            st.text(run.title)
            if j is None:
                st.text("has no token to predict in this place.")
                continue
            _expected_chart(n, run.asked, (row_shown(settings), j))
    for n in range(1, len(runs)):
        _divergence(runs, n, settings)


@st.cache_data(max_entries=256, show_spinner=False)
def _expected_chart(n: int, question: Asked, at: tuple[int, int]) -> None:
    """What was drawn once is replayed, for any visitor."""
    batch = _batch(question)
    first = batch.argmax[batch.index(*at)].label
    chart = expected_chart(batch, *at)
    st.plotly_chart(chart, key=f"expected-{n}", config=CONFIG, alt=f"Bars of the likeliest tokens; first {first}.")


def _batch(question: Asked) -> ScoredBatch:
    batch = reading(*question).batch
    assert batch is not None, "only what was scored is drawn"
    return batch


def _divergence(runs: Sequence[Compared], n: int, settings: Settings) -> None:
    j, k = place(runs, 0, settings), place(runs, n, settings)
    one, other = runs[0], runs[n]
    if j is None or k is None or not _same_vocabulary(one.asked[0], other.asked[0]):
        return
    i = row_shown(settings)
    p, q = (run.batch.logits_at(i, at)[None] for run, at in ((one, j), (other, k)))
    there, back = (in_units(kl_divergence(*pair).item(), settings.units) for pair in ((p, q), (q, p)))
    log, units = ("ln" if settings.units == "nats" else "log_2"), rf"\text{{{settings.units}}}"
    with st.container(border=True, key=f"divergence-{n}"):
        st.text(
            f"{one.title} (p) and {other.title} (q) have the same vocabulary, so their distributions at"
            f" {position_name(i, j)} can be compared. The KL divergence is what it costs more to expect q where p is"
            " true; it is 0 only if both are the same:"
        )
        st.latex(
            rf"\begin{{aligned}} \mathrm{{KL}}(p \| q) &= \sum_{{v=1}}^{{{len(p[0])}}} p_v \{log} \frac{{p_v}}{{q_v}}"
            rf" = {there:.4f}\ {units} \\ \mathrm{{KL}}(q \| p) &= {back:.4f}\ {units} \end{{aligned}}"
        )


@lru_cache(maxsize=32)
def _same_vocabulary(one: str, other: str) -> bool:
    return same_vocabulary(find(one).tokenizer(), find(other).tokenizer())


def _ladders(runs: Sequence[Compared], settings: Settings) -> None:
    for n, run in enumerate(runs):
        k = run.batch.index(row_shown(settings), place(runs, n, settings) or 1)
        with st.container(key=f"title-{n}"):
            st.text(run.title)
        ladder_table(
            cached_ladder_data(run.asked, first_column(k), settings.units),
            at=k,
            key=f"ladder-{n}",
            on_choose=partial(_choose_column, runs, n),
        )


def _choose_column(runs: Sequence[Compared], n: int) -> None:
    choose(runs, n, *chosen(f"ladder-{n}", runs[n].batch))


def _tables(runs: Sequence[Compared], settings: Settings) -> None:
    with st.expander(
        "The numbers as tables", icon=":material/table:", key="compare-tables", on_change=shell.change
    ) as tables:
        if tables.open:
            st.dataframe(_summary(runs), hide_index=True, key="summary")
            for n, run in enumerate(runs):
                st.text(f"{run.title}: the tokens of the shown text; losses in nats")
                st.dataframe(_token_table(run), hide_index=True, key=f"pieces-{n}")


def _summary(runs: Sequence[Compared]) -> pd.DataFrame:
    return pd.DataFrame(
        {
            "run": [run.title for run in runs],
            "tokens": [len(run.batch) for run in runs],
            "bytes": [run.batch.target_bytes for run in runs],
            "loss (nats per token)": [run.batch.loss for run in runs],
            "perplexity": [run.batch.perplexity for run in runs],
            "bits per byte": [run.batch.bits_per_byte for run in runs],
        }
    )


def _token_table(run: Compared) -> pd.DataFrame:
    return pd.DataFrame(
        [(piece.j, piece.label, piece.start, piece.stop - piece.start, piece.loss) for piece in run.row],
        columns=["j", "token", "first byte", "bytes", "loss"],
    )
