"""The page "Compare", below its controls: the numbers side by side, and the tokens behind them."""

from collections.abc import Sequence
from functools import lru_cache, partial
from statistics import fmean

import pandas as pd
import streamlit as st

from gptloss.charts.compare import Run, difference_chart, token_chart
from gptloss.charts.loss import expected_chart
from gptloss.charts.theme import CONFIG, RUNS
from gptloss.compare import Span, same_vocabulary
from gptloss.errors import GptlossError
from gptloss.ladder import in_units
from gptloss.measures import kl_divergence
from gptloss.models import find
from gptloss.numbers import Units, perplexity_text, position_name
from gptloss.scoring import ScoredBatch
from gptloss.tokens import text_of
from views import shell
from views.cache import reading
from views.compared import Compared, choose, compared, place, scored, spans
from views.comparison import asked
from views.components.ladder_table import chosen, first_column, ladder_table
from views.inside import cached_ladder_data
from views.settings import Asked, Settings

WHY_BYTES = (
    "Each model cuts text into tokens of its own, so a loss per token is not the same thing for two models."
    " Bits per byte spreads the whole loss over the bytes of the scored text: compare that."
)


def numbers(settings: Settings) -> None:
    """A card for each run: loss, bits per byte and perplexity; and what could not be read."""
    runs = asked(settings)
    for n, (column, (title, question)) in enumerate(zip(st.columns(max(len(runs), 2)), runs, strict=False)):
        with column.container(border=True, key=f"run-{n}", gap="xsmall"):
            _title(title, f"run-{n}")
            try:
                _card(n, question, settings)
            except GptlossError as error:
                st.text(str(error))
    if len(runs) > 1 and settings.comparing == "models":
        st.caption(" ".join([WHY_BYTES, *_unequal_bytes([scored(question) for _, question in runs])]))


def _title(title: str, key: str) -> None:
    """A heading that is never Markdown: a folder may be called anything."""
    with st.container(key=f"title-{key}"):
        st.text(title)


def _card(n: int, question: Asked, settings: Settings) -> None:
    result = reading(*question)
    batch = result.batch
    with st.container(horizontal=True, gap="small", key=f"figures-{n}"):
        st.metric(
            f"Loss, {settings.units} per token", f"{in_units(batch.loss, settings.units):.4f}" if batch else "–"
        )
        st.metric("Bits per byte", f"{batch.bits_per_byte:.4f}" if batch else "–")
        st.metric("Perplexity", perplexity_text(batch.loss) if batch else "–")
    if batch:
        lines = f" of {len(batch.rows)} lines" if len(batch.rows) > 1 else ""
        start = ", with the start token" if settings.bos and batch.model.info.bos_id is not None else ""
        st.caption(f"{len(batch):,} tokens, {batch.target_bytes:,} bytes{lines} scored{start}")
    for error in result.errors.values():
        st.text(str(error))


def _unequal_bytes(batches: Sequence[ScoredBatch | None]) -> list[str]:
    """Why one model was scored on more bytes than another, if it was."""
    sizes = sorted({batch.target_bytes for batch in batches if batch})
    if len(sizes) < 2:
        return []
    return [
        f"Here it is {' or '.join(f'{size:,}' for size in sizes)} bytes: without a start token the first token of a"
        " line is not predicted, and a line that a model cannot read is left out."
    ]


@st.fragment
def tokens() -> None:
    """The tokens of one text under each run: their losses, what was expected, the ladders, the tables."""
    shell.write_link()
    settings = shell.settings()
    runs = compared(settings)
    if not runs:
        st.info("Nothing can be compared yet: write some text above.")
        return
    _row_chooser(runs[0])
    bars = st.container()
    if opening := shell.just_opened():  # nothing is to jump
        with bars:
            _token_bars(runs, settings)
    _differences(runs, settings)
    _expected(runs, settings)
    _ladders(runs, settings)
    _tables(runs)
    if not opening:  # the slowest to draw, so last: what a click asked for is there before
        with bars:
            _token_bars(runs, settings)


def _row_chooser(first: Compared) -> None:
    if len(first.batch.rows) < 2:
        return
    shell.give("row", first.i)
    names = {row.number: _short(text_of([*row.inputs[:1], *row.targets])) for row in first.batch.rows}
    st.segmented_control(
        "Show the tokens of",
        list(names),
        format_func=lambda number: f"{number} · {shell.literal(names[number])}",
        key="row",
        required=True,
        on_change=lambda: shell.change(spot=(st.session_state.row, 1)),
    )


def _short(text: str) -> str:
    return text if len(text) <= 34 else f"{text[:32].rstrip()} …"


def _token_bars(runs: Sequence[Compared], settings: Settings) -> None:
    line = f" in line {runs[0].i}" if len(runs[0].batch.rows) > 1 else ""
    drawn = [
        Run(
            f"{run.title}: {in_units(fmean(p.loss for p in run.row), settings.units):.4f} per token{line}",
            run.row,
            place(runs, k, settings),
            RUNS[run.n],
        )
        for k, run in enumerate(runs)
    ]
    st.plotly_chart(
        token_chart(drawn, settings.units),
        key="tokens",
        config=CONFIG,
        on_select=_choose_bar,
        selection_mode="points",
        alt="A panel of bars for each run, a bar for each token. " + " ".join(run.title + "." for run in drawn),
    )


def _choose_bar() -> None:
    """Callbacks look the runs up again: one that held them would keep their models in memory."""
    points = st.session_state.tokens.selection.points
    if points:
        runs = compared(shell.settings())
        choose(runs, points[0]["curve_number"], runs[0].i, int(points[0]["customdata"][0]))


def _differences(runs: Sequence[Compared], settings: Settings) -> None:
    """The first run against each of the others."""
    first = runs[0]
    for run in runs[1:]:
        shared = spans(first, run, settings)
        if shared:
            knew = f"{run.title} knew better" if settings.comparing == "models" else f"dearer in {first.title}"
            _difference_chart(run.n, shared, (first.title, run.title), settings.units, knew, RUNS[first.n])


@st.cache_data(max_entries=256, show_spinner=False)
def _difference_chart(
    n: int, shared: tuple[Span, ...], titles: tuple[str, str], units: Units, above: str, colour: str
) -> None:
    """What was drawn once is replayed, for any visitor."""
    chart = difference_chart(shared, titles, units, above, (colour, RUNS[n]))
    said = f"Bars: the loss of {titles[0]} minus that of {titles[1]}, in {units}, for each stretch of text."
    st.plotly_chart(chart, key=f"difference-{n}", config=CONFIG, alt=said)


def _expected(runs: Sequence[Compared], settings: Settings) -> None:
    """What each run expected at the chosen place, and how far apart two distributions are."""
    columns = st.columns(2)
    for n, run in enumerate(runs):
        j = place(runs, n, settings)
        with columns[n % 2].container(border=True):
            _title(run.title, f"expected-{n}")
            if j is None:
                st.text("has no token to predict in this place.")
                continue
            _expected_chart(n, run.asked, (run.i, j))
    for n in range(1, len(runs)):
        _divergence(runs, n, settings)


@st.cache_data(max_entries=256, show_spinner=False)
def _expected_chart(n: int, question: Asked, at: tuple[int, int]) -> None:
    batch = reading(*question).batch
    assert batch is not None, "only what was scored is drawn"
    first = batch.argmax[batch.index(*at)].label
    chart = expected_chart(batch, *at)
    st.plotly_chart(chart, key=f"expected-{n}", config=CONFIG, alt=f"Bars of the likeliest tokens; first {first}.")


def _divergence(runs: Sequence[Compared], n: int, settings: Settings) -> None:
    j, k = place(runs, 0, settings), place(runs, n, settings)
    one, other = runs[0], runs[n]
    if j is None or k is None or not _same_vocabulary(one.asked[0], other.asked[0]):
        return
    i = one.i
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
        k = run.batch.index(run.i, place(runs, n, settings) or 1)
        _title(run.title, f"ladder-{n}")
        ladder_table(
            cached_ladder_data(run.asked, first_column(k), settings.units),
            at=k,
            key=f"ladder-{n}",
            on_choose=partial(_choose_column, n),
        )


def _choose_column(n: int) -> None:
    runs = compared(shell.settings())
    choose(runs, n, *chosen(f"ladder-{n}", runs[n].batch))


def _tables(runs: Sequence[Compared]) -> None:
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
