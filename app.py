"""Loss, step by step: how do six probabilities become 10.7940 and 48,725?"""

from contextlib import ExitStack

import streamlit as st

from gptloss.errors import GptlossError
from views.frame.page import begin
from views.loss.editor import editor, row_errors
from views.shared.in_turn import in_turn, stop_if_gone
from views.visit import pages, session

# Pixels that stand in for the numbers until they are there; with the words above them as high as these.
NUMBERS, BELOW = 150, 420

with in_turn():  # until the page has its numbers
    settings = begin(pages.LOSS)

    left, right = st.columns([9, 11], gap="medium")
    with left:
        editor(settings)
    with right.container(gap=None):  # without gaps, so that nothing moves when what waits is gone
        wait_for_numbers, numbers = st.container(gap=None), st.container(key="headline", gap="xxsmall")
    with st.container(gap=None):
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
        from views.shared.keep_position import correct_position, keep_position
        from views.shared.other_model import other_beside, other_model, read_other

        stop_if_gone()
        try:
            with other_beside(settings):
                result = reading(settings.question, lambda done, total: stop_if_gone())
        except GptlossError as error:
            session.unusable(error)

    if result.batch:
        keep_position(result.batch, settings)
        correct_position(result.batch, settings)

    with left:
        row_errors(result.errors, settings)
    with numbers:
        headline(result.batch, other_model(result.batch, settings) if result.batch else None, settings)
    with below:
        ladder_and_charts()
if result.batch and read_other(settings):  # after the page has its numbers: it may have to be loaded first
    session.run_again()
