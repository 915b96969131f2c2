"""The offer to fetch a model that is not here, and the progress of a fetch."""

from collections.abc import Iterable

import streamlit as st

from gptloss.models import REGISTRY
from gptloss.models.downloads import hub
from gptloss.models.downloads.store import home, size_text
from gptloss.serving import downloads
from views.frame.model_names import title
from views.visit import access, session

# How often the bar moves.
TICK = 0.4
# The model that this visitor began to fetch.
FETCHING = "fetching"


def offer(name: str) -> None:
    """A card that offers to fetch a model."""
    fetch = downloads.state(name)
    with st.container(border=True, key=f"offer-{name}", gap="xsmall"):
        if fetch is not None and fetch.running:
            _progress(name, fetch)
        else:
            _question(name, fetch)


@st.fragment(run_every=TICK)
def _progress(name: str, fetch: downloads.Fetch) -> None:
    if not fetch.running:
        st.rerun()
    progress = fetch.progress
    share = progress.done / progress.total if progress.total else 0.0
    known = progress.total >= 1_000_000  # smaller totals count steps, not bytes
    amount = f" · {size_text(progress.done)} of {size_text(progress.total)}" if known else ""
    st.text(f"{title(name)}: {progress.doing}{amount}")
    st.progress(min(share, 1.0))
    if access.any_model() or session.recall(FETCHING, "") == name:  # in a hosted app only the visitor who began it
        st.button("Cancel", icon=":material/close:", key=f"cancel-{name}", on_click=fetch.stop)


def _question(name: str, fetch: downloads.Fetch | None) -> None:
    shown = session.settings().model
    st.text(f"{title(name)} is not on this machine.{_known(name)} Shown meanwhile: {title(shown)}.")
    error = fetch.error if fetch else ""
    if error:
        st.text(error)
    elif fetch and fetch.stopped:
        st.text("The fetch was stopped. The next one goes on with the files that had come whole.")
    if access.any_model():
        place = hub.cache() if _source(name).startswith("hf:") else home()
        st.text(
            f"Without a network: run gptloss models pull {name} on another machine, and copy the folder that"
            f" gptloss models where names there to {place} on this one."
        )
    with st.container(horizontal=True):
        label = "Try again" if error else "Fetch it"
        st.button(
            label, icon=":material/download:", type="primary", key=f"fetch-{name}", on_click=_fetch, args=(name,)
        )
        st.button("Not now", key=f"later-{name}", on_click=_not_now, args=(name,))


def _known(name: str) -> str:
    """What is known of a model before it is fetched."""
    if name not in REGISTRY:
        return ""
    info = REGISTRY[name].info
    return (
        f" It takes {size_text(info.size)} on the disk, has V = {info.vocab_size:,} tokens and a context of"
        f" {info.context_length:,}."
    )


def _source(name: str) -> str:
    """Where a model comes from, known before it is here."""
    return REGISTRY[name].info.source if name in REGISTRY else name


def _fetch(name: str) -> None:
    if access.allowed(name):
        session.remember(FETCHING, name)
        downloads.start(name)


def _not_now(name: str) -> None:
    if name in session.wanted():
        session.want(None)
    else:
        session.change(others=tuple(other for other in session.settings().others if other != name))


def offers(names: Iterable[str]) -> None:
    """A card for each model that has to be fetched."""
    for name in names:
        offer(name)
