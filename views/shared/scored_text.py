"""What the three pages under Explore share: the visitor's own text, scored, however long."""

from typing import Any

import streamlit as st
from streamlit.delta_generator import DeltaGenerator

from gptloss.errors import GptlossError, TooLongError
from gptloss.models import find
from gptloss.numbers import position_name
from gptloss.scoring.batch import ScoredBatch
from gptloss.serving.question import Question
from gptloss.serving.readings import long_reading, stride_of
from views.components.token_strip import batch_data
from views.loss.editor import start_of
from views.shared.keep_position import follow
from views.visit import session
from views.visit.fields.text import joined
from views.visit.settings import Settings

# A text of this many tokens is scored before a bar would be read.
QUICK = 300


def own_text(settings: Settings, height: int = 80) -> None:
    """The text box of these pages. Typing there makes one text of the rows, each token the target of those before."""
    several = len(settings.inputs) > 1
    session.give("own-text", "\n".join(texts(settings)))
    st.text_area(
        "Text: each line is read on its own; change it, and it is read as one" if several else "Text",
        key="own-text",
        height=height,
        on_change=_read_own,
    )


def texts(settings: Settings) -> tuple[str, ...]:
    """The rows as texts: an input and what its target adds."""
    if settings.targets is None:
        return settings.inputs
    return tuple(map(joined, settings.inputs, settings.targets))


def take(text: str, at: tuple[int, int] = (1, 1)) -> None:
    """Let `text` be what all pages read. Call it from a callback. Pinned tokens stay, pinned positions do not."""
    pins = tuple(pin for pin in session.settings().pins if isinstance(pin, int))
    session.change(inputs=(text,), targets=None, at=at, made=0, pins=pins)


def _read_own() -> None:
    settings = session.settings()
    take(st.session_state["own-text"], settings.at if len(settings.inputs) == 1 else (1, 1))


def explored(settings: Settings) -> ScoredBatch | None:
    """The rows scored, with a bar if that takes long; a sentence for each row that cannot be; `at` put right.

    A row longer than the context is read by windows. None if no row can be scored.
    """
    place = st.empty()
    try:
        found = long_reading(settings.question, lambda done, total: report(place, done, total))
    except GptlossError as error:
        session.unusable(error)
    place.empty()
    for number, reason in found.errors.items():
        _row_error(number, reason, texts(settings))
    batch = found.batch
    if batch:
        follow(batch, settings)
    if batch and settings.at not in batch.positions:
        i, j = batch.positions[0]
        wanted, first = position_name(*settings.at), position_name(i, j)
        session.correct(f"There is no {wanted} in this text; {first} is shown.", at=(i, j))
    if batch:
        _windows(batch, settings)
    return batch


def scored(settings: Settings) -> ScoredBatch | None:
    """The same, from the cache, for fragments and callbacks: draws nothing."""
    return long_reading(settings.question).batch


def batch_of(question: Question) -> ScoredBatch:
    """What was scored of it, for a chart that is drawn from it."""
    batch = long_reading(question).batch
    assert batch is not None, "only what was scored is drawn"
    return batch


@st.cache_data(max_entries=32, show_spinner=False)
def strip_of(question: Question) -> dict[str, Any]:
    """What the token strip shows of it; once for all visitors and pages."""
    return batch_data(batch_of(question))


def report(place: DeltaGenerator, done: int, total: int) -> None:
    """How far the scoring is, as a bar; each drawing of it also lets the visitor's next click stop the scoring."""
    if total > QUICK:
        place.progress(done / total, f"{done:,} of {total:,} tokens scored")


def _windows(batch: ScoredBatch, settings: Settings) -> None:
    """Say that a text was too long to be read at once, and how it was read."""
    info = find(settings.model).info
    longest = max(len(row.before) + len(row.inputs) for row in batch.rows)
    if longest > info.context_length:
        stride = stride_of(info)
        st.caption(
            f"{longest:,} tokens are more than the context of {info.context_length:,}: read by windows of"
            f" {info.context_length:,} that move on by {stride:,}, each token scored once with at least"
            f" {info.context_length - stride:,} before it."
        )


def _row_error(number: int, error: GptlossError, rows: tuple[str, ...]) -> None:
    """What is wrong with a row; of an only row, that is the whole text."""
    alone = len(rows) == 1
    with st.container(border=True, key=f"error-{number}", gap="xsmall"):
        left_out = "The text is not scored" if alone else f"Row {number} is left out"
        st.badge(left_out, icon=":material/error:", color="red")
        st.text(str(error) if rows[number - 1] or not alone else "The text is empty; write at least two tokens.")
        if isinstance(error, TooLongError):
            st.button(
                f"Keep the first {error.limit:,} tokens",
                key=f"keep-{number}",
                on_click=_keep_first,
                args=(number - 1, error.limit),
            )


def _keep_first(i: int, limit: int) -> None:
    current = session.settings()
    inputs = list(texts(current))
    inputs[i] = start_of(inputs[i], limit)
    session.change(inputs=tuple(inputs), targets=None)
