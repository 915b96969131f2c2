"""The state of a visit: the settings, in and out of the address bar, and the notices.

`st.session_state["settings"]` is the state of a visit, and this is the only module that writes it, with a few
notes on how the address bar stands to it. A widget takes its value from the settings on each run and gives it
back through `change`.
"""

from dataclasses import replace
from typing import Any, NoReturn

import streamlit as st

from gptloss.errors import GptlossError
from gptloss.models import DEFAULT_MODEL
from views.visit import access
from views.visit.links import from_query, to_query
from views.visit.settings import Settings


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


def compares() -> bool:
    """Whether the page shows more models than the chosen one."""
    return bool(st.session_state.page == "Compare" and settings().comparing == "models")


def change(**fields: Any) -> None:
    """Set these fields of the settings. Call it from a callback, before the script runs again."""
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
    query = to_query(settings())
    if _query() != _as_lists(query):
        st.query_params.from_dict(query)
    st.session_state.link = _as_lists(query)
    st.session_state.changed = False


def read_link(page: str) -> None:
    """Take the settings from the address bar: on the first run, and after the browser's back and forward.

    The menu opens a page without a query: that is no wish to lose the settings.
    """
    arrived = "settings" not in st.session_state
    st.session_state.turned = not arrived and st.session_state.page != page
    by_menu = st.session_state.turned and not _query()
    went_back = not arrived and not by_menu and not st.session_state.changed and _query() != st.session_state.link
    st.session_state.opened = arrived or st.session_state.turned or st.session_state.get("opened", False)
    st.session_state.page = page
    st.session_state.setdefault("wanted", "")
    st.session_state.arrived = arrived
    st.session_state.by_link = arrived or went_back
    if by_link():
        st.session_state.settings, st.session_state.notices = from_query(
            _query(), access.models(), access.any_model()
        )


def _query() -> dict[str, list[str]]:
    return {name: st.query_params.get_all(name) for name in st.query_params}


def _as_lists(query: dict[str, str | list[str]]) -> dict[str, list[str]]:
    return {name: [value] if isinstance(value, str) else value for name, value in query.items()}
