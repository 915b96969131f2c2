"""Compare: two to four models on one text, or one model on two texts, side by side."""

import streamlit as st

from views import shell
from views.comparison import chooser

settings = shell.begin("Compare", "The same text under several models, or two texts under one.")
chooser(settings)
with st.spinner("Loading the models and scoring the text …"):
    from views.compare import numbers, tokens  # loads torch: not before the page has its title

    numbers(settings)
tokens()
