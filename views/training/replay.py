"""A recorded run: its losses, what it writes, and the probabilities of a text, all moved by one slider."""

import bisect
import math
from typing import Any

import streamlit as st

from gptloss.charts.theme import CONFIG
from gptloss.charts.training.curves import BOTTOM, LEFT, RIGHT, TOP, curves_chart, top_of
from gptloss.charts.training.heat_map import LEFT as MAP_LEFT
from gptloss.charts.training.heat_map import RIGHT as MAP_RIGHT
from gptloss.charts.training.heat_map import heat_map_chart, layout_of
from gptloss.errors import GptlossError
from gptloss.numbers import Units, counted, in_units, proba_text
from gptloss.training.baselines import skill
from gptloss.training.recipe import BYTES
from gptloss.training.recorded import MOST_TOKENS, NAMES, RecordedRun, followed, recorded_run
from gptloss.training.snapshot import Followed, Snapshot
from views.components.replay_bar import moved_to, replay_bar
from views.shared.row_errors import row_error_card
from views.shared.text_box import own_text, take
from views.training.mode_switch import mode_switch
from views.visit import session
from views.visit.pages import TRAINING
from views.visit.rows import row_texts
from views.visit.settings import Settings

BAR, CURVE, MAP = "replay-bar", "replay-curve", "replay-map"
# Texts in the heat map.
TEXTS = 4
LECTURE = ("Every effort moves you", "I really like chocolate")


def replay_view(settings: Settings) -> None:
    """The bar, the two charts, and what the run was made from."""
    run = recorded_run(settings.run)
    texts, errors = _texts(run, settings)
    left, right = st.columns([13, 4], gap="medium")
    with right:
        mode_switch()
        _choices()
    with left:
        _bar(run, texts, settings)
    curves, cells = st.columns([11, 9], gap="medium")
    with curves.container(border=True):
        st.plotly_chart(_curves(run, settings), key=CURVE, config=CONFIG, alt=_alt(run))
    with cells.container(border=True):
        if texts:
            unit = "letter" if _of_letters(run) else "token"
            chart = heat_map_chart(texts, _steps(run), unit)
            alt = f"The probability of each {unit} of {counted(len(texts), 'text')} at {len(_steps(run))} steps."
            st.plotly_chart(chart, key=MAP, config=CONFIG, alt=alt)
        _whose(run, settings, errors)
    _facts(run)


def _choices() -> None:
    titles = {name: recorded_run(name).title for name in NAMES}
    settings = session.settings()
    session.give("run", settings.run)
    st.selectbox("Recorded run", NAMES, format_func=titles.__getitem__, key="run", on_change=_choose, args=("run",))
    others = ["none", *(name for name in NAMES if name != settings.run)]
    session.give("beside", settings.beside if settings.beside in others else "none")
    st.selectbox(
        "Another one beside it, dotted",
        others,
        format_func=lambda name: titles.get(name, name),
        key="beside",
        on_change=_choose,
        args=("beside",),
    )


def _choose(field: str) -> None:
    session.change(**{field: st.session_state[field]})


def _texts(run: RecordedRun, settings: Settings) -> tuple[list[Followed], dict[int, str]]:
    """What the heat map shows: the visitor's rows if the run has its weights, else the texts it was recorded with.

    With it what is wrong with a row, by its number.
    """
    found, errors = [], {}
    if run.kept:
        for number, text in enumerate(row_texts(settings)[:TEXTS], 1):
            try:
                found.append(followed(run.name, text))
            except GptlossError as error:
                errors[number] = str(error)
        return found, errors
    looks = [run.snapshots[n] for n in _shown(run)]
    for text in _recorded_texts(run):
        n = run.watched.index(text)
        found.append(Followed(text, looks[0].watched[n].tokens, tuple(look.watched[n].log_probas for look in looks)))
    return found, errors


def _recorded_texts(run: RecordedRun) -> tuple[str, ...]:
    """The texts of the heat map of a run without its weights: with the lecture's rows, where it reads tokens."""
    return _opening() if _of_letters(run) else (*_opening(), *LECTURE)


def _of_letters(run: RecordedRun) -> bool:
    return run.vocab_size == BYTES


def _shown(run: RecordedRun) -> list[int]:
    """The looks that are rows of the heat map."""
    if run.kept:
        return [n for n, look in enumerate(run.snapshots) if look.step in run.kept]
    every = max(1, len(run.snapshots) // 20)
    return list(range(0, len(run.snapshots), every))


def _steps(run: RecordedRun) -> list[int]:
    return [run.snapshots[n].step for n in _shown(run)]


@st.fragment
def _bar(run: RecordedRun, texts: list[Followed], settings: Settings) -> None:
    steps = [look.step for look in run.snapshots]
    replay_bar(
        {
            "run": f"{run.name} {session.settings().units}",
            "at": _nearest(steps, settings.moment),
            "looks": [_look(run, look, texts, settings.units) for look in run.snapshots],
            "curve": {
                "key": CURVE,
                "left": LEFT,
                "right": RIGHT,
                "top": TOP,
                "bottom": BOTTOM,
                "last": run.recipe.steps,
                "high": _high(run, settings),
            },
            "map": _map(run, texts),
        },
        BAR,
        lambda: session.change(moment=moved_to(BAR, run.recipe.steps)),
    )
    session.write_link()


def _look(run: RecordedRun, look: Snapshot, texts: list[Followed], units: Units) -> dict[str, Any]:
    """What the bar shows at a look, as text."""
    row = bisect.bisect_right(_steps(run), look.step) - 1
    return {
        "step": look.step,
        "name": f"{look.step:,} · epoch {look.epoch:.1f}",
        "losses": [in_units(look.train_loss, units), in_units(look.val_loss, units)],
        "figures": [
            ["training loss", f"{in_units(look.train_loss, units):.2f}", "training"],
            ["validation loss", f"{in_units(look.val_loss, units):.2f}", "validation"],
            ["perplexity in validation", f"{math.exp(look.val_loss):,.1f} of {run.vocab_size:,}", ""],
            ["skill, the way from ln V to 0", f"{skill(look.val_loss, run.vocab_size):.0%}", "skill"],
        ],
        "sample": look.sample_line,
        "row": row,
        "rows": [figure for text in texts for figure in _figures(run, text, row)],
    }


def _figures(run: RecordedRun, text: Followed, row: int) -> list[list[str]]:
    """The p_ij of a row of the lecture; of another text the mean p, as the loss has it: the geometric one."""
    log_probas = text.log_probas[row]
    if text.text in LECTURE and not _of_letters(run):
        i = LECTURE.index(text.text) + 1
        names = (f"p{i}{j} {token}" for j, token in enumerate(text.tokens[1:], 1))
        return [[name, proba_text(value), ""] for name, value in zip(names, log_probas, strict=True)]
    return [[_start(text.text), f"mean p {proba_text(math.fsum(log_probas) / len(log_probas))}", ""]]


def _start(text: str) -> str:
    return text if len(text) <= 34 else f"{text[:33]}…"


def _map(run: RecordedRun, texts: list[Followed]) -> dict[str, Any] | None:
    if not texts:
        return None
    place = layout_of(texts, len(_steps(run)))
    widths = [len(text.tokens) for text in texts]
    where = {"left": MAP_LEFT, "right": MAP_RIGHT, "tops": place.tops, "row": place.row}
    return {"key": MAP, "widths": widths, **where}


def _curves(run: RecordedRun, settings: Settings) -> Any:
    other = _other(settings)
    return curves_chart(
        run.snapshots,
        run.baselines,
        run.vocab_size,
        settings.units,
        run.recipe.steps,
        run.batches,
        run.turn,
        other=other.snapshots if other else (),
        other_title=other.title if other else "",
    )


def _high(run: RecordedRun, settings: Settings) -> float:
    other = _other(settings)
    return top_of(run.snapshots, run.baselines, settings.units, other.snapshots if other else ())


def _other(settings: Settings) -> RecordedRun | None:
    return recorded_run(settings.beside) if settings.beside not in ("none", settings.run) else None


def _alt(run: RecordedRun) -> str:
    first, last = run.snapshots[0], run.snapshots[-1]
    turned = f" The validation loss is lowest at step {run.turn.step:,}." if run.turn else ""
    return (
        f"In {last.step:,} steps the training loss goes from {first.train_loss:.2f} to {last.train_loss:.2f} nats,"
        f" the validation loss from {first.val_loss:.2f} to {last.val_loss:.2f}.{turned}"
    )


def _whose(run: RecordedRun, settings: Settings, errors: dict[int, str]) -> None:
    """The visitor's text, or why this run cannot read it."""
    if not run.kept:
        st.caption("Only the first run has its weights here, so this one shows the texts it was recorded with.")
        return
    rows = row_texts(settings)
    for number, reason in errors.items():
        with row_error_card(number, f"Row {number} is left out", reason):
            pass
    own_text(settings, label="Follow your own text", more=_examples)
    if len(rows) > TEXTS:
        st.caption(f"The first {TEXTS} of {len(rows)} rows are followed.")
    if any(len(text.encode()) > MOST_TOKENS for text in rows):
        st.caption(f"The first {MOST_TOKENS} letters of a row are followed.")


def _examples() -> None:
    with st.container(horizontal=True, gap="small"):
        for name, rows in (("One it learned from, one it never saw", _opening()), ("The lecture’s rows", LECTURE)):
            st.button(name, type="tertiary", on_click=take, args=(rows,))


def _opening() -> tuple[str, ...]:
    assert TRAINING.opening
    return TRAINING.opening.rows


def _nearest(steps: list[int], step: int) -> int:
    return min(range(len(steps)), key=lambda n: abs(steps[n] - step))


def _facts(run: RecordedRun) -> None:
    recipe = run.recipe
    clip = "" if recipe.clip == 0 else f", gradients clipped at {recipe.clip:g}"
    st.caption(
        f"Recorded: {run.parameters:,} weights, {recipe.n_layers} layers, {recipe.emb_dim} wide, context"
        f" {recipe.context_length}, on *{run.text}*; batches of {recipe.batch_size}, AdamW with a learning rate of"
        f" {recipe.learning_rate:g}, weight decay {recipe.weight_decay:g}, dropout {recipe.drop_rate:g}{clip}, seed"
        f" {recipe.seed}; PyTorch {run.versions['torch']}. To record it again:"
        f" `python -m tests.helpers.record_runs {run.name}`."
    )
