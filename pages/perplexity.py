"""Perplexity and pitfalls: is 10.79 good, and what do people compute wrongly?"""

import streamlit as st

from views.frame.page import begin
from views.visit import pages

settings = begin(pages.PERPLEXITY)
with st.spinner("Making the model and scoring the text …"):
    from views.perplexity.page import parts  # loads torch: not before the page has its title
    from views.shared.scored_text import explored
    from views.shared.text_box import own_text

    own_text(settings)
    batch = explored(settings)
parts(settings, batch)
