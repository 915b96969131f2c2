"""What stands below the text: the numbers, the coloured tokens, and where the loss is."""

from functools import partial

import pandas as pd
import streamlit as st

from gptloss.analysis.words import RANK_CLASSES, Stretch, rank_counts, sentences, totals, words
from gptloss.charts.loss import expected_chart
from gptloss.charts.stretches import costliest_tokens_chart, costliest_words_chart, sentence_chart
from gptloss.charts.surprise import loss_chart, rank_counts_chart
from gptloss.charts.theme import CONFIG
from gptloss.numbers import LOGARITHMS, Units, counted, in_units, perplexity_text, position_name, proba_text
from gptloss.scoring.batch import ScoredBatch
from gptloss.serving.question import Question
from gptloss.serving.readings import batch_of
from gptloss.tables import rank_table, text_csv, text_table
from views.components.choice import chosen
from views.components.token_strip import token_strip
from views.shared.choose_one import choose_one
from views.shared.scored_text import scored, strip_of
from views.shared.tables import DIGITS, formats, numbers_as_tables
from views.visit import session
from views.visit.settings import Settings

STRIP = "text-strip"
# The fragments that follow the chosen token.
TEXT, ALONG = "coloured-text", "losses-along-text"
COLOURS = ("loss", "probability", "rank", "entropy")
LOGS = formats("%.4f", "loss", "mean", *(f"top_{k}_log_proba" for k in range(1, 6)))

SHARE = {"share": st.column_config.NumberColumn(format="percent")}


def text_figures(batch: ScoredBatch, settings: Settings) -> None:
    """The text in four numbers, each with what it is spread over."""
    result, units = totals(batch), settings.units
    base = LOGARITHMS[units].base
    tokens, per_word = f"over {counted(result.tokens, 'token')}", result.word_loss
    figures = [
        (f"Loss, {units} per token", f"{in_units(result.loss, units):.4f}", tokens),
        ("Perplexity", perplexity_text(result.loss), f"= {base}^loss"),
        ("Bits per byte", f"{result.bits_per_byte:.4f}", f"over {counted(result.bytes, 'byte')}"),
        (
            "Per-word perplexity",
            "–" if per_word is None else perplexity_text(per_word),
            f"{base}^({units} per word), {counted(result.words, 'word')}",
        ),
    ]
    with st.container(key="text-figures"):
        for half, pair in zip(st.columns(2, gap="xsmall"), (figures[:2], figures[2:]), strict=True):
            columns = half.columns(2, gap="xsmall", wrap=False)  # on a phone two by two
            for column, (label, value, note) in zip(columns, pair, strict=True):
                column.metric(label, value, note, delta_color="off", delta_arrow="off", border=True)


@st.fragment(key=TEXT)
def coloured_text() -> None:
    """The text, coloured, and what the model expected at the chosen token, which is sent first."""
    settings = session.settings()
    batch = scored(settings)
    if batch is None:
        return session.write_link()
    text, expected = st.columns([3, 2], gap="medium")
    with expected.container(border=True):
        _expected(settings.question, settings.at)
    with text:
        token_strip(
            strip_of(settings.question),
            at=batch.index(*settings.at),
            key=STRIP,
            on_choose=_choose,
            flow=True,
            colour=settings.colour,
            figures=settings.figures,
            units=settings.units,
            mono=_is_code(settings),
        )
        _colours(settings)
    session.write_link()


@st.fragment(key=ALONG)
def losses_along_text() -> None:
    """The loss of each token as the text goes."""
    settings = session.settings()
    if scored(settings) is not None:
        with st.container(border=True):
            _losses(settings.question, settings.at, settings.units)


def _is_code(settings: Settings) -> bool:
    """Whether lines are indented, as in program code."""
    return any(f"\n{indent}" in text for text in settings.inputs for indent in ("    ", "\t"))


def _colours(settings: Settings) -> None:
    with st.container(horizontal=True, gap="medium", vertical_alignment="bottom", key="colours"):
        choose_one("colour", "Colour shows", {colour: colour.capitalize() for colour in COLOURS})
        session.give("figures", settings.figures)
        st.toggle(
            "Figures under the tokens",
            key="figures",
            on_change=lambda: session.change(figures=st.session_state.figures),
        )


def _choose() -> None:
    """Callbacks look the rows up again: one that held them would keep their model in memory."""
    batch = scored(session.settings())
    if batch is not None:
        session.change(at=chosen(STRIP, batch))
        st.rerun([TEXT, ALONG])


@st.cache_data(max_entries=256, show_spinner=False)
def _expected(question: Question, at: tuple[int, int]) -> None:
    """What was drawn once is replayed, for any visitor."""
    batch = batch_of(question)
    k = batch.index(*at)
    said = (
        f"Bars of the likeliest tokens. {position_name(*at)}: the token was {batch.targets[k].label}, probability"
        f" {proba_text(batch.log_probas[k].item())}, rank {int(batch.ranks[k]):,}. First: {batch.argmax[k].label}."
    )
    st.plotly_chart(expected_chart(batch, *at), key="text-expected", config=CONFIG, alt=said)


@st.cache_data(max_entries=256, show_spinner=False)
def _losses(question: Question, at: tuple[int, int], units: Units) -> None:
    batch = batch_of(question)
    chart = loss_chart(batch, batch.index(*at), units)
    said = f"The loss of each of {counted(len(batch), 'token')}, and the running mean, which ends at the loss."
    st.plotly_chart(chart, key="text-losses", config=CONFIG, alt=said)


@st.cache_data(max_entries=64, show_spinner=False)
def text_charts(question: Question, units: Units) -> None:
    """Where the loss is: by sentence, by rank, by token, by word. No click changes these."""
    batch = batch_of(question)
    left, right = st.columns(2, gap="medium")
    with left.container(border=True):
        said = "Bars, as wide as a sentence has tokens and as high as its mean loss. The table has each of them."
        st.plotly_chart(sentence_chart(sentences(batch), units), key="text-sentences", config=CONFIG, alt=said)
    with right.container(border=True):
        st.plotly_chart(rank_counts_chart(batch.ranks), key="text-ranks", config=CONFIG, alt=_ranks(batch))
    left, right = st.columns(2, gap="medium")  # anew, for the order on a phone
    with left.container(border=True):
        said = "The ten tokens with the highest losses, each with the words around it."
        st.plotly_chart(costliest_tokens_chart(batch, units), key="text-tokens", config=CONFIG, alt=said)
    with right.container(border=True):
        said = "The ten words with the highest losses, each the sum of its tokens."
        st.plotly_chart(costliest_words_chart(words(batch), units), key="text-words", config=CONFIG, alt=said)


def _ranks(batch: ScoredBatch) -> str:
    counts = zip(RANK_CLASSES, rank_counts(batch.ranks), strict=True)
    said = ", ".join(f"rank {name}: {count:,}" for name, count in counts)
    return f"How many of the {counted(len(batch), 'token')} the model had ranked where; {said}."


@st.fragment
def text_tables() -> None:
    """Every token, word and sentence as a table; the tokens as a file."""
    settings = session.settings()
    batch = scored(settings)
    if batch is None:
        return
    with numbers_as_tables("text-tables") as opened:
        if opened:
            st.caption("All tokens, with the five likeliest in each place; logs and entropies in nats, bytes as hex")
            st.dataframe(text_table(batch), hide_index=True, column_config=DIGITS | LOGS, key="text-frame")
            st.caption("Words and sentences: the sum and the mean of the losses of their tokens, in nats")
            left, right = st.columns(2, gap="medium")
            for place, name, parts in ((left, "word", words(batch)), (right, "sentence", sentences(batch))):
                place.dataframe(_parts(name, parts), hide_index=True, column_config=LOGS, key=f"text-{name}s-frame")
            st.caption("How the model had ranked the tokens; rank 1 is its first choice")
            st.dataframe(rank_table(batch.ranks), hide_index=True, column_config=SHARE, key="text-ranks-frame")
    st.download_button(
        "All tokens as CSV",
        partial(_csv, settings.question),
        "surprise.csv",
        "text/csv",
        icon=":material/download:",
        on_click="ignore",
        help="id, bytes, text, log-probability, rank, entropy and the five likeliest; texts stand in quotes.",
    )


def _csv(question: Question) -> str:
    """Made when it is asked for."""
    return text_csv(batch_of(question))


def _parts(name: str, parts: tuple[Stretch, ...]) -> pd.DataFrame:
    return pd.DataFrame(
        [(part.first + 1, part.text, part.tokens, part.loss, part.mean) for part in parts],
        columns=["first token", name, "tokens", "loss", "mean"],
    )
