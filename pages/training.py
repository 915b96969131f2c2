"""Training: watch the probabilities climb, and see where learning turns into knowing by heart."""

import streamlit as st

from views.frame.page import begin
from views.visit import access, pages

settings = begin(pages.TRAINING)
with st.spinner("Reading the recorded runs …"):
    from views.training.live import live_view  # loads torch: not before the page has its title
    from views.training.replay import replay_view
if settings.mode == "live" and access.live_training():
    live_view(settings)
else:
    replay_view(settings)
