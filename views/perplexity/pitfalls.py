"""The pitfall lab: switches that break the calculation, with the right line and number beside the wrong ones."""

import streamlit as st

from gptloss.charts.perplexity.entropy import entropy_bound_chart
from gptloss.charts.theme import CONFIG
from gptloss.errors import GptlossError
from gptloss.lessons.pitfalls.case import Comparison, Outcome, Pitfall
from gptloss.lessons.pitfalls.catalogue import BY_KEY, PITFALLS
from gptloss.lessons.pitfalls.digits import entropy_curve
from gptloss.numbers import Units
from gptloss.scoring.batch import ScoredBatch
from gptloss.serving.pitfalls import comparison
from gptloss.serving.question import Question
from gptloss.serving.readings import batch_of
from views.perplexity.quiz import quiz
from views.visit import session
from views.visit.settings import Settings

NUMBERED = {pitfall.key: f"{n} {pitfall.title}" for n, pitfall in enumerate(PITFALLS, 1)}


def pitfalls(batch: ScoredBatch, settings: Settings) -> None:
    """The switches, or the quiz; below them the calculation."""
    with st.container(horizontal=True, vertical_alignment="center", gap="medium"):
        st.text(
            "Each question is a mistake, made on your text."
            if settings.quiz
            else "Switch a mistake on, and the calculation makes it on your text. Switch it off to mend it."
        )
        session.give("quiz", settings.quiz)
        st.toggle("Quiz", key="quiz", on_change=lambda: session.change(quiz=st.session_state.quiz))
    if settings.quiz:
        return quiz(settings)
    with st.container(key="mistakes"):
        session.give("mistake", settings.mistake if settings.mistake in BY_KEY else None)
        st.pills(
            "Mistakes",
            list(NUMBERED),
            format_func=NUMBERED.__getitem__,
            key="mistake",
            label_visibility="collapsed",
            on_change=lambda: session.change(mistake=st.session_state.mistake or "none"),
        )
    if settings.mistake == "none":
        _whole(batch)
    else:
        _broken(BY_KEY[settings.mistake], settings)


def _whole(batch: ScoredBatch) -> None:
    """The calculation without a mistake."""
    with st.container(border=True, key="calculation"):
        line, number = st.columns([3, 2], gap="medium", vertical_alignment="center")
        with line.container(key="right"):
            st.badge("No mistake", icon=":material/check:", color="green")
            st.code("loss = F.cross_entropy(logits, targets)\nperplexity = torch.exp(loss)", language="python")
        with number.container(key="right-number"):
            st.metric("Loss, nats per token", f"{batch.loss:.4f}", f"over {len(batch):,} targets", delta_color="off")


def _broken(pitfall: Pitfall, settings: Settings) -> None:
    """The calculation with one."""
    try:
        with st.spinner("Making the mistake on your text …"):
            made = comparison(settings.question, pitfall.key, settings.at)
    except GptlossError as error:
        with st.container(border=True, key="calculation"):
            st.badge("This mistake cannot be made here", icon=":material/info:", color="orange")
            st.text(str(error))
        return
    with st.container(border=True, key="calculation", gap="small"):
        # The right line first: it stays where it is when the mistake comes and goes.
        _line("Right", made.quantity, made.right, right=True)
        _line(f"Mistake: {pitfall.title}", made.quantity, made.wrong[0], right=False)
    with st.container(border=True, key="why", gap="small"):
        st.text(f"{pitfall.unseen} {pitfall.why}" if made.agrees else pitfall.why)
        if len(made.wrong) > 1:
            _table(made)
        if pitfall.key == "top-entropy":
            _entropy(settings.question, settings.at, settings.units)
        st.markdown(
            "Met in public: "
            + " · ".join(f"[{source.name}]({source.address}), {source.seen}" for source in pitfall.met)
        )


def _line(badge: str, quantity: str, outcome: Outcome, right: bool) -> None:
    """A line of code and the number that it gives."""
    name = "right" if right else "wrong"
    line, number = st.columns([3, 2], gap="medium", vertical_alignment="center")
    with line.container(key=name, gap="xsmall"):
        icon = ":material/check:" if right else ":material/close:"
        st.badge(badge, icon=icon, color="green" if right else "red")
        st.code(outcome.code, language="python", wrap_lines=True)
    with number.container(key=f"{name}-number"):
        st.metric(quantity, outcome.text, outcome.name, delta_color="off", delta_arrow="off")


def _table(made: Comparison) -> None:
    """All ways to compute it, one under the other."""
    ways = (made.right, *made.wrong)
    st.dataframe(
        {
            "is": ["right", *["wrong"] * len(made.wrong)],
            "how": [way.name for way in ways],
            made.quantity: [way.text for way in ways],
            "line": [way.code for way in ways],
        },
        hide_index=True,
        key="ways",
        column_config={made.quantity: st.column_config.TextColumn(alignment="right")},
    )


@st.cache_data(max_entries=64, show_spinner=False)
def _entropy(question: Question, at: tuple[int, int], units: Units) -> None:
    curve = entropy_curve(batch_of(question), *at)
    said = f"The entropy that the k likeliest tokens show rises to {curve.entropy:.4f} nats, which all tokens have."
    st.plotly_chart(entropy_bound_chart(curve, units), key="entropy-bound", config=CONFIG, alt=said)
