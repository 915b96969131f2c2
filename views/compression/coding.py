"""The text is coded and read back, token by token, before the visitor's eyes."""

from collections.abc import Callable

import streamlit as st

from gptloss.charts.perplexity.compression import running_bits_chart
from gptloss.charts.theme import CONFIG
from gptloss.errors import GptlossError
from gptloss.serving.compressions import Compression, compression
from gptloss.tokens import Token
from views.compression.sizes import Cost
from views.shared import ticks
from views.visit import session
from views.visit.settings import Settings

TICK = 0.2
# Notes of the visit: the model and the text that are coded, whether they are being coded.
CODED, RUNNING = "coded", "coding-runs"
# Of the code, in bytes.
SHOWN = 96
HOW = (
    "An arithmetic coder asks the model for its probabilities before each token and writes −log₂ p bits. The reader"
    " asks the same model the same questions, so it needs nothing but these bits."
)


def coding(cost: Cost, settings: Settings) -> None:
    """The buttons, and below them how far it is. They stand outside of what ticks, so that Stop gets through."""
    asked = settings.model, cost.text
    if session.just_opened() or session.recall(CODED, None) != asked:
        session.remember(RUNNING, False)
    session.remember(CODED, asked)
    st.subheader("Pack it, and read it back", anchor=False)
    try:
        work = compression(*asked)
    except GptlossError as error:
        st.info(str(error))
        return
    with st.container(horizontal=True, gap="small", vertical_alignment="center", key="coding"):
        _buttons(work)
    _progress()


def _buttons(work: Compression) -> None:
    if session.recall(RUNNING, False):
        st.button("Stop", icon=":material/stop:", type="primary", key="stop-coding", on_click=_run, args=(False,))
    elif work.stage in ("encoding", "decoding"):
        begun = bool(work.bits)
        label = "Go on" if begun else "Pack and unpack"
        st.button(label, icon=":material/play_arrow:", type="primary", key="pack", on_click=_run, args=(True,))
    if work.file:
        st.download_button(
            f"The file, {len(work.file):,} bytes",
            work.file,
            "text.gptloss",
            "application/octet-stream",
            icon=":material/download:",
            on_click="ignore",
            help="`gptloss decompress text.gptloss -o text.txt` reads it back, on a machine that computes alike.",
        )


def _run(on: bool) -> None:
    session.remember(RUNNING, on)
    session.change()


def _work() -> Compression | None:
    """The text that is coded, if it is still the one that the page shows."""
    model, text = session.recall(CODED, (None, None))
    return None if model is None or text is None else compression(model, text)


@st.fragment
def _progress() -> None:
    if session.recall(RUNNING, False):
        st.fragment(_tick, run_every=TICK)()
    else:
        _show()


def _tick() -> None:
    """Code for a moment; what is drawn after that is where a press of Stop comes through."""
    work, goes_on = _work(), ticks.a_stretch()
    if work is None:
        return
    _grow(work, goes_on)
    _show()
    if work.stage in ("done", "failed"):
        session.remember(RUNNING, False)
        st.rerun()  # so that the buttons show it


def _grow(work: Compression, goes_on: Callable[[], bool]) -> None:
    while work.stage in ("encoding", "decoding") and goes_on():
        work.grow()


def _show() -> None:
    work = _work()
    if work is None:
        return
    total = len(work.tokens)
    if work.stage == "encoding":
        st.progress(len(work.bits) / max(total, 1), f"Packed: {len(work.bits):,} of {total:,} tokens")
    elif work.stage == "decoding":
        st.progress(len(work.decoded) / max(total, 1), f"Read back: {len(work.decoded):,} of {total:,} tokens")
    if not work.bits:
        st.text(HOW)
        return
    left, right = st.columns(2, gap="medium")
    with left.container(border=True, height="stretch"):
        chart = running_bits_chart(work.bits, work.sizes, [token.label for token in work.tokens])
        alt = f"{sum(work.bits):,.1f} bits after {len(work.bits):,} tokens, {work.sizes[-1]:,} bytes written."
        st.plotly_chart(chart, key="running-bits", config=CONFIG, alt=alt)
    with right.container(border=True, height="stretch", gap="small"):
        if not work.code:
            st.text(HOW)
        else:
            with st.container(key="code-bytes"):
                st.caption(f"The code, {len(work.code):,} bytes" + _cut(len(work.code)))
                st.code(work.code[:SHOWN].hex(" "), language=None, wrap_lines=True)
        if work.decoded:
            with st.container(key="decoded"):
                st.caption("Read back")
                st.code(_text(work.decoded), language=None, wrap_lines=True, height=140)
        _verdict(work)


def _cut(size: int) -> str:
    return f", the first {SHOWN}" if size > SHOWN else ""


def _text(tokens: list[Token]) -> str:
    """What is read so far; half a character at its end is not shown yet."""
    return b"".join(token.raw for token in tokens).decode("utf-8", "ignore")


def _verdict(work: Compression) -> None:
    if work.stage == "failed":
        st.error(work.error)
    if work.stage != "done":
        return
    with st.container(key="came-back"):
        bits, size = sum(work.bits), len(work.code)
        st.badge("Every byte came back", icon=":material/check:", color="green")
        st.text(
            f"{size:,} bytes of code for a sum of {bits / 8:,.1f}: {size - bits / 8:+.1f}, because the coder writes"
            f" words of 4 bytes and knows probabilities in steps of 2⁻²⁴. The file has {len(work.file):,} bytes,"
            " because a header says what it was coded with: that pays from a page of text on."
        )
        st.text(
            "A model that looked ahead at the token it predicts could not do this: the reader does not have it yet."
            " So the loss was earned."
        )
