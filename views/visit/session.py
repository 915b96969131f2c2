"""The state of a visit: the settings, in and out of the address bar, and the notices.

`st.session_state["settings"]` is the state of a visit, and this is the only module that writes it. It also
keeps a few notes: how the address bar stands to the settings, and what pages want to `remember`. A widget takes its
value from the settings on each run (`give`) and gives it back through `change`.
"""

from collections.abc import Iterable
from dataclasses import replace
from typing import Any, NoReturn, TypeVar

import streamlit as st

from gptloss.errors import GptlossError
from gptloss.models import DEFAULT_MODEL
from views.visit import access, returned
from views.visit.links import CHOICES, from_query, to_query
from views.visit.pages import Page
from views.visit.settings import OF_TEXT, Settings, first_on

T = TypeVar("T")


def settings() -> Settings:
    """The settings as they are now."""
    current: Settings = st.session_state.settings
    return current


def first_run() -> bool:
    """Whether this is the visit's first run, before anything has been shown."""
    return bool(st.session_state.arrived)


def just_opened() -> bool:
    """Whether the page is drawn for the first time since it was opened; true once."""
    opened = bool(st.session_state.opened)
    st.session_state.opened = False
    return opened


def turned() -> bool:
    """Whether this run shows another page than the run before."""
    return bool(st.session_state.turned)


def by_link() -> bool:
    """Whether this run's settings come from the address bar."""
    return bool(st.session_state.by_link)


def page() -> Page:
    """The page that is shown."""
    shown: Page = st.session_state.page
    return shown


def shows_several_models() -> bool:
    """Whether the page shows more models than the chosen one."""
    return page().several_models and settings().comparing == "models"


def notices() -> list[str]:
    """The sentences that stand at the top of the page."""
    said: list[str] = st.session_state.notices
    return said


def wanted() -> list[str]:
    """The model that was chosen and has to be fetched first, if there is one."""
    return [st.session_state.wanted] if st.session_state.wanted else []


def want(model: str | None) -> None:
    """Offer to fetch this model, or none."""
    st.session_state.wanted = model or ""


def recall(key: str, default: T) -> T:
    """What a page remembers of this visit under `key`; the default if it has remembered nothing."""
    value: T = st.session_state.get(f"remembered-{key}", default)
    return value


def remember(key: str, value: object) -> None:
    """Keep a note for a page, until the visit ends. What a link should carry belongs into the settings instead."""
    st.session_state[f"remembered-{key}"] = value


def forget(key: str) -> None:
    """Take a note away."""
    st.session_state.pop(f"remembered-{key}", None)


def change(**fields: Any) -> None:
    """Set these fields of the settings. Call it from a callback, before the script runs again.

    With a model or a text something is chosen: from then on all pages show it.
    """
    if any(name in fields for name in CHOICES):
        fields = {"source": "text", **fields, "chosen": True}
    st.session_state.settings = replace(settings(), **fields)
    st.session_state.notices = []
    # The browser may still be showing the link of the run before; it must not win over this change.
    st.session_state.changed = True


def correct(sentence: str, always: bool = False, **fields: Any) -> None:
    """The settings name what is not there: put these fields right, say so if a link was to blame, run again."""
    notices = [*st.session_state.notices, *([sentence] if sentence else [])]
    notices = notices if always or by_link() else []
    change(**fields)
    st.session_state.notices = notices
    st.rerun()


def run_again() -> NoReturn:
    """Run the page once more at once. The browser has not shown what is new: that is given its value again."""
    st.session_state.drawn &= st.session_state.drawn_before
    st.rerun()


def unusable(error: GptlossError) -> NoReturn:
    """The model cannot be loaded: say why and go back to the untrained one, unless that is the one."""
    if settings().model != DEFAULT_MODEL:
        correct(str(error), always=True, model=DEFAULT_MODEL)
    st.error(str(error))
    st.stop()


def notify(sentence: str) -> None:
    """Show a sentence at the top of the page until the next change."""
    st.session_state.notices = [*st.session_state.notices, sentence]


def give(key: str, value: object) -> None:
    """Make the widget called `key` show `value`, without touching it when it already does.

    One that was not there in the run before shows nothing yet, whatever is known of it: a tick may have said that
    late. On another page it is another widget.
    """
    drawn, before = st.session_state.drawn, st.session_state.drawn_before
    anew = turned() or (key not in drawn and key not in before)
    drawn.add(key)
    if anew or key not in st.session_state or st.session_state[key] != value:
        st.session_state[key] = value


def write_link() -> None:
    """Bring the address bar up to date: `begin` does, and a fragment must, because it runs without the page."""
    query = to_query(settings(), _opening())
    if _query() != _as_lists(query):
        st.query_params.from_dict(query)
    st.session_state.link = _as_lists(query)
    st.session_state.changed = False


def start_run(page: Page) -> None:
    """Call first in each run of a page: sees how the visitor came to it, and takes the settings from a link.

    That happens on the first run, and after the browser's back and forward. The menu opens a page with the query
    that it was given, or without one; that is no wish to lose the settings.
    """
    state = st.session_state
    state.drawn_before, state.drawn = state.get("drawn", set()), set()
    arrived = "settings" not in state
    state.turned = not arrived and state.page != page
    by_menu = state.turned and _query() in ({}, state.get("offered", {}).get(page.file))
    went_back = not arrived and not by_menu and not state.changed and _query() != state.link
    state.opened = arrived or state.turned or state.get("opened", False)
    state.page = page
    state.setdefault("wanted", "")
    state.arrived = arrived
    state.by_link = arrived or went_back
    if by_link():
        state.settings, state.notices = from_query(_query(), access.models(), access.any_model(), _opening())
        if arrived:
            named = bool({"input", "target"} & set(_query()))
            state.settings = returned.with_held_texts(state.settings, returned.held(), named)
    elif state.turned:
        state.settings = _as_shown_on(page, access.pretrained_here())


def offer_pages(shown: Iterable[Page]) -> dict[str, dict[str, str | list[str]]]:
    """The query with which the menu opens each page, so that the browser's Back finds no address without one."""
    trained = access.pretrained_here()
    queries = {page.file: to_query(_as_shown_on(page, trained), first_on(page, trained)) for page in shown}
    st.session_state.offered = {file: _as_lists(query) for file, query in queries.items()}
    return queries


def _as_shown_on(shown: Page, trained: str | None) -> Settings:
    """The settings as this page would have them: its own example, unless something was chosen."""
    current = settings()
    if current.chosen or (shown == page() and not turned()):
        return current
    first = first_on(shown, trained)
    return replace(current, **{name: getattr(first, name) for name in (*CHOICES, "source", *OF_TEXT)})


def _opening() -> Settings:
    """What the page has for a visitor who has chosen nothing."""
    return first_on(page(), access.pretrained_here())


def _query() -> dict[str, list[str]]:
    return {name: st.query_params.get_all(name) for name in st.query_params}


def _as_lists(query: dict[str, str | list[str]]) -> dict[str, list[str]]:
    return {name: [value] if isinstance(value, str) else value for name, value in query.items()}
