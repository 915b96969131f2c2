"""Surprise in a text: which words of my text cost the loss?"""

import streamlit as st

from views.frame.page import begin
from views.visit import pages

settings = begin(pages.SURPRISE)
with st.spinner("Making the model and scoring the text …"):
    from views.shared.scored_text import explored  # loads torch: not before the page has its title
    from views.surprise.page import charts, numbers, surprise, tables
    from views.surprise.text import chooser

    chooser(settings)
    batch = explored(settings)
if batch:  # what is wrong otherwise has been said
    numbers(batch, settings)
    surprise()
    charts(settings.question, settings.units)
    tables()
