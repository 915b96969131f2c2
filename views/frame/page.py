"""The frame of every page: the link, the sidebar, the title, the notices, the models to fetch."""

from pathlib import Path

import streamlit as st

from gptloss.charts.colours import MODEL, RUNS, TARGET, TRAINED, UNTRAINED
from views.frame import model_choice, model_offer, sidebar
from views.frame.trained_switch import trained_switch
from views.visit import session
from views.visit.pages import Page
from views.visit.settings import Settings

COLOURS = {"model": MODEL, "target": TARGET, "untrained": UNTRAINED, "trained": TRAINED}
COLOURS |= {f"run-{n}": colour for n, colour in enumerate(RUNS)}
STYLE = (
    f"<style>:root {{ {' '.join(f'--{name}: {colour};' for name, colour in COLOURS.items())} }}\n"
    f"{(Path(__file__).parent / 'style.css').read_text('utf-8')}</style>"
)
SIDEBAR_WIDTH = 232


def begin(page: Page) -> Settings:
    """Start a page: read the link if the visitor came by one, draw the sidebar and the title."""
    st.set_page_config(f"{page.title} · gptloss", page_icon="📉", layout="wide", initial_sidebar_state=SIDEBAR_WIDTH)
    st.html(STYLE)
    session.start_run(page)
    model_choice.settle()
    session.write_link()
    with st.sidebar:
        sidebar.sidebar()
    with st.container(horizontal=True, vertical_alignment="center", gap="medium", key="head"):
        st.title(page.title, anchor=False, width="content", help=page.subtitle)
        trained_switch()
    notices = [*session.notices(), *_link_notice()]
    if notices:
        with st.container(border=True, gap="xxsmall", key="notices"):
            st.badge("Note", icon=":material/info:", color="orange")
            for notice in notices:
                st.text(notice)
    model_offer.offers(session.wanted())
    return session.settings()


def _link_notice() -> list[str]:
    if session.settings().text_fits_link:
        return []
    return ["This text is too long for the address bar: a copied link, or the page reloaded, opens without it."]
