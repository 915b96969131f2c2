"""Training on the visitor's own text, in a process of its own, while they watch."""

import math

import streamlit as st

from gptloss.charts.theme import CONFIG
from gptloss.charts.training.curves import curves_chart
from gptloss.charts.training.heat_map import heat_map_chart
from gptloss.errors import GptlossError
from gptloss.models.catalogue import runs
from gptloss.numbers import in_units
from gptloss.serving.live_training import LiveRun, desk
from gptloss.training.baselines import skill
from gptloss.training.recipe import BYTES, Recipe, fitting
from gptloss.training.recorded import turning_point
from gptloss.training.snapshot import Followed
from gptloss.training.worker import Request
from views.frame.model_choice import choose_model
from views.shared import ticks
from views.shared.folded import folded
from views.shared.text_box import own_text
from views.training.controls import learned_from, recipe_of, size_controls, text_control
from views.training.mode_switch import mode_switch
from views.visit import access, session
from views.visit.rows import row_texts
from views.visit.settings import Settings
from views.visit.visitor import is_connected, visitor

# Of the visitor's texts, and the tokens of each.
TEXTS, TOKENS = 4, 48
# Characters of a text, and seconds and width of a run: on a visitor's own machine, and on a server for many.
MOST_CHARACTERS, MOST_SHARED_CHARACTERS = 2_000_000, 200_000
MOST_SHARED_SECONDS, MOST_SHARED_WIDTH = 60, 128
# Looks in the heat map.
ROWS = 16
TICK = 1.0


def live_view(settings: Settings) -> None:
    """The controls, and below them the run as it trains."""
    run = desk.of(visitor())
    if session.just_opened():
        ticks.opened("live")
    left, right = st.columns([11, 9], gap="medium")
    with left:
        _buttons(run)
        size_controls(settings)
        own_text(settings, label="Follow your own text while it trains")
    with right:
        mode_switch()
        text_control()
    if run is not None and not run.ended:
        st.fragment(_watch, run_every=TICK)()
    else:
        desk.warm()
        _ended(run)


def _start() -> None:
    session.change()
    settings = session.settings()
    try:
        desk.start(visitor(), _request(settings), is_connected, keep=access.any_model())
    except GptlossError as error:
        session.notify(str(error))


def _request(settings: Settings) -> Request:
    """What is asked for, within what this machine allows. Raises `GptlossError`."""
    text, recipe, seconds = learned_from(), recipe_of(settings), float(settings.budget)
    most = MOST_CHARACTERS if access.any_model() else MOST_SHARED_CHARACTERS
    if len(text) > most:
        raise GptlossError(f"The text has {len(text):,} characters and this machine takes {most:,}; shorten it.")
    if not text.strip():
        raise GptlossError("The text to learn from is empty; paste some thousand characters.")
    if not access.any_model():
        seconds = min(seconds, MOST_SHARED_SECONDS)
        if recipe.emb_dim > MOST_SHARED_WIDTH:
            raise GptlossError(
                f"A width of {recipe.emb_dim} is too much for a server that many use; take {MOST_SHARED_WIDTH}."
            )
    recipe = fitting(recipe, len(text))
    return Request(recipe, text, _watched(settings, recipe), seconds)


def _watched(settings: Settings, recipe: Recipe) -> tuple[str, ...]:
    """The start of each of the visitor's rows that can be followed: a letter is at most one token of a run."""
    most = min(TOKENS, recipe.context_length + 1)
    starts = (text.encode()[:most].decode(errors="ignore") for text in row_texts(settings)[:TEXTS])
    return tuple(start for start in starts if len(start) > 1)


def _watch() -> None:
    """One look at the run; when it has ended, the page shows the rest."""
    run = desk.of(visitor())
    if run is not None:
        _shown(run)
    done = run is None or run.ended
    if done and ticks.is_on_screen("live"):
        st.rerun()
    ticks.rest("live", done=done)


def _ended(run: LiveRun | None) -> None:
    """What has become of the run, or what one would show."""
    if run is None:
        st.text("A small GPT learns the text from nothing, in less than a minute, while you watch its loss fall.")
    else:
        _shown(run)
        if run.has_model:
            _model(run)
    _load()


def _shown(run: LiveRun) -> None:
    settings = session.settings()
    _state(run)
    if run.snapshots:
        _figures(run, settings)
        _charts(run, settings)


def _buttons(run: LiveRun | None) -> None:
    open_run = run is not None and not run.ended
    with st.container(horizontal=True, gap="small", vertical_alignment="center", key="live-buttons"):
        if not open_run or run is None:
            label = "Train" if run is None else "Train again"
            st.button(label, type="primary", icon=":material/play_arrow:", key="live-start", on_click=_start)
            return
        paused = run.state == "paused"
        if paused:
            st.button(
                "Go on", type="primary", icon=":material/play_arrow:", key="live-go", on_click=_tell, args=("go",)
            )
        else:
            st.button("Pause", icon=":material/pause:", key="live-pause", on_click=_tell, args=("pause",))
        st.button(
            "One step",
            icon=":material/skip_next:",
            key="live-step",
            disabled=not paused,
            on_click=_tell,
            args=("step",),
        )
        st.button("Stop", icon=":material/stop:", key="live-stop", on_click=_tell, args=("stop",))


def _tell(command: str) -> None:
    session.change()
    desk.tell(visitor(), command)


def _state(run: LiveRun) -> None:
    """Where the run stands, in a sentence."""
    steps = run.request.recipe.steps
    at = run.snapshots[-1].step if run.snapshots else 0
    if run.state == "waiting":
        before = desk.before(visitor())
        st.progress(0.0, f"Others train on this machine: {before} before you. Yours starts by itself.")
    elif run.state == "failed":
        st.error(run.error)
    elif run.state == "starting":
        st.progress(0.0, "Starting a process of its own …")
    else:
        said = {
            "training": f"step {at:,} of {steps:,}",
            "paused": f"paused after step {at:,} of {steps:,}",
            "stopped": f"stopped after step {at:,}",
            "out of time": f"its {run.request.seconds:g} seconds were over after step {at:,}",
            "done": f"all {steps:,} steps are done",
        }[run.state]
        last = run.snapshots[-1] if run.snapshots else None
        pace = f", {last.tokens / last.seconds:,.0f} tokens a second" if last and last.tokens else ""
        st.progress(min(1.0, at / steps), f"{run.parameters:,} weights: {said}{pace}")


def _figures(run: LiveRun, settings: Settings) -> None:
    last, units = run.snapshots[-1], settings.units
    norm = f"{last.gradient_norm:.2f}" if last.gradient_norm is not None else "–"
    figures = [
        ("Training loss", f"{in_units(last.train_loss, units):.4f}"),
        ("Validation loss", f"{in_units(last.val_loss, units):.4f}"),
        ("Perplexity", f"{math.exp(last.val_loss):,.1f} of {run.v:,}"),
        ("Skill", f"{skill(last.val_loss, run.v):.0%}"),
        ("Norm of the gradient", norm),
    ]
    with st.container(horizontal=True, gap="small", key="live-figures"):
        for label, value in figures:
            st.metric(label, value)
    if last.sample:
        st.text(f"At step {last.step:,} it writes: {last.sample_line}")


def _charts(run: LiveRun, settings: Settings) -> None:
    looks, reached = list(run.snapshots), run.baselines
    assert reached is not None, "a look comes after the start"
    curves, cells = st.columns([11, 9], gap="medium")
    chart = curves_chart(
        looks,
        reached,
        run.v,
        settings.units,
        run.request.recipe.steps,
        run.batches,
        turning_point(looks) if run.ended else None,
    )
    last = looks[-1]
    alt = f"After {last.step:,} steps the training loss is {last.train_loss:.2f} nats."
    with curves.container(border=True):
        st.plotly_chart(chart, key="live-curve", config=CONFIG, alt=alt)
    shown = looks[:: max(1, len(looks) // ROWS)]
    texts = [
        Followed(text, shown[0].watched[n].tokens, tuple(look.watched[n].log_probas for look in shown))
        for n, text in enumerate(run.watched)
    ]
    if texts:
        unit = "letter" if run.v == BYTES else "token"
        with cells.container(border=True):
            alt = f"The probability of each {unit} of your text at {len(shown)} steps."
            chart = heat_map_chart(texts, [look.step for look in shown], unit)
            st.plotly_chart(chart, key="live-map", config=CONFIG, alt=alt)


def _model(run: LiveRun) -> None:
    """What can be done with what it has learned."""
    with st.container(horizontal=True, gap="small", vertical_alignment="center", key="live-model"):
        st.text(f"It is the model {run.name} now.", width="content")
        st.button("Use it on all pages", key="live-use", on_click=choose_model, args=(run.name,))
        file = f"{run.name.replace(':', '-')}.zip"
        st.download_button("Download it", lambda: runs.pack(run.name), file, "application/zip", key="live-download")
    st.caption(f"On the command line: `gptloss loss --model {run.name} …`; the zip file opens in transformers, too.")


def _load() -> None:
    """A model that was downloaded before; on a server for many it would stay for ever."""
    if not access.any_model():
        return
    with folded("live-load", "Load a model that was downloaded here"):
        st.file_uploader("A zip file", type="zip", key="live-zip", on_change=_take, max_upload_size=200)


def _take() -> None:
    given = st.session_state["live-zip"]
    session.change()
    if given is None:
        return
    try:
        name = runs.unpack(given.getvalue(), "loaded")
    except GptlossError as error:
        return session.notify(str(error))
    choose_model(name)
    session.notify(f"The model is {name} now, and chosen on all pages.")
