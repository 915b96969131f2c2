"""The two losses, the run that computes them, and the second model beside the first."""

from dataclasses import dataclass, replace
from pathlib import Path

import streamlit as st

from gptloss.charts.conventions import BATCH
from gptloss.charts.corpus import RunLosses, ruler_chart, running_chart
from gptloss.charts.theme import CONFIG
from gptloss.corpus.job import PARTS, Job
from gptloss.corpus.layout import layout, tokens_to_score
from gptloss.corpus.tally import CorpusLoss
from gptloss.errors import GptlossError
from gptloss.lessons.pitfalls.corpus_means import wrong_means
from gptloss.lessons.recorded import CLOSE, recorded
from gptloss.models import DEFAULT_MODEL, REGISTRY, find, is_here
from gptloss.numbers import counted, in_units, perplexity_text
from gptloss.serving import runs
from gptloss.serving.runs import BackgroundRun
from views.data_set_loss.jobs import check_windows, jobs_of, plan_of
from views.data_set_loss.run_losses import losses_of
from views.data_set_loss.text import chosen_texts
from views.frame.model_names import option
from views.shared import ticks
from views.shared.markdown import literal
from views.visit import access, session
from views.visit.settings import Settings
from views.visit.visitor import is_connected, visitor

STYLE = Path(__file__).parent / "style.css"
# Seconds between two looks at a run; how long a click waits for one that is short.
TICK, SHORT = 0.5, 0.4
# Nats within which two means are one.
SAME = 5e-6


def second_model(settings: Settings) -> None:
    """A second model that reads the same text after the first."""
    names = [name for name in access.models() if name != settings.model and _here(name)]
    if settings.second not in ("", *names):
        session.correct("", always=True, second="")
    session.give("second", settings.second)
    st.selectbox(
        "Second model, on the same text",
        ["", *names],
        format_func=lambda name: option(name) if name else "none",
        key="second",
        on_change=_choose_second,
    )


def _choose_second() -> None:
    name = st.session_state.second or ""
    if not name or access.allowed(name):
        session.change(second=name)


def _here(name: str) -> bool:
    try:
        return is_here(name)
    except GptlossError:
        return False


def jobs() -> list[Job]:
    """What the settings ask for; nothing without a text."""
    settings = session.settings()
    found = chosen_texts(settings)
    return jobs_of(settings, found) if found else []


def losses_and_run(settings: Settings) -> bool:
    """Both losses, large; the button; and below it how far the run is, drawn again while it is at work.

    The button stands outside of what ticks: only a run of the whole page can stop that. Gives whether it is at work.
    """
    st.html(STYLE)
    if session.just_opened():
        ticks.opened("data")
    wanted = jobs()
    shown = [run for job in wanted if (run := runs.find_run(job))]
    at_work = any(run.running for run in shown)
    if at_work:
        _buttons(wanted, shown)
        st.fragment(_live, run_every=TICK)()
    else:
        first = results_of(wanted[0]) if wanted else Results({}, recorded=False)
        _figures(first, settings)
        _ruler(wanted, settings)
        _buttons(wanted, shown)
        for run in shown:
            _said(run)
        with st.container(key="data-means", gap=None):
            for part, result in first.parts.items():
                st.text(_means(part, result, settings))
    return at_work


@dataclass(frozen=True)
class Results:
    """The loss of each part as far as it is known, and whether it was recorded before or computed here."""

    parts: dict[str, CorpusLoss]
    recorded: bool


def results_of(job: Job) -> Results:
    """What a run has scored here; before there is one, what was recorded."""
    run = runs.find_run(job)
    computed = {part: result for part in PARTS if (result := run.result(part))} if run else {}
    return Results(computed, recorded=False) if computed else Results(recorded(job), recorded=True)


def _figures(results: Results, settings: Settings) -> None:
    """Training and validation loss, or dashes."""
    columns = st.container(key="data-losses").columns(2, gap="small", wrap=False)
    for part, column in zip(PARTS, columns, strict=True):
        result = results.parts.get(part)
        with column.container(key=f"data-{part}", gap="xsmall"):
            st.metric(
                f"{part.capitalize()} loss, {settings.units} per token",
                f"{in_units(result.loss, settings.units):.4f}" if result else "–",
                _spread(result, settings) if result else "not yet scored",
                delta_color="off",
                delta_arrow="off",
                border=True,
            )


def _spread(result: CorpusLoss, settings: Settings) -> str:
    count = len(result.window_tokens)
    over = counted(count, "window")
    if result.loss_stderr is None:
        return over
    return f"± {in_units(result.loss_stderr, settings.units):.4f} over {over}"


def _means(part: str, result: CorpusLoss, settings: Settings) -> str:
    """The perplexity, and the mean of batch means that the book's loop prints, with the reason if it differs."""
    book = wrong_means(result, BATCH).batch_means
    said = (
        f"{part.capitalize()}: perplexity {perplexity_text(result.loss)}; the book’s calc_loss_loader, a mean of"
        f" batch means, gives {in_units(book, settings.units):.4f}"
    )
    if abs(book - result.loss) < SAME:
        return f"{said}, the same."
    left = len(result.window_tokens) % BATCH
    why = f"the last batch has {left} of {BATCH} windows" if left else "the windows differ in length"
    return f"{said}: {why}, and counts as much as each other."


def _buttons(wanted: list[Job], shown: list[BackgroundRun]) -> None:
    """Buttons that stop the visitor's own run, begin one, or join another visitor's."""
    done = len(shown) == len(wanted) and all(run.state == "done" for run in shown)
    with st.container(horizontal=True, gap="small", vertical_alignment="center", key="data-run"):
        if any(map(_is_mine, shown)):
            st.button("Stop", icon=":material/stop:", type="primary", key="data-stop", on_click=_stop)
        elif not (done and wanted):
            stopped = any(run.state == "stopped" and run.tokens for run in shown)
            st.button(
                "Go on" if stopped else "Run",
                icon=":material/play_arrow:",
                type="primary",
                key="data-go",
                disabled=not wanted,
                on_click=_run,
            )
        others = [run for run in runs.under_way(visitor()) if run.job not in wanted]
        if others:
            st.caption("A run with other settings is under way.")
            st.button("Stop that one", key="data-stop-other", type="tertiary", on_click=_stop)
    if wanted and not shown:
        known = recorded(wanted[0])
        st.text(
            "These losses were recorded; Run computes them here."
            if known
            else "Run computes both losses on this machine. You can turn to other pages meanwhile."
        )
        if known and wanted[0].model == DEFAULT_MODEL:
            st.text("Nothing is trained here: before training both losses agree.")


def _run() -> None:
    session.change()
    try:
        wanted = jobs()
        for job in wanted:
            check_windows(layout(job.model, job.texts, job.split), job.plan)
        runs.start(wanted, visitor(), is_connected)
        for job in wanted:
            if run := runs.find_run(job):
                run.wait(SHORT)
    except GptlossError as error:
        session.notify(str(error))


def _stop() -> None:
    session.change()
    runs.leave(visitor())


def _live() -> None:
    """One look at a run: how far it is, and the running loss. When it has ended, the page shows the rest."""
    settings = session.settings()
    wanted = jobs()
    shown = [run for job in wanted if (run := runs.find_run(job))]
    at_work = any(run.running for run in shown)
    if wanted:
        _figures(results_of(wanted[0]), settings)
    for run in shown:
        _progress(run)
    readings = [found for run in shown if (found := losses_of(run)).windows]
    if readings:
        alt = "The mean loss of each part so far, window by window."
        st.plotly_chart(running_chart(readings, settings.units), key="running-chart", config=CONFIG, alt=alt)
    if not at_work and ticks.is_on_screen("data"):
        st.rerun()
    ticks.rest("data", done=not at_work)


def _progress(run: BackgroundRun) -> None:
    try:
        total = tokens_to_score(run.job)
    except GptlossError:  # the run shows the error itself
        return
    left = run.seconds_left(total)
    title = find(run.job.model).info.title
    said = "waits" if run.state == "waiting" else f"{run.tokens:,} of {total:,} tokens"
    whose = "" if not run.running or _is_mine(run) else ", for another visitor: press Run to have it too"
    ends = f", {_time(left)} left" if left is not None and run.running else ""
    st.progress(min(run.tokens / total, 1.0) if total else 0.0, f"{literal(title)}: {said}{ends}{whose}")


def _time(seconds: float) -> str:
    return f"{seconds:.0f} s" if seconds < 90 else f"{seconds / 60:.0f} minutes"


def _ruler(wanted: list[Job], settings: Settings) -> None:
    """The models that are asked for, and the lecture's two as far as their losses on this text were recorded."""
    names = _lecture_models()
    if not wanted or wanted[0].model not in names:
        names = []  # a model with other tokens is not to be compared with them
    lecture = [replace(wanted[0], model=name, plan=plan_of(settings, name)) for name in names]
    found = {
        job.model: RunLosses(find(job.model).info.title, find(job.model).info.vocab_size, results.parts, ())
        for job in [*wanted, *lecture]
        if (results := results_of(job)).parts
    }
    readings = list(found.values())
    if wanted and wanted[0].model in found:  # a second model's numbers do not stand alone
        st.plotly_chart(ruler_chart(readings, settings.units), key="ruler", config=CONFIG, alt=_ruler_text(readings))


def _lecture_models() -> list[str]:
    trained = access.pretrained()
    return [DEFAULT_MODEL, *([trained] if trained in REGISTRY else [])]


def _is_mine(run: BackgroundRun) -> bool:
    """Whether the run is at work for who is looking."""
    return run.running and visitor() in run.visitors


def _said(run: BackgroundRun) -> None:
    """What became of a run."""
    title = find(run.job.model).info.title
    short = [f"{part.capitalize()}: {reason}" for part in PARTS for reason in run.short[part]]
    if run.state == "failed":
        st.error(literal(run.error))
    elif run.state == "stopped":
        after = (
            f"after {run.tokens:,} tokens. Incomplete: the numbers are of those."
            if run.tokens
            else "before it began."
        )
        st.text(f"{title}: stopped {after} {run.error}".strip())
    elif run.tokens:
        pace = f", {run.tokens / run.seconds:,.0f} a second" if run.seconds > 0.5 else ""
        st.text(f"{title}: {run.tokens:,} tokens scored in {run.seconds:.1f} s{pace}.{_agreement(run)}")
    for sentence in short[:3]:
        st.text(sentence)


def _agreement(run: BackgroundRun) -> str:
    """Whether what was computed here is what was recorded, if it was."""
    known = recorded(run.job)
    here = {part: run.result(part) for part in known}
    apart = [abs(result.loss - known[part].loss) for part, result in here.items() if result]
    if not apart:
        return ""
    if max(apart) < CLOSE:
        return " They cost what was recorded."
    return f" The recorded losses differ by up to {max(apart):.4f} nats: other weights go by this name."


def _ruler_text(readings: list[RunLosses]) -> str:
    losses = [
        f"{found.title}, {part}: {result.loss:.4f} nats" for found in readings for part, result in found.parts.items()
    ]
    return f"Losses on a ruler from 0 to ln V. {'; '.join(losses)}."
