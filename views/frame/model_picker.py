"""The model picker in the sidebar, and the switch of the start token."""

import streamlit as st

from gptloss.models import ModelInfo, find
from gptloss.models.downloads.store import size_text
from views.frame.model_choice import choose_model
from views.frame.model_names import option, title
from views.shared.markdown import literal
from views.visit import access, session


def picker() -> None:
    """Choose the model, and whether texts begin with its start token; some facts about the model stand between."""
    current = session.settings()
    names = access.models()
    session.give("model", current.model)
    st.selectbox(
        "Model",
        dict.fromkeys([*names, current.model]),
        format_func=option,
        key="model",
        accept_new_options=access.any_model(),
        on_change=_choose,
        help="↓ has to be fetched first."
        + (" Or type a folder that holds a checkpoint, or hf:owner/name." if access.any_model() else ""),
    )
    info = find(current.model).info
    st.caption(_details(info))
    if session.page().start_token:
        _start_token(info)


def _details(info: ModelInfo) -> str:
    """A few short lines of our own words: nothing that a checkpoint says of itself."""
    amount = [f"{_count(info.parameters)} weights, {size_text(info.size)}"] if info.size else []
    return "  \n".join(
        [info.weights, *amount, f"vocabulary {info.vocab_size:,} tokens", f"reads {info.context_length:,} at a time"]
    )


def _count(parameters: int) -> str:
    return f"{parameters / 1e6:,.0f} million" if parameters >= 1e6 else f"{parameters:,}"


def _start_token(info: ModelInfo) -> None:
    """On or off for all models; on Compare another model may have a start token when the chosen one has none."""
    on = session.settings().bos
    session.give("bos", on)
    st.toggle(
        "Start token",
        key="bos",
        disabled=info.bos_id is None and not on and not session.shows_several_models(),
        on_change=_switch_start,
        help=_start_token_help(info),
    )


def _switch_start() -> None:
    """In a text that predicts itself the start token moves each token by one place; the chosen one stays chosen."""
    current, on = session.settings(), bool(st.session_state.bos)
    i, j = current.at
    if current.targets is None and find(current.model).info.bos_id is not None:
        j = max(1, j + (1 if on else -1))
    session.change(bos=on, at=(i, j))


def _start_token_help(info: ModelInfo) -> str:
    if info.bos_id is None:
        return f"{literal(info.title)} knows no start token."
    label = literal(find(info.name).tokenizer().token(info.bos_id).label)
    return f"Puts {label} in front of every text. It changes every number; the book's are without it."


def _choose() -> None:
    name = _meant(str(st.session_state.model or "").strip())
    if access.allowed(name):
        choose_model(name)
    else:
        session.change()
        titles = ", ".join(map(option, access.models()))
        free = ", a folder, or hf:owner/name" if access.any_model() else ""
        session.notify(f"There is no model called {name[:60]!r} here. Models: {titles}{free}.")


def _meant(typed: str) -> str:
    """The model of the list that a visitor means by its name, its title, or the beginning of one of them."""
    starts = []
    for name in access.models():
        called = {name.casefold(), title(name).casefold()}
        if typed.casefold() in called:
            return name
        if any(text.startswith(typed.casefold()) for text in called):
            starts.append(name)
    return starts[0] if len(starts) == 1 else typed
