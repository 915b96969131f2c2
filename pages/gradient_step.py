"""One gradient step: how does the loss change the weights?"""

import streamlit as st

from views.frame.page import begin
from views.visit import pages

settings = begin(pages.GRADIENT_STEP)
with st.spinner("Making the model and scoring the text …"):
    from views.gradient_step.logits import logits_view
    from views.gradient_step.steps import steps_view
    from views.shared.scored_text import explored
    from views.shared.text_box import CHANGE, own_text  # loads torch: not before the page has its title

    own_text(settings, label=CHANGE)
    explored(settings)
logits_view()
steps_view()
