"""The model picker in the sidebar, and what is chosen there put right."""

from collections.abc import Iterable
from typing import Any

import streamlit as st

from gptloss.errors import GptlossError
from gptloss.models import DEFAULT_MODEL, REGISTRY, ModelInfo, find, is_here
from gptloss.models.downloads.store import size_text
from views.frame.model_offer import offer, title
from views.shared.markdown import literal
from views.visit import access, session
from views.visit.fields.text import joined
from views.visit.settings import Settings


def picker() -> None:
    """Choose the model, with what there is to know of it; and whether texts begin with its start token."""
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


def option(name: str) -> str:
    """A model in a list: its title, and what it takes to have it here."""
    try:
        info = find(name).info
        return info.title if is_here(name) else f"{info.title} ↓ {size_text(info.size)}"
    except GptlossError:
        return f"{name} ↓"


def _details(info: ModelInfo) -> str:
    """Three short lines of our own words: nothing that a checkpoint says of itself."""
    amount = [f"{_count(info.parameters)} weights, {size_text(info.size)}"] if info.size else []
    return "  \n".join([info.weights, *amount, f"V = {info.vocab_size:,} · context {info.context_length:,}"])


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


def choose_model(name: str) -> None:
    """Take the model, or, if it is not here, offer to fetch it and stay with the one that is shown."""
    try:
        if is_here(name):
            session.change(model=name, **_rows_for(name, session.settings().model))
            session.want(None)
        else:
            session.change()
            session.want(name)
    except GptlossError as error:
        session.change()
        session.notify(str(error))


def _rows_for(name: str, before: str) -> dict[str, Any]:
    """Rows that pair up in the tokens of the model `before` and not in this one's: each as one whole text."""
    current = session.settings()
    if current.targets is None:
        return {}
    pairs = list(zip(current.inputs, current.targets, strict=True))
    whole = tuple(joined(given, target) for given, target in pairs)
    if whole == current.inputs or _pair_up(name, pairs) or not _pair_up(before, pairs):
        return {}
    return {"inputs": whole, "targets": None}


def _pair_up(name: str, pairs: list[tuple[str, str]]) -> bool:
    encode = find(name).tokenizer().encode
    try:
        return all(len(encode(given)) == len(encode(target)) for given, target in pairs)
    except GptlossError:  # the page says what is wrong with the row
        return False


def settle() -> None:
    """Before the page is drawn: take what has been fetched, leave out what cannot be used, stand in for the model."""
    _take_what_was_fetched()
    _leave_out_others()
    asked_for, sentence = session.settings().model, ""
    try:
        if is_here(asked_for):
            if asked_for not in REGISTRY:
                find(asked_for).tokenizer()  # a folder may hold one that cannot be read
            if session.by_link() and (rows := _rows_for(asked_for, DEFAULT_MODEL)):
                session.correct("", always=True, **rows)
            return
        session.want(asked_for)
    except GptlossError as error:
        sentence = str(error)
    session.correct(sentence, always=True, model=next(filter(is_here, access.models())))


def _take_what_was_fetched() -> None:
    try:
        for name in session.wanted():
            if is_here(name):
                choose_model(name)
    except GptlossError as error:
        session.want(None)
        session.notify(str(error))


def _leave_out_others() -> None:
    """Models beside the chosen one that nobody knows, or that this visitor may not name."""
    current = session.settings().others
    for name in current:
        try:
            if not access.allowed(name):
                raise GptlossError(f"There is no model called {name[:60]!r} here.")
            if is_here(name):
                find(name)
        except GptlossError as error:
            others = tuple(other for other in session.settings().others if other != name)
            by_default = current == Settings().others  # nobody asked for it
            session.correct("" if by_default else str(error), always=True, others=others)


def offers(names: Iterable[str]) -> None:
    """A card for each model that was asked for and is not here."""
    for name in names:
        offer(name)
