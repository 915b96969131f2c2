"""Two classes: binary cross-entropy on sliders and on a list of examples, and the sign that is often wrong."""

from collections.abc import Sequence
from typing import Any

import pandas as pd
import streamlit as st

from gptloss.charts.perplexity.binary import binary_chart
from gptloss.charts.theme import CONFIG
from gptloss.lessons.binary import binary_loss, half_negated, mean_loss, softmax_loss, sum_latex
from gptloss.lessons.examples import Example
from gptloss.numbers import Units, in_units
from views.shared.choose_one import choose_one
from views.visit import session
from views.visit.fields.edits import NEAREST
from views.visit.fields.perplexity import MOST_EXAMPLES
from views.visit.settings import Settings

CLASSES = {1: "y = 1", 0: "y = 0"}
# Notes of the visit: what the table was filled with, and how often it was filled anew.
FILLED = "examples-filled"


@st.fragment
def two_classes() -> None:
    """One example beside its curves; below, the mean over the examples of the table."""
    settings = session.settings()
    st.text(
        "With two classes, cross-entropy asks for one probability p: −ln p where the answer was 1, −ln(1 − p) where"
        " it was 0. A language model does the same with as many classes as it has tokens."
    )
    left, right = st.columns(2, gap="medium")
    with left.container(border=True, height="stretch"):
        _one(settings)
    with right.container(border=True, height="stretch"):
        _many(settings)
    session.write_link()


def _one(settings: Settings) -> None:
    with st.container(horizontal=True, gap="medium", vertical_alignment="bottom"):
        choose_one("truth", "What is true", CLASSES)
        session.give("chance", settings.chance)
        st.slider(
            "p, the probability given to 1",
            0.001,
            0.999,
            step=0.001,
            format="%.3f",
            key="chance",
            on_change=lambda: session.change(chance=st.session_state.chance),
        )
    loss = in_units(binary_loss(settings.truth, settings.chance), settings.units)
    alt = f"Two curves over p. At y = {settings.truth}, p = {settings.chance:g} the loss is {loss:.4f}."
    chart = binary_chart(settings.truth, settings.chance, settings.units)
    st.plotly_chart(chart, key="binary", config=CONFIG, alt=alt)


def _many(settings: Settings) -> None:
    table, numbers = st.columns([5, 6], gap="small")
    with table:
        _table(settings.examples)
    with numbers.container(gap="xsmall"):
        _means(settings.examples, settings.half_sign, settings.units)
    session.give("half-sign", settings.half_sign)
    st.toggle(
        "Forget the bracket: negate only the first term",
        key="half-sign",
        on_change=lambda: session.change(half_sign=st.session_state["half-sign"]),
        help="Lecture notes and books have it so, among them machine-learning-book, issue 239.",
    )
    st.latex(sum_latex(settings.examples, settings.half_sign))
    if settings.half_sign:
        st.text(
            "Wrong: an example with y = 0 now lowers the mean the more, the more it is missed. The mean can fall"
            " below 0, which no loss does."
        )


def _means(examples: Sequence[Example], half_sign: bool, units: Units) -> None:
    mean = half_negated(examples) if half_sign else mean_loss(examples)
    by_softmax = softmax_loss(examples)
    with st.container(key="wrong-number" if half_sign else "right-number"):
        st.metric(
            f"Mean of {len(examples)}, {units}",
            f"{in_units(mean, units):.4f}",
            "with the wrong sign" if half_sign else "binary cross-entropy",
            delta_color="off",
            delta_arrow="off",
        )
    same = "the same" if abs(mean - by_softmax) < 1e-9 else "not the same"
    st.metric(
        "F.cross_entropy, two logits",
        f"{in_units(by_softmax, units):.4f}",
        f"{same}: V = 2",
        delta_color="off",
        delta_arrow="off",
        help="The logits are 0 for class 0 and ln(p / (1 − p)) for class 1; their softmax is (1 − p, p).",
    )


def _table(examples: tuple[Example, ...]) -> None:
    """The examples. What the visitor edits is a change against what the table was filled with."""
    turn, filled, shown = session.recall(FILLED, (0, examples, examples))
    if shown != examples:  # a link or a button has set them
        turn, filled, shown = turn + 1, examples, examples
    session.remember(FILLED, (turn, filled, shown))
    st.data_editor(
        pd.DataFrame(filled, columns=["y", "p"]),
        key=f"examples-{turn}",
        hide_index=True,
        num_rows="dynamic",
        height=228,
        column_config={
            "y": st.column_config.SelectboxColumn("y", options=[0, 1], required=True, default=1),
            "p": st.column_config.NumberColumn(
                "p", min_value=NEAREST, max_value=1 - NEAREST, required=True, default=0.5, format="%.4f"
            ),
        },
        on_change=_edited,
        args=(turn,),
    )


def _edited(turn: int) -> None:
    """Take what was edited; a browser may send anything, so it is clamped."""
    changes = st.session_state[f"examples-{turn}"]
    nothing: tuple[Example, ...] = ()
    _, filled, _ = session.recall(FILLED, (0, nothing, nothing))
    rows: list[dict[str, Any]] = [{"y": y, "p": p} for y, p in filled]
    for place, edits in changes.get("edited_rows", {}).items():
        if int(place) < len(rows):
            rows[int(place)] |= edits
    gone = set(changes.get("deleted_rows", []))
    kept = [row for place, row in enumerate(rows) if place not in gone]
    made = [_example(row) for row in (*kept, *changes.get("added_rows", []))]
    examples = tuple(made[:MOST_EXAMPLES]) or (Example(1, 0.5),)
    session.remember(FILLED, (turn, filled, examples))
    session.change(examples=examples)


def _example(row: dict[str, Any]) -> Example:
    p = row.get("p")
    proba = 0.5 if p is None else round(float(p), 6)
    return Example(1 if row.get("y", 1) == 1 else 0, min(max(proba, NEAREST), 1 - NEAREST))
