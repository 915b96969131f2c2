"""Temperature and sampling: what do temperature, top-k and top-p do to probabilities, to samples and to the loss?"""

import streamlit as st

from views.frame.page import begin
from views.visit import pages

settings = begin(pages.TEMPERATURE)
with st.spinner("Making the model and scoring the text …"):
    from views.shared.scored_text import explored
    from views.shared.text_box import CHANGE, own_text  # loads torch: not before the page has its title
    from views.temperature.continuations import generation
    from views.temperature.page import sampling_charts, source_choice

    source_choice()
    if settings.source == "text":
        own_text(settings, label=CHANGE)
        explored(settings)
sampling_charts()
generation(settings)
