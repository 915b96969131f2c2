"""What is drawn when a run has ended: where in the text the loss is, and what context does to it."""

from typing import Any

import streamlit as st

from gptloss.charts.corpus import RunLosses, along_chart
from gptloss.charts.spread import histogram_chart, position_chart
from gptloss.charts.theme import CONFIG
from gptloss.corpus.context import context_bands
from gptloss.numbers import Units, in_units
from gptloss.serving import runs
from gptloss.serving.runs import BackgroundRun
from views.data_set_loss.files import downloads
from views.data_set_loss.numbers import jobs
from views.data_set_loss.run_losses import losses_of, ordered, words_of
from views.data_set_loss.tables import conventions_table, pitfalls
from views.shared.text_box import take
from views.visit import session

# Windows in a list of the hardest or the easiest; characters of each that are shown there.
MOST, SHOWN = 5, 110
SURPRISE = "pages/surprise.py"


def results() -> None:
    """All that is drawn when a run has ended; nothing before."""
    shown = _ended()
    if not shown:
        return
    _windows()
    units = session.settings().units
    readings = [losses_of(run) for run in shown]
    left, right = st.columns(2, gap="medium")
    with left.container(border=True, height="stretch"):
        _histogram(readings, units)
    with right.container(border=True, height="stretch"):
        _positions(readings, units)
    conventions_table(shown)
    pitfalls(shown[0])
    downloads(shown)


def _ended() -> list[BackgroundRun]:
    """The runs of what is asked for, if they are not at work and have scored something; the first model's first."""
    shown = [runs.find_run(job) for job in jobs()]
    if not shown or shown[0] is None or any(run and run.running for run in shown):
        return []
    return [run for run in shown if run and run.windows] if shown[0].windows else []


@st.fragment
def _windows() -> None:
    """The losses along the text, the chosen window, and the hardest and easiest ones: a choice redraws no more."""
    session.write_link()
    shown, settings = _ended(), session.settings()
    if not shown:
        return
    readings = [losses_of(run) for run in shown]
    look = settings.look if settings.look and settings.look <= len(shown[0].windows) else None
    with st.container(border=True):
        _along(readings, look, settings.units)
        _chooser(shown[0], look)
        if look:
            _window(shown[0], look, readings[0], settings.units)
    left, right = st.columns(2, gap="medium")
    by_loss = sorted(readings[0].windows, key=lambda window: -window.loss)
    for place, name, some in ((left, "Hardest", by_loss[:MOST]), (right, "Easiest", by_loss[::-1][:MOST])):
        with place.container(border=True, height="stretch", key=f"data-{name.lower()}", gap="xsmall"):
            st.header(f"{name} windows", anchor=False)
            for window in some:
                _line(shown[0], window.number, window.part, in_units(window.loss, settings.units), name)


def _along(readings: list[RunLosses], look: int | None, units: Units) -> None:
    losses = [f"{len(found.windows):,} windows of {found.title}" for found in readings]
    alt = f"The loss of each window along the text: {', '.join(losses)}. The list below has the hardest and easiest."
    st.plotly_chart(
        along_chart(readings, look, units),
        key="along",
        config=CONFIG,
        alt=alt,
        on_select=_pick,
        selection_mode="points",
    )


def _pick() -> None:
    """Take the window that was clicked in the chart; those of the second model choose nothing."""
    points: list[dict[str, Any]] = st.session_state["along"].selection.points
    for point in points:
        number, model = point["customdata"][:2]
        if model == 0:
            _look(int(number))


def _look(number: int | None) -> None:
    session.change(look=number)


def _chooser(run: BackgroundRun, look: int | None) -> None:
    """Buttons, because a field would lose its number if a tick under way drew the page a second time."""
    last = len(run.windows)
    with st.container(horizontal=True, gap="small", vertical_alignment="center", key="data-chooser"):
        back, on = ":material/arrow_back:", ":material/arrow_forward:"
        st.button(
            "Before", icon=back, key="before", disabled=not look or look == 1, on_click=_look, args=((look or 0) - 1,)
        )
        st.button("Next", icon=on, key="next", disabled=look == last, on_click=_look, args=((look or 0) + 1,))
        st.caption(f"Window {look:,} of {last:,}" if look else f"None of {last:,} windows is chosen")


def _window(run: BackgroundRun, number: int, found: RunLosses, units: Units) -> None:
    """The text of a window, and the way to see its tokens one by one."""
    window, words = found.windows[number - 1], words_of(run, ordered(run)[number - 1])
    st.text(
        f"Window {number:,}, {window.part}: loss {in_units(window.loss, units):.4f} {units} per token over"
        f" {window.tokens:,} tokens."
    )
    with st.container(key="window-text", height=190):
        st.text(words.scored)
    if st.button("See it in “Surprise in a text”", icon=":material/search:", key="to-surprise"):
        take((words.read + words.scored,))
        st.switch_page(SURPRISE)
    if words.read.strip():
        st.caption("There it has also what this window only read, because that is its context.")


def _line(run: BackgroundRun, number: int, part: str, loss: float, name: str) -> None:
    text = " ".join(words_of(run, ordered(run)[number - 1]).scored.split())
    with st.container(key=f"window-text-{name}-{number}", gap=None):
        st.button(
            f"Window {number:,}, {part}: {loss:.4f}",
            key=f"{name}-{number}",
            type="tertiary",
            on_click=_look,
            args=(number,),
        )
        st.text(text if len(text) <= SHOWN else f"{text[: SHOWN - 1]}…")


def _histogram(readings: list[RunLosses], units: Units) -> None:
    alt = "How the losses of single tokens are spread, by part and by model."
    st.plotly_chart(histogram_chart(readings, units), key="token-losses", config=CONFIG, alt=alt)


def _positions(readings: list[RunLosses], units: Units) -> None:
    chart = position_chart(readings, units)
    alt = f"The mean loss by how many tokens stand before the target in its window. {_gain(readings[0], units)}"
    st.plotly_chart(chart, key="by-context", config=CONFIG, alt=alt)
    st.text(_gain(readings[0], units))


def _gain(found: RunLosses, units: Units) -> str:
    """What context does, in a sentence: the nearest stretch beside the farthest."""
    parts = context_bands(found.parts["training"]) if "training" in found.parts else []
    if len(parts) < 2:
        return "Only one stretch of context was scored."
    near, far = parts[0], parts[-1]
    return (
        f"{found.title}, training: with one token before it a token costs {in_units(near.loss, units):.4f} {units} on"
        f" average (of {near.tokens:,}), with {far.first:,} to {far.last:,} {in_units(far.loss, units):.4f}"
        f" (of {far.tokens:,})."
    )
