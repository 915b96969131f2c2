"""What the text costs the model, beside what general compressors make of it."""

import math
from dataclasses import dataclass
from itertools import accumulate
from pathlib import Path

import pandas as pd
import streamlit as st

from gptloss.charts.perplexity.compression import Size, sizes_chart
from gptloss.charts.theme import CONFIG
from gptloss.compression.peers import sizes as sizes_of_peers
from gptloss.errors import GptlossError
from gptloss.models import find
from gptloss.numbers import counted, nats_to_bits
from gptloss.serving.question import Question
from gptloss.serving.readings import batch_of, long_reading
from views.components.token_strip import token_strip
from views.shared.row_errors import row_error_card
from views.shared.scored_text import report, strip_of
from views.shared.tables import formats, numbers_as_tables
from views.visit import session
from views.visit.rows import row_texts
from views.visit.settings import Settings

STYLE = (Path(__file__).parent / "style.css").read_text("utf-8")


@dataclass(frozen=True)
class Cost:
    """A text, what was asked of the model about it, and the sum of -log2 p of all its tokens.

    The first token comes after the model's start token. A model without one is asked for the tokens after the first,
    and that one costs log2 V.
    """

    text: str
    question: Question
    bits: float
    tokens: int

    @property
    def raw(self) -> bytes:
        return self.text.encode()


def cost_of(settings: Settings) -> Cost | None:
    """The rows as one text, scored; None, with a sentence, if it cannot be."""
    text = "\n".join(row_texts(settings))
    info = find(settings.model).info
    question = Question(settings.model, (text,), None, info.bos_id is not None)
    place = st.empty()
    try:
        found = long_reading(question, lambda done, total: report(place, done, total))
    except GptlossError as error:
        session.unusable(error)
    place.empty()
    if found.batch is None:
        sentence = str(found.errors[1]) if text else "The text is empty; write at least two tokens."
        with row_error_card(1, "The text is not scored", sentence):
            return None
    first = 0.0 if question.bos else math.log2(info.vocab_size)
    nats = -found.batch.log_probas.double().sum().item()
    return Cost(text, question, nats_to_bits(nats) + first, len(found.batch) + (not question.bos))


def sizes(cost: Cost, settings: Settings) -> None:
    """The answer and the bars."""
    info, size = find(settings.model).info, len(cost.raw)
    st.html(f"<style>{STYLE}</style>")
    left, right = st.columns([9, 10], gap="medium", vertical_alignment="center")
    with left.container(key="answer", gap="xsmall"):
        st.header(f"{cost.bits:,.0f} bits instead of {8 * size:,}", anchor=False)
        st.text(
            f"A token with probability p can be told in −log₂ p bits: its loss, in bits. Under {info.title} the"
            f" {counted(cost.tokens, 'token')} of this text add up to {cost.bits / 8:,.1f} bytes;"
            f" as UTF-8 it has {counted(size, 'byte')}. A lower loss is a shorter file."
        )
        weights = _megabytes(info.size or 4 * info.parameters)
        st.caption(
            f"Honestly: who unpacks it needs the same model, whose weights have {weights}. gzip, xz and zstd need"
            " nothing."
        )
    with right.container(border=True):
        _chart(cost.text, cost.bits / 8, info.title)


def text_with_bits(cost: Cost) -> None:
    """The text, each token with its bits under it."""
    st.subheader("The bits of each token", anchor=False)
    token_strip(
        strip_of(cost.question),
        at=None,
        key="bits-strip",
        on_choose=None,
        colour="loss",
        figures=True,
        units="bits",
        legend=False,
    )


@st.fragment
def bits_table(cost: Cost) -> None:
    """The bits of each token as numbers."""
    with numbers_as_tables("bits-tables") as opened:
        if opened:
            st.caption("−log₂ p of each token, and their sum so far")
            st.dataframe(
                _table(cost), hide_index=True, column_config=formats("%.2f", "bits", "sum"), key="bits-frame"
            )


def _table(cost: Cost) -> pd.DataFrame:
    batch = batch_of(cost.question)
    bits = [-nats_to_bits(value) for value in batch.log_probas.tolist()]
    tokens = list(batch.targets)
    if not cost.question.bos:
        bits, tokens = [cost.bits - sum(bits), *bits], [batch.inputs[0], *tokens]
    return pd.DataFrame(
        {
            "token": [token.label for token in tokens],
            "id": [token.id for token in tokens],
            "bits": bits,
            "sum": list(accumulate(bits)),
        }
    )


@st.cache_data(max_entries=64, show_spinner=False)
def _chart(text: str, bytes_of_model: float, title: str) -> None:
    """Once for all visitors."""
    raw = text.encode()
    bars = [Size("UTF-8", len(raw)), *(Size(name, size) for name, size in sizes_of_peers(raw).items())]
    bars.append(Size(f"{title}, −log₂ p", bytes_of_model, is_code=True))
    said = ", ".join(f"{bar.name} {bar.size:,.1f}" for bar in bars)
    st.plotly_chart(sizes_chart(bars), key="sizes", config=CONFIG, alt=f"The text in bytes: {said}.")


def _megabytes(size: int) -> str:
    return f"{size / 1e6:,.0f} MB" if size >= 1e6 else f"{size / 1e3:,.0f} kB"
