"""Token probabilities: what does the model expect here, all 50,257 of them?"""

import streamlit as st

from views.frame.page import begin

settings = begin(
    "Token probabilities",
    "What does the model expect here? All its tokens, not only the likeliest. Choose a token to look there.",
)
with st.spinner("Making the model and scoring the text …"):
    from views.shared.scored_text import explored, own_text  # loads torch: not before the page has its title
    from views.token_probabilities.page import look_around
    from views.token_probabilities.position import mend

    own_text(settings)
    batch = explored(settings)
    if batch:
        mend(batch, settings)
look_around()
