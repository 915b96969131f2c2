"""Token probabilities: what does the model expect here, all 50,257 of them?"""

import streamlit as st

from views.frame.page import begin
from views.visit import pages

settings = begin(pages.TOKEN_PROBABILITIES)
with st.spinner("Making the model and scoring the text …"):
    from views.shared.scored_text import explored
    from views.shared.text_box import CHANGE, own_text  # loads torch: not before the page has its title
    from views.token_probabilities.page import position_view
    from views.token_probabilities.position import drop_missing_pins

    own_text(settings, label=CHANGE)
    batch = explored(settings)
    if batch:
        drop_missing_pins(batch, settings)
position_view()
