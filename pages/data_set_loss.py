"""Data set loss: training and validation loss of a whole text."""

import streamlit as st

from views.frame.page import begin
from views.visit import pages

settings = begin(pages.DATA_SET_LOSS)
with st.spinner("Reading the text …"):
    from views.data_set_loss.numbers import (  # loads torch: not before the page has its title
        losses_and_run,
        second_model,
    )
    from views.data_set_loss.plan import convention_controls, cut, drawings
    from views.data_set_loss.results import results
    from views.data_set_loss.text import text_controls

    left, right = st.columns([11, 9], gap="medium")
    with right:
        texts = text_controls(settings)
        cut(settings, texts)
        convention_controls(settings)
        second_model(settings)
with left:
    at_work = losses_and_run(settings)
if texts:
    drawings(settings, texts)
    if not at_work:
        results()
