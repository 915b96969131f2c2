"""What a loss buys: how many bits is this text worth, and does it come back?"""

import streamlit as st

from views.frame.page import begin
from views.visit import pages, session

settings = begin(pages.COMPRESSION)
with st.spinner("Making the model and scoring the text …"):
    from views.compression.coding import coding  # loads torch: not before the page has its title
    from views.compression.sizes import bits_table, cost_of, sizes, text_with_bits
    from views.shared.text_box import own_text

    own_text(settings)
    cost = cost_of(settings)
if cost:
    sizes(cost, settings)
    coding(cost, settings)
    text_with_bits(cost)
    bits_table(cost)
session.write_link()
