"""Compare: two to four models on one text, or one model on two texts, side by side."""

import streamlit as st

from views import shell
from views.comparison import chooser

settings = shell.begin("Compare", "The same text under several models, or two texts under one.")
chooser(settings)
with st.spinner("Starting …"):  # loads torch: not before the page has its title
    from views.compare import tokens
    from views.compare_numbers import numbers

tokens(numbers(settings))
