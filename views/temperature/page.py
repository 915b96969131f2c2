"""What stands below the text, in one fragment, so that a control redraws nothing else."""

import math

import pandas as pd
import streamlit as st

from gptloss.analysis.temperature import TemperatureCurve
from gptloss.charts.draws import draws_chart
from gptloss.charts.sampling import bars_chart, ranks_chart
from gptloss.charts.temperature import best_sentence, temperature_chart
from gptloss.charts.theme import CONFIG
from gptloss.numbers import Units, in_units, position_name
from gptloss.prediction.sampling import Sampler
from gptloss.serving import continuations
from gptloss.serving.question import Question
from gptloss.serving.readings import batch_of
from views.shared import ticks
from views.shared.choose_one import choose_one
from views.shared.position_strip import position_strip
from views.shared.scored_text import scored
from views.shared.tables import formats, numbers_as_tables
from views.temperature.controls import CHARTS, change_sampling, sampler_of, sampling_controls
from views.temperature.distribution import (
    Subject,
    choice_of,
    counts_of,
    cut_off_targets,
    subject_of,
    title_of,
    token_table,
)
from views.visit import session
from views.visit.fields.sampling import DRAWS, LARGEST_SEED
from views.visit.settings import Settings

SOURCES = {"text": "The chosen position of my text", "book": "The book’s nine words"}
SMALL_PROBAS = formats("%.4f", "logit") | formats("%.4e", "before", "after")
BOOK_PROBAS = formats("%.4f", "logit", "before", "after")
# A text of up to this many tokens has its curve within a second; a longer one gets a part of it at every tick.
QUICK, TICK = 256, 0.1
# Targets that are named.
LISTED = 6
# Expected draws below which the bars show chance more than probability.
FEW = 5


def source_choice() -> None:
    """Whose distribution is shown."""
    choose_one(
        "source",
        "Whose distribution is shown",
        SOURCES,
        hide_label=True,
        chosen=True,
        help="Chapter 5.3 of the book has a vocabulary of nine words, and logits for the word after “every effort"
        " moves you”. The loss of a text and its continuation need a model.",
    )


@st.fragment(key=CHARTS)
def sampling_charts() -> None:
    """The strip, the controls, and the charts of one distribution before and after, which are sent first."""
    settings = session.settings()
    subject = subject_of(settings)
    if subject is None and settings.source == "text":  # the page has said why
        return session.write_link()
    sampler = sampler_of(settings)
    said = choice_of(subject, sampler).said
    above = st.container()
    beside, bars = st.columns([1, 2], gap="medium")
    with bars.container(border=True, height="stretch"):
        _bars(subject, sampler, said)
    left, right = st.columns(2, gap="medium")
    with left.container(border=True, height="stretch"):
        _ranks(subject, sampler, said)
    with right.container(border=True, height="stretch"):
        _draws(subject, settings)
    with above:
        if subject:
            position_strip(settings, change_sampling)
    with beside.container(border=True, height="stretch", gap="xsmall", key="sampler"):
        sampling_controls(settings)
    with st.container(border=True):
        if subject:
            _loss(settings)
        else:
            table = token_table(subject, settings)
            st.dataframe(table, hide_index=True, column_config=BOOK_PROBAS, key="book-frame")
    if subject:
        _tables(subject, settings)
    session.write_link()


@st.cache_data(max_entries=256, show_spinner=False)
def _bars(subject: Subject, sampler: Sampler, _said: str) -> None:
    """What was drawn once is replayed, for any visitor."""
    chart = bars_chart(choice_of(subject, sampler), title_of(subject))
    alt = f"{_name(subject)}: the likeliest tokens before and after; {_said}. The table below has the numbers."
    st.plotly_chart(chart, key="before-after", config=CONFIG, alt=alt)


@st.cache_data(max_entries=256, show_spinner=False)
def _ranks(subject: Subject, sampler: Sampler, _said: str) -> None:
    alt = f"All probabilities by rank, before and after; {_said}."
    st.plotly_chart(ranks_chart(choice_of(subject, sampler)), key="ranks-after", config=CONFIG, alt=alt)


def _name(subject: Subject) -> str:
    return position_name(*subject[1]) if subject else "The book’s nine words"


def _draws(subject: Subject, settings: Settings) -> None:
    """n draws with the seed, and the buttons for other ones."""
    _draws_chart(subject, sampler_of(settings), settings.draws, settings.seed)
    with st.container(horizontal=True, gap="small", key="draws-controls"):
        choose_one("draws", "Draws", {count: f"{count:,}" for count in DRAWS}, hide_label=True)
        st.button("Draw again", icon=":material/casino:", help="With the next seed", on_click=_next_seed)
    expected = settings.draws * math.exp(choice_of(subject, sampler_of(settings)).after.max().item())
    if expected < FEW:
        st.caption(
            f"The likeliest token is expected {expected:.2g} times: {settings.draws:,} draws are too few to see such"
            " probabilities. Take more, or cut with top-k."
        )


def _next_seed() -> None:
    change_sampling(seed=(session.settings().seed + 1) % (LARGEST_SEED + 1))


@st.cache_data(max_entries=256, show_spinner=False)
def _draws_chart(subject: Subject, sampler: Sampler, n: int, seed: int) -> None:
    chart = draws_chart(choice_of(subject, sampler), counts_of(subject, sampler, n, seed))
    alt = f"How often each of the likeliest tokens came in {n:,} draws with the seed {seed}, against its probability."
    st.plotly_chart(chart, key="drawn", config=CONFIG, alt=alt)


def _loss(settings: Settings) -> None:
    """The loss of the whole text at every temperature, when it is worked out."""
    work = continuations.curve(settings.question)
    while len(batch_of(settings.question)) <= QUICK and not work.finished:
        work.grow()
    if work.finished:
        _work_out()
    else:
        st.fragment(_work_out, run_every=TICK)()


def _work_out() -> None:
    """The curve, or a part more of it at every tick, so that the controls work meanwhile."""
    settings = session.settings()
    if scored(settings) is None:
        return
    work, total = continuations.curve(settings.question), len(batch_of(settings.question))
    ticks.rest("curve", done=work.finished is not None)
    if work.finished is None:
        work.grow()
        st.progress(work.done / total, f"The loss at 25 temperatures: {work.done:,} of {total:,} tokens …")
    else:
        _loss_chart(settings.question, settings.temperature, settings.units, work.finished)
        if settings.temperature == 0 and work.finished.best > 0:
            st.caption("At temperature 0 the loss is infinite: some token is not the model’s first choice.")
        _cut_off(settings)


def _cut_off(settings: Settings) -> None:
    """Say that a target that top-k or top-p cuts off costs infinity, and which target that is."""
    sampler, batch = sampler_of(settings), batch_of(settings.question)
    if sampler.greedy or (sampler.top_k == 0 and sampler.top_p == 1):
        return
    said = "A target that the cut leaves out has p = 0 and costs infinity; the curve is without cuts."
    if len(batch) > QUICK:
        st.text(said)
        return
    lost = cut_off_targets(settings.question, sampler)
    names = ", ".join(f"{batch.targets[k].label} ({position_name(*batch.positions[k])})" for k in lost[:LISTED])
    more = f" and {len(lost) - LISTED} more" if len(lost) > LISTED else ""
    st.text(f"{said} Here that is {names}{more}." if lost else f"{said} Here no target is cut off.")


@st.cache_data(max_entries=256, show_spinner=False)
def _loss_chart(question: Question, temperature: float, units: Units, _curve: TemperatureCurve) -> None:
    """`_curve` follows from the rest."""
    alt = f"The loss of the whole text at temperatures from 0.1 to 10: {best_sentence(_curve, units)}."
    st.plotly_chart(temperature_chart(_curve, temperature, units), key="loss-by-temperature", config=CONFIG, alt=alt)


def _tables(subject: tuple[Question, tuple[int, int]], settings: Settings) -> None:
    with numbers_as_tables("sampling-tables") as opened:
        if opened:
            st.caption("The likeliest tokens, before and after, and how often each was drawn")
            st.dataframe(
                token_table(subject, settings), hide_index=True, column_config=SMALL_PROBAS, key="sampling-frame"
            )
            curve = continuations.curve(settings.question).finished
            if curve:
                st.caption(f"The loss of the whole text, in {settings.units} per token")
                st.dataframe(_loss_table(curve, settings.units), hide_index=True, key="temperature-frame")


def _loss_table(curve: TemperatureCurve, units: Units) -> pd.DataFrame:
    losses = [in_units(loss, units) for loss in curve.losses]
    return pd.DataFrame({"temperature": curve.temperatures, "loss": losses})
