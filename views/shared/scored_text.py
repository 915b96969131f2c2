"""The visitor's own text, scored, however long it is."""

from typing import Any

import streamlit as st
from streamlit.delta_generator import DeltaGenerator

from gptloss.errors import GptlossError, TooLongError
from gptloss.models import find
from gptloss.scoring.batch import ScoredBatch
from gptloss.serving.question import Question
from gptloss.serving.readings import batch_of, long_reading, stride_of
from views.components.token_strip import batch_data
from views.shared.in_turn import in_turn, stop_if_gone
from views.shared.keep_position import correct_position, keep_position
from views.shared.row_errors import row_error_card, start_of
from views.visit import session
from views.visit.rows import row_texts
from views.visit.settings import Settings

# A text of this many tokens is scored before a bar would be read.
QUICK = 300


def explored(settings: Settings) -> ScoredBatch | None:
    """Score the rows, with a bar if that takes long; show a sentence for each row that fails, and correct `at`.

    A row longer than the context is read by windows. None if no row can be scored.
    """
    place = st.empty()
    try:
        with in_turn():
            found = long_reading(settings.question, lambda done, total: report(place, done, total))
    except GptlossError as error:
        session.unusable(error)
    place.empty()
    for number, reason in found.errors.items():
        _row_error(number, reason, row_texts(settings))
    batch = found.batch
    if batch:
        keep_position(batch, settings)
        correct_position(batch, settings)
        _windows(batch, settings)
    return batch


def scored(settings: Settings) -> ScoredBatch | None:
    """The same, from the cache, for fragments and callbacks: draws nothing."""
    return long_reading(settings.question).batch


@st.cache_data(max_entries=32, show_spinner=False)
def strip_of(question: Question) -> dict[str, Any]:
    """What the token strip shows of it; once for all visitors and pages."""
    return batch_data(batch_of(question))


def report(place: DeltaGenerator, done: int, total: int) -> None:
    """How far the scoring is, as a bar; each drawing of it also lets the visitor's next click stop the scoring.

    For a visitor who has left it ends here: others wait for the processor.
    """
    stop_if_gone()
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
    """What is wrong with a row; an only row is called the text."""
    alone = len(rows) == 1
    left_out = "The text is not scored" if alone else f"Row {number} is left out"
    sentence = str(error) if rows[number - 1] or not alone else "The text is empty; write at least two tokens."
    with row_error_card(number, left_out, sentence):
        if isinstance(error, TooLongError):
            st.button(
                f"Keep the first {error.limit:,} tokens",
                key=f"keep-{number}",
                on_click=_keep_first,
                args=(number - 1, error.limit),
            )


def _keep_first(i: int, limit: int) -> None:
    current = session.settings()
    inputs = list(row_texts(current))
    inputs[i] = start_of(inputs[i], limit)
    session.change(inputs=tuple(inputs), targets=None)
