"""The quiz: a wrong line and its number on the visitor's text; which mistake is it?"""

import random

import streamlit as st

from gptloss.errors import GptlossError
from gptloss.lessons.pitfalls.case import Comparison, Pitfall
from gptloss.lessons.pitfalls.catalogue import BY_KEY, PITFALLS
from gptloss.serving.pitfalls import comparison
from views.visit import session
from views.visit.fields.perplexity import MOST_ASKED
from views.visit.settings import Settings

ANSWERS = 4
# Notes of the visit: what was answered to the question that is shown, and how many answers were right.
ANSWERED, SCORE = "quiz-answered", "quiz-score"


def quiz(settings: Settings) -> None:
    """The question, the answers to choose from, and after a choice what is right. A link asks the same question."""
    with st.spinner("Making a mistake …"):
        found = _question(settings)
    if found is None:
        st.info("No mistake changes the number of this text. Write a longer one.")
        return
    pitfall, made = found
    note = session.recall(ANSWERED, None)
    answered = note[1] if note and note[0] == (settings.asked, pitfall.key) else None
    right, asked = session.recall(SCORE, (0, 0))
    with st.container(border=True, key="question", gap="small"):
        st.caption(f"Question {settings.asked + 1}" + (f" · {right} of {asked} right" if asked else ""))
        line, number = st.columns([3, 2], gap="medium", vertical_alignment="center")
        with line:
            st.header("Which mistake is made here?", anchor=False)
            st.code(made.wrong[0].code, language="python", wrap_lines=True)
        told = f"right: {made.right.text}"
        quantity, wrong = f"{made.quantity}, by this line", made.wrong[0].text
        number.metric(quantity, wrong, told, delta_color="off", delta_arrow="off")
        with st.container(horizontal=True, gap="small", key="answers"):
            for choice in _choices(pitfall, settings.asked):
                st.button(
                    choice.title,
                    key=f"answer-{choice.key}",
                    on_click=_answer,
                    args=(settings.asked, pitfall.key, choice.key),
                    disabled=answered is not None,
                )
        if answered:
            _verdict(pitfall, made, BY_KEY[answered])
        st.button("Next question", key="next-question", icon=":material/arrow_forward:", on_click=_next)


def _question(settings: Settings) -> tuple[Pitfall, Comparison] | None:
    """The mistake that is asked for: the next one, in an order of its own, that changes a number of this text."""
    order = random.Random(settings.asked // len(PITFALLS)).sample(PITFALLS, len(PITFALLS))
    start = settings.asked % len(PITFALLS)
    for pitfall in (*order[start:], *order[:start]):
        try:
            made = comparison(settings.question, pitfall.key, settings.at)
        except GptlossError:
            continue
        if not made.agrees:
            return pitfall, made
    return None


def _choices(pitfall: Pitfall, asked: int) -> list[Pitfall]:
    """The right answer among others, in an order that the number of the question fixes."""
    chance = random.Random(asked)
    others = chance.sample([other for other in PITFALLS if other is not pitfall], ANSWERS - 1)
    return chance.sample([pitfall, *others], ANSWERS)


def _answer(asked: int, key: str, choice: str) -> None:
    right, total = session.recall(SCORE, (0, 0))
    session.remember(ANSWERED, ((asked, key), choice))
    session.remember(SCORE, (right + (key == choice), total + 1))
    session.change()


def _next() -> None:
    session.forget(ANSWERED)
    session.change(asked=(session.settings().asked + 1) % (MOST_ASKED + 1))


def _verdict(pitfall: Pitfall, made: Comparison, answer: Pitfall) -> None:
    if answer is pitfall:
        st.success(f"Right: {pitfall.title}. {pitfall.why}")
    else:
        st.error(f"No, not “{answer.title}”. It is “{pitfall.title}”. {pitfall.why}")
    st.code(made.right.code, language="python", wrap_lines=True)
