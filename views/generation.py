"""Generate: the text goes on token by token, by the greedy path and by the sampled one, side by side."""

import re
import time
from collections.abc import Sequence
from statistics import fmean

import streamlit as st

from gptloss.ladder import in_units
from gptloss.models import find
from gptloss.numbers import proba_text
from gptloss.sampling import Sampler, Step
from gptloss.scoring import ScoredBatch
from gptloss.tokens import Token
from views import shell
from views.components.token_strip import Cell, strip_data, token_strip
from views.explored import scored
from views.later import run_again
from views.paths import Path, Start, path, prompt_of
from views.sampler import sampler_of
from views.settings import MOST_MADE, Settings

# Seconds between two tokens while it plays, and how long tokens that a link asks for are made at a time.
TICK, STRETCH = 0.2, 0.3
# Of the prompt, before the tokens that were made.
PROMPT_SHOWN = 8
GREEDY = Sampler(temperature=0)
TITLES = ("Greedy path: always the first choice", "Sampled path")


def path_key(settings: Settings) -> tuple[object, ...]:
    """What the sampled path depends on."""
    return settings.asked, settings.at[0], sampler_of(settings), settings.seed


def generation(settings: Settings) -> None:
    """The buttons, and below them both paths; these are drawn again at every tick while there is more to make.

    The buttons stand outside of what ticks: only a run of the whole page can stop it.
    """
    batch = scored(settings)
    if batch is None:
        return
    if shell.just_opened():
        st.session_state.playing = False
    playing = bool(st.session_state.get("playing"))
    st.header("Generate", anchor=False)
    row = len(batch.rows) > 1
    st.caption(
        f"The text goes on{f' after row {settings.at[0]}' if row else ''}, token by token. The same seed always gives"
        " the same tokens."
    )
    _buttons(settings, playing)
    ticking = playing or any(len(way.steps) < settings.made for way in _ways(batch, settings))
    st.fragment(_paths, run_every=TICK if ticking else None)(ticking)


def _buttons(settings: Settings, playing: bool) -> None:
    full = settings.made == MOST_MADE
    with st.container(horizontal=True, gap="small", key="generate"):
        if playing:
            st.button("Stop", icon=":material/stop:", type="primary", key="stop", on_click=_play, args=(False,))
        else:
            st.button(
                "Play",
                icon=":material/play_arrow:",
                type="primary",
                key="play",
                disabled=full,
                on_click=_play,
                args=(True,),
            )
        st.button("Step", icon=":material/skip_next:", key="step-on", disabled=full or playing, on_click=_step)
        st.button("Start over", icon=":material/replay:", key="over", on_click=_start_over)


def _play(on: bool) -> None:
    st.session_state.playing = on
    shell.change()


def _step() -> None:
    shell.change(made=min(shell.settings().made + 1, MOST_MADE))


def _start_over() -> None:
    st.session_state.playing = False
    shell.change(made=0)


def _ways(batch: ScoredBatch, settings: Settings) -> tuple[Path, Path]:
    """The greedy path and the sampled one; the same at temperature 0."""
    prompt = prompt_of(next(row for row in batch.rows if row.number == settings.at[0]))
    sampler = sampler_of(settings)
    greedy = Start(settings.model, prompt, GREEDY, 0)
    return path(greedy), path(greedy if sampler.greedy else Start(settings.model, prompt, sampler, settings.seed))


def _paths(ticking: bool) -> None:
    """Both paths as far as they go, and one token more if they are playing.

    What is drawn between two tokens is where a press of Stop comes through.
    """
    settings = shell.settings()
    batch = scored(settings)
    if batch is None:
        return
    playing = bool(st.session_state.get("playing"))
    goal = min(settings.made + playing, MOST_MADE)
    ways = _ways(batch, settings)
    boxes = []
    for n, (column, way) in enumerate(zip(st.columns(2, gap="medium"), ways, strict=True)):
        _grow(way, goal)
        boxes.append(column.container(border=True, height="stretch", key=f"path-{n}"))
    done = all(len(way.steps) >= goal for way in ways)
    if done and goal > settings.made:
        shell.change(made=goal)  # before it is drawn: what was seen is not taken back
    for n, (box, way) in enumerate(zip(boxes, ways, strict=True)):
        with box:
            _path(n, way, way.steps[:goal], settings)
    _say(goal, done, settings)
    if ticking and done and (not playing or goal == MOST_MADE):
        st.session_state.playing = False
        run_again()


def _grow(way: Path, goal: int) -> None:
    """Make what is missing, for a moment; the next tick goes on."""
    end = time.monotonic() + STRETCH
    while len(way.steps) < goal and time.monotonic() < end:
        way.grow(goal)


def _say(goal: int, done: bool, settings: Settings) -> None:
    if not done:
        st.caption(f"The {goal} tokens are being made …")
    elif goal == MOST_MADE:
        st.text(f"{MOST_MADE} tokens are made, and the page makes no more. Start over, or take another seed.")
    elif goal and settings.temperature == 0:
        st.text("At temperature 0 nothing is left to chance: both paths are the same.")


def _path(n: int, way: Path, steps: Sequence[Step], settings: Settings) -> None:
    with st.container(key=f"title-path-{n}"):
        st.text(TITLES[n] + (f": {_sampling(settings)}" if n and steps else ""))
    token = find(settings.model).tokenizer().token
    prompt = [token(id) for id in way.start.prompt]
    cells = [*(Cell(token.label) for token in prompt[-PROMPT_SHOWN:]), *map(_cell, range(len(steps)), steps)]
    token_strip(
        strip_data([cells], find(settings.model).info.vocab_size),
        at=len(steps) - 1 if steps else None,
        key=f"path-strip-{n}",
        on_choose=None,
        colour="probability",
        figures=True,
        units=settings.units,
    )
    if steps:
        last, loss = steps[-1], in_units(fmean(-step.log_proba for step in steps), settings.units)
        st.text(f"Newest: {last.token.label} · probability {proba_text(last.log_proba)} · rank {last.rank:,}")
        st.caption(f"{len(steps)} tokens; the loss of the path is {loss:.4f} {settings.units} per token")
    st.code(visible([*prompt, *(step.token for step in steps)]), language=None, wrap_lines=True)


def _sampling(settings: Settings) -> str:
    cuts = [f"top-k {settings.top_k:,}"] * bool(settings.top_k) + [f"top-p {settings.top_p:g}"] * (settings.top_p < 1)
    return ", ".join([f"temperature {settings.temperature:g}", *cuts, f"seed {settings.seed}"])


def _cell(k: int, step: Step) -> Cell:
    top = tuple((likely.token.label, likely.log_proba) for likely in step.top)
    return Cell(step.token.label, k, f"token {k + 1}", "", step.log_proba, step.rank, step.entropy, top)


def visible(tokens: Sequence[Token]) -> str:
    """The text that the tokens spell; bytes that are no whole character (yet) are shown as `<F0 9F>`."""
    text = b"".join(token.raw for token in tokens).decode("utf-8", "surrogateescape")
    return re.sub(
        "[\udc80-\udcff]+", lambda lost: f"<{lost[0].encode('utf-8', 'surrogateescape').hex(' ').upper()}>", text
    )
