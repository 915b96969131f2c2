"""The chosen model put right: fetched, allowed, able to read the rows; and what is shown until then."""

from typing import Any

from gptloss.errors import GptlossError
from gptloss.models import DEFAULT_MODEL, REGISTRY, find
from views.visit import access, session
from views.visit.fields.text import joined
from views.visit.settings import Settings


def choose_model(name: str) -> None:
    """Take the model, or, if it is not here, offer to fetch it and stay with the one that is shown."""
    try:
        if access.is_here(name):
            session.change(model=name, **_rows_for(name, session.settings().model))
            session.want(None)
        else:
            session.change()
            session.want(name)
    except GptlossError as error:
        session.change()
        session.notify(str(error))


def _rows_for(name: str, before: str) -> dict[str, Any]:
    """Rows that pair up in the tokens of `before` and not in those of `name`: each becomes one whole text."""
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
        if access.is_here(asked_for):
            if asked_for not in REGISTRY:
                find(asked_for).tokenizer()  # a folder may hold one that cannot be read
            if session.by_link() and (rows := _rows_for(asked_for, DEFAULT_MODEL)):
                session.correct("", always=True, **rows)
            return
        session.want(asked_for)
    except GptlossError as error:
        sentence = str(error)
    session.correct(sentence, always=True, model=next(filter(access.is_here, access.models())))


def _take_what_was_fetched() -> None:
    try:
        for name in session.wanted():
            if access.is_here(name):
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
            if access.is_here(name):
                find(name)
        except GptlossError as error:
            others = tuple(other for other in session.settings().others if other != name)
            by_default = current == Settings().others  # nobody asked for it
            session.correct("" if by_default else str(error), always=True, others=others)
