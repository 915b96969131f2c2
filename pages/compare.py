"""Compare: two to four models on one text, or one model on two texts, side by side."""

import streamlit as st

from views.compare.controls import comparison_controls
from views.frame.page import begin
from views.visit import pages

settings = begin(pages.COMPARE)
comparison_controls(settings)
with st.spinner("Starting …"):  # loads torch: not before the page has its title
    from views.compare.numbers import side_cards
    from views.compare.tokens import token_comparison

token_comparison(side_cards(settings))
