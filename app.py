"""Loss, step by step: how do six probabilities become 10.7940 and 48,725?"""

from contextlib import ExitStack

import streamlit as st

from gptloss.errors import GptlossError
from views.frame.page import begin
from views.loss.editor import editor, examples, row_errors
from views.visit import pages, session

# Pixels that stand in for the numbers until they are there; with the words above them as high as these.
NUMBERS, BELOW = 108, 560

settings = begin(pages.LOSS)

left, right = st.columns([11, 9], gap="small")
with left:
    editor(settings)
with right:
    wait_for_numbers = st.container(gap=None)
    numbers = st.container(key="headline")
    examples()
wait_below, below = st.container(gap=None), st.container(key="below")

with ExitStack() as waiting:
    if session.first_run():  # later, what is on the screen stays until the new numbers are there
        waiting.enter_context(wait_for_numbers)
        waiting.enter_context(st.spinner("Making the model and scoring the text …"))
        waiting.callback(wait_for_numbers.skeleton(height=NUMBERS).empty)
        waiting.callback(wait_below.skeleton(height=BELOW).empty)
    from gptloss.serving.readings import reading  # loads torch: not before the page has its title
    from views.loss.headline import headline
    from views.loss.ladder import ladder_and_charts
    from views.shared.keep_position import correct_position

    try:
        result = reading(settings.question)
    except GptlossError as error:
        session.unusable(error)

if result.batch:
    correct_position(result.batch, settings)

with left:
    row_errors(result.errors, settings)
with numbers:
    headline(result.batch, settings)
with below:
    ladder_and_charts()
