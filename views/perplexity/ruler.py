"""Is it good? The loss on a ruler, as a die, beside random weights, and in other units."""

from collections.abc import Callable
from html import escape
from math import exp, isclose, sqrt

import streamlit as st

from gptloss.charts.colours import GUESS, TARGET, TRAINED, UNTRAINED
from gptloss.charts.perplexity.ruler import RulerMark, loss_ruler_chart
from gptloss.charts.theme import CONFIG
from gptloss.lessons.conversion import Amount, from_bits, from_bits_per_byte, from_perplexity
from gptloss.lessons.ruler import Spread, Standing, choices_text
from gptloss.models import DEFAULT_MODEL
from gptloss.numbers import Units, in_units, perplexity_text
from gptloss.scoring.batch import ScoredBatch
from gptloss.serving.question import Question
from gptloss.serving.readings import batch_of
from views.shared.other_model import OtherModel, other_model, read_other
from views.shared.ticks import set_by_widget, widget_key
from views.visit import session
from views.visit.fields.perplexity import MOST_NATS
from views.visit.settings import Settings

COLOURS = {"trained": TRAINED, "untrained": UNTRAINED}
# The side of the largest square and the distance of its dots, in pixels.
SIDE, PITCH = 132, 6


def ruler(batch: ScoredBatch, settings: Settings) -> None:
    """The answer, the ruler, the dice, the random weights, the converter."""
    other = other_model(batch, settings)
    standing, units = Standing(batch.loss, batch.model.info.vocab_size), settings.units
    with st.container(key="answer", gap="xxsmall"):
        st.header(standing.question(units), anchor=False)
        st.text(standing.answer(units))
    marks = _marks(standing, other, settings)
    said = ", ".join(f"{mark.name} {in_units(mark.loss, units):.4f}" for mark in marks)
    st.plotly_chart(
        loss_ruler_chart(marks, units), key="ruler", config=CONFIG, alt=f"The loss on a ruler, in {units}: {said}."
    )
    left, right = st.columns(2, gap="medium")
    with left.container(border=True, height="stretch"):
        _dice(standing, other, settings)
    with right.container(border=True, height="stretch"):
        _random_weights(settings.question, units)
    with st.container(border=True):
        _converter(batch, settings)
    if read_other(settings):  # after the page has its numbers: it may have to be loaded first
        session.run_again()


def _marks(standing: Standing, other: OtherModel | None, settings: Settings) -> list[RulerMark]:
    model = "untrained" if settings.model == DEFAULT_MODEL else settings.model
    marks = [
        RulerMark("certain of every token", 0.0, GUESS),
        RulerMark(f"blind guess, ln {standing.v:,}", standing.guess, GUESS),
        RulerMark(f"this text, {model}", standing.loss, TARGET, strong=True),
    ]
    return [*marks, RulerMark(f"this text, {other.word}", other.loss, COLOURS[other.word])] if other else marks


def _dice(standing: Standing, other: OtherModel | None, settings: Settings) -> None:
    """Squares with a face of the die for each dot, or with so many faces a dot."""
    faces = choices_text(standing.loss)
    st.subheader(f"Like a die with {faces} faces", anchor=False)
    throws = [("this text", standing.loss, "var(--target)"), ("blind guess", standing.guess, "currentcolor")]
    if other:
        throws.insert(1, (other.word, other.loss, f"var(--{other.word})"))
    most = max(standing.guess, standing.loss, other.loss if other else 0.0)
    a_dot = max(1, round(_e(most) / (SIDE / PITCH) ** 2))
    squares = "".join(_square(name, loss, colour, most) for name, loss, colour in throws)
    st.html(f'<div class="dice">{squares}</div>')
    st.text(
        "The perplexity is the number of faces: to be told how a fair die with so many fell is as much news as the"
        f" next token. {'Each dot is a face.' if a_dot == 1 else f'Each dot stands for {a_dot:,} faces.'}"
    )


def _square(name: str, loss: float, colour: str, most: float) -> str:
    side = max(PITCH / 2, SIDE * sqrt(_e(loss) / _e(most)))
    dots = f"width: {side:.1f}px; height: {side:.1f}px; color: {colour}"
    return (
        f'<figure><div class="square" style="{dots}"></div>'
        f"<figcaption>{escape(name)}<b>{choices_text(loss)}</b></figcaption></figure>"
    )


def _e(loss: float) -> float:
    """A perplexity of which only the ratio to others is drawn."""
    return exp(min(loss, 700.0))


@st.cache_data(max_entries=64, show_spinner=False)
def _random_weights(question: Question, units: Units) -> None:
    """ln V + s^2/2 beside the loss; once for all visitors."""
    batch = batch_of(question)
    spread = Spread(batch)
    standing = Standing(batch.loss, batch.model.info.vocab_size)
    st.subheader("Why random weights are worse than guessing", anchor=False)
    figures = [
        ("Blind guess", f"{in_units(standing.guess, units):.4f}", "ln V" if units == "nats" else "log₂ V"),
        ("+ spread", f"{in_units(spread.variance / 2, units):.4f}", f"s²/2, s² = {spread.variance:.4f}"),
        ("= expected", f"{in_units(spread.expected, units):.4f}", "if nothing is known"),
        ("This text", f"{in_units(batch.loss, units):.4f}", f"skill {standing.skill:.1%}"),
    ]
    with st.container(horizontal=True, gap="small", key="spread"):
        for label, value, note in figures:
            st.metric(label, value, note, delta_color="off", delta_arrow="off")
    st.text(_spread_sentence(spread, standing, units))


def _spread_sentence(spread: Spread, standing: Standing, units: Units) -> str:
    away = in_units(standing.loss - spread.expected, units)
    says = (
        "Logits that lie apart (their variance at a position is s²) bet on some tokens. Bets that know nothing of the"
        " target cost s²/2 on average, so random weights are a little worse than equal odds."
    )
    if abs(standing.loss - spread.expected) < 0.5:
        side = "luck of a short text" if len(spread.batch) < 100 else "what is left of luck"
        return f"{says} This text lies {away:+.4f} {units} from that: {side}."
    if away < 0:
        return f"{says} This model's bets know something: it is {-away:.4f} {units} below, so its spread pays."
    return f"{says} This model's bets are worse than random ones by {away:.4f} {units}."


def _converter(batch: ScoredBatch, settings: Settings) -> None:
    """Four boxes for one amount: each sets the others."""
    per_token = batch.target_bytes / len(batch)
    st.subheader("The same amount in four units", anchor=False)
    nats = settings.amount if settings.amount is not None else min(batch.loss, MOST_NATS)
    amount = Amount(nats, per_token)
    boxes: list[tuple[str, str, float, float, float, str, Callable[[float], float]]] = [
        ("nats", "Nats per token", amount.nats, 0.0, MOST_NATS, "%.4f", float),
        ("bits", "Bits per token", amount.bits, 0.0, in_units(MOST_NATS, "bits"), "%.4f", from_bits),
        (
            "per-byte",
            f"Bits per byte, {per_token:.2f} bytes a token",
            amount.bits_per_byte,
            0.0,
            in_units(MOST_NATS, "bits") / per_token,
            "%.4f",
            lambda bits: from_bits_per_byte(bits, per_token),
        ),
        (
            "perplexity",
            "Perplexity",
            amount.perplexity,
            1.0,
            Amount(MOST_NATS, 1.0).perplexity,
            "%.4f",
            from_perplexity,
        ),
    ]
    for column, (name, label, value, low, high, pattern, to_nats) in zip(
        st.columns(4, gap="small"), boxes, strict=True
    ):
        field = f"amount-{name}"
        value = _as_typed(field, value)
        key = widget_key(field, value)
        session.give(key, value)
        column.number_input(
            label,
            min_value=low,
            max_value=high,
            step=None,
            format=pattern,
            key=key,
            on_change=_convert,
            args=(field, to_nats),
        )
    st.caption(
        f"A nat is 1/ln 2 = 1.4427 bits; perplexity is e to the nats. {perplexity_text(nats)} equally likely tokens"
        " cost as much. Change any of the four."
    )


def _as_typed(field: str, value: float) -> float:
    """The value of a box; as it was typed where only the last digits differ, on the way to nats and back."""
    typed = session.recall(f"{field}-typed", value)
    return typed if isclose(typed, value, rel_tol=1e-7) else value


def _convert(field: str, to_nats: Callable[[float], float]) -> None:
    typed = float(str(set_by_widget(field)))
    session.remember(f"{field}-typed", typed)
    session.change(amount=min(max(to_nats(typed), 0.0), MOST_NATS))
