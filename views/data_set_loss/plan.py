"""How the text is read: where it is cut, the convention with its numbers, and drawings of both."""

from functools import lru_cache

import streamlit as st

from gptloss.charts.conventions import BATCH, PartOfText, convention_chart, split_chart
from gptloss.charts.figure import Chart
from gptloss.charts.theme import CONFIG
from gptloss.corpus import conventions
from gptloss.corpus.conventions import Plan
from gptloss.corpus.job import PARTS, Texts
from gptloss.corpus.layout import Layout, layout
from gptloss.errors import GptlossError
from gptloss.models import find
from gptloss.numbers import counted
from views.data_set_loss.jobs import check_windows, plan_of
from views.shared.choose_one import choose_one
from views.shared.markdown import literal
from views.visit import session
from views.visit.fields.dataset import LARGEST_SPLIT, SMALLEST_SPLIT
from views.visit.settings import Settings

NAMES = {"book": "The book’s", "rolling": "Rolling", "strided": "Strided"}
WHY = {
    "book": "As the book’s data loader: windows follow each other, and what is left at the end is dropped.",
    "rolling": "As lm-evaluation-harness: every token is scored once; the last window reads back as far as it can.",
    "strided": "As the guide of transformers: windows overlap, and the first that reads a token scores it.",
}
# Characters shown on each side of the cut.
NEAR = 64


def cut(settings: Settings, texts: Texts | None) -> None:
    """The slider, and the text on both sides of the cut."""
    session.give("split", settings.split)
    st.slider(
        "Split: the share of the characters that is for training",
        SMALLEST_SPLIT,
        LARGEST_SPLIT,
        step=0.01,
        key="split",
        on_change=lambda: session.change(split=round(st.session_state.split, 2), look=None),
    )
    if texts:
        text = texts.documents[0].text
        at = int(settings.split * len(text))
        before, after = (" ".join(part.split()) for part in (text[max(0, at - NEAR) : at], text[at : at + NEAR]))
        with st.container(key="data-cut"):
            st.text(f"… {before} ✂ {after} …")


def convention_controls(settings: Settings) -> None:
    """Convention, window, stride and start token."""
    info, plan = find(settings.model).info, plan_of(settings, settings.model)
    choose_one("convention", "Convention", NAMES, start=None, look=None)
    st.caption(WHY[settings.convention])
    with st.container(horizontal=True, gap="small", vertical_alignment="bottom", key="data-plan"):
        _number("window", "Window", 2, info.context_length, plan.window, False)
        _number("stride", "Stride", 1, plan.window, plan.stride, settings.convention != "strided")
        session.give("data-start", plan.bos)
        st.toggle(
            "Start token first",
            key="data-start",
            disabled=info.bos_id is None,
            on_change=lambda: session.change(start=bool(st.session_state["data-start"]), look=None),
            help="For this page alone. Rolling has one, if the model knows one; the other two have none.",
        )


def _number(field: str, label: str, low: int, high: int, value: int, disabled: bool) -> None:
    key = f"data-{field}"
    session.give(key, value)
    st.number_input(
        f"{label}, tokens",
        low,
        high,
        step=16,
        key=key,
        width=150,
        disabled=disabled,
        on_change=lambda: session.change(**{field: st.session_state[key]}, look=None),
    )


def drawings(settings: Settings, texts: Texts) -> None:
    """The cut with the windows, and the first windows closely; each once for all visitors."""
    plan = plan_of(settings, settings.model)
    try:
        place = layout(settings.model, texts, settings.split)
        check_windows(place, plan)
    except GptlossError as error:
        st.error(literal(str(error)))
        return
    left, right = st.columns(2, gap="medium")
    with left.container(border=True, height="stretch"):
        st.plotly_chart(_split_chart(place, plan), key="split-chart", config=CONFIG, alt=_sizes(place, plan))
        with st.container(key="data-counts"):
            st.text(_sizes(place, plan))
    with right.container(border=True, height="stretch"):
        alt = f"The first windows of {plan.window:,} tokens: what is read and what is scored. {WHY[plan.convention]}"
        length = max(piece.length(plan) for piece in place.pieces)
        st.plotly_chart(convention_chart(plan, length), key="convention-chart", config=CONFIG, alt=alt)
        st.text(_context(plan))


def _sizes(place: Layout, plan: Plan) -> str:
    """Tokens, windows and batches of both parts, in words, as the book counts them."""
    said = []
    for part in PARTS:
        spans = zip(place.pieces, _spans(place, plan), strict=True)
        tokens, count = place.tokens(part), sum(len(each) for piece, each in spans if piece.part == part)
        batches = -(-count // BATCH)
        scored = sum(
            window.scored
            for piece in place.pieces
            if piece.part == part
            for window in conventions.windows(plan, piece.length(plan))
        )
        said.append(
            f"{part.capitalize()}: {tokens:,} tokens = {scored:,} scored + {tokens - scored:,} dropped;"
            f" {counted(count, 'window')}, {counted(batches, 'batch', 'es')} of {BATCH}."
        )
    return "\n".join(said)


def _context(plan: Plan) -> str:
    if plan.convention == "strided":
        return (
            f"After the first window each scored token has at least {max(1, plan.window - plan.stride):,} and at most"
            f" {plan.window - 1:,} tokens before it."
        )
    start = " The very first has the start token alone." if plan.bos else ""
    if plan.convention == "rolling":
        start += " The last window begins earlier, so that it is full."
    return f"In each window the first token is predicted from 1 token, the last from {plan.window:,}.{start}"


def _split_chart(place: Layout, plan: Plan) -> Chart:
    return split_chart(
        [
            PartOfText(piece.part, piece.begins, piece.begins + len(piece.text), len(piece.ends), spans)
            for piece, spans in zip(place.pieces, _spans(place, plan), strict=True)
        ]
    )


@lru_cache(maxsize=16)
def _spans(place: Layout, plan: Plan) -> tuple[tuple[tuple[int, int], ...], ...]:
    """For each piece the characters of each window's targets."""
    return tuple(
        tuple(
            (piece.place(window.first, plan), piece.place(window.stop + 1, plan))
            for window in conventions.windows(plan, piece.length(plan))
        )
        for piece in place.pieces
    )
