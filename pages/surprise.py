"""Surprise in a text: which words of my text cost the loss?"""

import streamlit as st

from views.frame.page import begin
from views.visit import pages

settings = begin(pages.SURPRISE)
with st.spinner("Making the model and scoring the text …"):
    from views.shared.scored_text import explored  # loads torch: not before the page has its title
    from views.surprise.page import coloured_text, losses_along_text, text_charts, text_figures, text_tables
    from views.surprise.text import text_choice

    batch = explored(settings)
if batch:
    coloured_text()
text_choice(settings)
if batch:  # what is wrong otherwise has been said
    text_figures(batch, settings)
    losses_along_text()
    text_charts(settings.question, settings.units)
    text_tables()
