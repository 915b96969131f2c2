"""Compare: two to four models on one text, or one model on two texts, side by side."""

import streamlit as st

from views.compare.controls import comparison_controls
from views.frame.page import begin
from views.visit import pages

settings = begin(pages.COMPARE)
comparison_controls(settings)
sentence = st.container()
with st.spinner("Starting …"):  # loads torch: not before the page has its title
    from views.compare.numbers import side_cards, summary
    from views.compare.tokens import token_comparison

sides = side_cards(settings)
with sentence:
    summary(sides, settings)
token_comparison(sides)
