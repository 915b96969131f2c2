"""The text goes on token by token, by the greedy path and by the sampled one, side by side."""

import re
from collections.abc import Sequence
from statistics import fmean

import streamlit as st

from gptloss.models import find
from gptloss.numbers import in_units, proba_text
from gptloss.prediction.sampling import SampledToken, Sampler
from gptloss.scoring.batch import ScoredBatch
from gptloss.serving.continuations import Continuation, Start, continuation, prompt_of
from gptloss.tokens import Token
from views.components.token_strip import Cell, strip_data, token_strip
from views.shared import ticks
from views.shared.scored_text import scored
from views.temperature.controls import PATHS, sampler_of
from views.visit import session
from views.visit.fields.sampling import MOST_MADE
from views.visit.settings import Settings

# Seconds between two tokens while it plays.
TICK = 0.2
# Notes of the visit: what is continued, and whether tokens are being made.
READ, PLAYING = "continued", "playing"
# Of the prompt, before the tokens that were made.
PROMPT_SHOWN = 8
GREEDY = Sampler(temperature=0)
TITLES = ("Greedy path: always the first choice", "Sampled path")


def generation(settings: Settings) -> None:
    """The buttons, and below them both paths; these are drawn again at every tick while there is more to make.

    The buttons stand outside of what ticks: only a run of the whole page can stop it. Another text, model or source
    does so too.
    """
    read = settings.question, settings.source
    if session.just_opened() or session.recall(READ, None) != read:
        _set_playing(False)
    session.remember(READ, read)
    if settings.source == "book" or scored(settings) is None:
        return
    st.header("Generate", anchor=False)
    _buttons(settings)
    _paths()


def _buttons(settings: Settings) -> None:
    playing, full = _playing(), settings.made == MOST_MADE
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
    _set_playing(on)
    session.change()


def _step() -> None:
    session.change(made=min(session.settings().made + 1, MOST_MADE))


def _start_over() -> None:
    _set_playing(False)
    session.change(made=0)


def _ways(batch: ScoredBatch, settings: Settings) -> tuple[Continuation, Continuation]:
    """The greedy path and the sampled one; the same at temperature 0."""
    prompt = prompt_of(next(row for row in batch.rows if row.number == settings.at[0]))
    sampler = sampler_of(settings)
    greedy = Start(settings.model, prompt, GREEDY, 0)
    return continuation(greedy), continuation(
        greedy if sampler.greedy else Start(settings.model, prompt, sampler, settings.seed)
    )


@st.fragment(key=PATHS)
def _paths() -> None:
    """Both paths. The tokens that a link asks for are made here, or at every tick if that takes long."""
    settings = session.settings()
    batch = scored(settings)
    if batch is None:
        return
    where = f" after row {settings.at[0]}" if len(batch.rows) > 1 else ""
    st.caption(
        f"The text goes on{where}, token by token. The same seed always gives the same tokens. Probabilities and"
        " ranks are the model’s own, before temperature and cuts."
    )
    place, goes_on = st.empty(), ticks.a_first_while()
    for way in _ways(batch, settings):
        while not way.has(settings.made) and goes_on():
            way.grow(settings.made)
            place.caption(f"Token {len(way.tokens)} of {settings.made} is made …")
    place.empty()
    if _playing() or not _made(_ways(batch, settings), settings.made):
        st.fragment(_tick, run_every=TICK)()
    else:
        _both(settings.made)


def _tick() -> None:
    """One token more on each path if they are playing, or some of those that a link asks for.

    What is drawn between two paths is where a press of Stop comes through.
    """
    settings = session.settings()
    batch = scored(settings)
    if batch is None:
        return
    goal = min(settings.made + _playing(), MOST_MADE)
    ways = _ways(batch, settings)
    for way in ways:
        _grow(way, goal)
        st.empty()
    done = _made(ways, goal)
    if done and goal > settings.made:
        session.change(made=goal)  # before it is drawn, so that nothing seen is taken back
    _both(goal)
    if _playing() and (session.settings().made == MOST_MADE or all(way.ended for way in ways)):
        _set_playing(False)
        st.rerun()  # so that the buttons show it
    ticks.rest("paths", done=done and not _playing())


def _grow(way: Continuation, goal: int) -> None:
    """Make what is missing, for a moment; the next tick goes on."""
    goes_on = ticks.a_stretch()
    while not way.has(goal) and goes_on():
        way.grow(goal)


def _made(ways: Sequence[Continuation], goal: int) -> bool:
    return all(way.has(goal) for way in ways)


def _playing() -> bool:
    """Whether tokens are being made; of a text that the page has not been drawn with yet, none are.

    A tick may run after the visitor has changed the text and before the page does.
    """
    settings = session.settings()
    return session.recall(PLAYING, False) and session.recall(READ, None) == (settings.question, settings.source)


def _set_playing(on: bool) -> None:
    session.remember(PLAYING, on)


def _both(goal: int) -> None:
    settings = session.settings()
    batch = scored(settings)
    assert batch is not None, "only what was scored is continued"
    ways = _ways(batch, settings)
    legend = strip_data([], find(settings.model).info.vocab_size)
    token_strip(legend, None, "path-legend", None, colour="probability", units=settings.units)
    for n, (column, way) in enumerate(zip(st.columns(2, gap="medium"), ways, strict=True)):
        with column.container(border=True, height="stretch", key=f"path-{n}"):
            _path(n, way, way.tokens[:goal], settings)
    _say(goal, _made(ways, goal), settings)


def _say(goal: int, done: bool, settings: Settings) -> None:
    if not done:
        st.caption(f"The {goal} tokens are being made …")
    elif goal == MOST_MADE:
        st.text(f"{MOST_MADE} tokens are made, and the page makes no more. Start over, or take another seed.")
    elif goal and settings.temperature == 0:
        st.text("At temperature 0 nothing is left to chance: both paths are the same.")


def _path(n: int, way: Continuation, steps: Sequence[SampledToken], settings: Settings) -> None:
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
        legend=False,
    )
    if steps:
        last, loss = steps[-1], in_units(fmean(-step.log_proba for step in steps), settings.units)
        st.text(f"Newest: {last.token.label} · probability {proba_text(last.log_proba)} · rank {last.rank:,}")
        st.caption(f"{len(steps)} tokens; the loss of the path is {loss:.4f} {settings.units} per token")
        if steps[-1].token.id in find(settings.model).info.eos_ids:
            st.text(f"{steps[-1].token.label} ends the text, so this path stops.")
    st.code(visible([*prompt, *(step.token for step in steps)]), language=None, wrap_lines=True)


def _sampling(settings: Settings) -> str:
    cuts = [f"top-k {settings.top_k:,}"] * bool(settings.top_k) + [f"top-p {settings.top_p:g}"] * (settings.top_p < 1)
    return ", ".join([f"temperature {settings.temperature:g}", *cuts, f"seed {settings.seed}"])


def _cell(k: int, step: SampledToken) -> Cell:
    top = tuple((likely.token.label, likely.log_proba) for likely in step.top)
    return Cell(step.token.label, k, f"token {k + 1}", "", step.log_proba, step.rank, step.entropy, top)


def visible(tokens: Sequence[Token]) -> str:
    """The text that the tokens spell; bytes that are no whole character (yet) are shown as `<F0 9F>`."""
    text = b"".join(token.raw for token in tokens).decode("utf-8", "surrogateescape")
    return re.sub(
        "[\udc80-\udcff]+", lambda lost: f"<{lost[0].encode('utf-8', 'surrogateescape').hex(' ').upper()}>", text
    )
