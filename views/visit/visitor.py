"""Who is looking, and whether they are still connected."""

from collections.abc import Callable

from streamlit import runtime
from streamlit.runtime.scriptrunner import get_script_run_ctx


def visitor() -> str:
    """Who is looking: the id of the session."""
    context = get_script_run_ctx()
    assert context is not None, "only a page asks"
    return context.session_id


def is_connected(visitor: str) -> bool:
    """Whether the visitor with this session is connected; without a server everybody is."""
    return not runtime.exists() or runtime.get_instance().is_active_session(visitor)


class GoneError(Exception):
    """The visitor for whom something was computed has left."""


def stop_without(visitor: str) -> Callable[[int, int], None]:
    """What a thread beside the page calls after each part of its work: it raises when the visitor has left."""

    def check(done: int, total: int) -> None:
        if not is_connected(visitor):
            raise GoneError

    return check
