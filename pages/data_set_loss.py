"""Data set loss: training and validation loss of a whole text."""

import streamlit as st

from views.frame.page import begin

settings = begin(
    "Data set loss",
    "From six tokens to a whole text: the loss on what a model learns from, and on what it never saw.",
)
with st.spinner("Reading the text …"):
    from views.data_set_loss.numbers import numbers, second_model  # loads torch: not before the page has its title
    from views.data_set_loss.plan import controls, cut, drawings
    from views.data_set_loss.results import results
    from views.data_set_loss.text import chooser

    left, right = st.columns([11, 9], gap="medium")
    with left:
        texts = chooser(settings)
        cut(settings, texts)
        controls(settings)
        second_model(settings)
with right:
    at_work = numbers(settings)
if texts:
    drawings(settings, texts)
    if not at_work:
        results()
