"""The races of Streamlit 1.67 in fragments that tick, and the pauses that they make necessary.

Every constant of that kind is here, and used here alone.

1. Only a run of the whole page stops a fragment that ticks (`run_every`). So a fragment that is done asks for such a
   run (`rest`).
2. If that run comes too early, a widget that was given a value and is not on the screen yet is drawn a second time,
   without the value, and shows its smallest one. So `rest` waits until the browser has surely drawn the page.
3. A button sets a control, and a tick that was on its way brings the value that the control showed before. Taken at
   its word, it would undo what the button did. So a control that something else has set is a new widget
   (`widget_key`), and what the browser still sends for the old one concerns nobody.
4. The browser puts off drawing charts for as long as more of the page comes in. So a fragment stops for a moment
   after its charts (`let_draw`).
5. While a run works, no click comes through. So long work is done in stretches (`a_first_while`, `a_stretch`), and
   what is drawn between two stretches lets a click interrupt.
"""

import time
from collections.abc import Callable

import streamlit as st
from streamlit.runtime.scriptrunner import get_script_run_ctx

from views.visit import session

# All in seconds. The browser has shown all that it was sent, even if it had to fetch code for it:
REST = 5.0
# The browser draws two charts:
DRAWING = 0.08
# How long a page may work before it shows anything, and how long at every tick:
FIRST_WHILE, STRETCH = 2.0, 0.3


def let_draw() -> None:
    """Call after the charts of a fragment, so that the browser draws them before the rest is there."""
    context = get_script_run_ctx()
    if context and context.fragment_ids_this_run:
        time.sleep(DRAWING)


def opened(name: str) -> None:
    """Call when a page is drawn for the first time since it was opened."""
    session.remember(f"{name}-opened-at", time.monotonic())


def is_on_screen(name: str) -> bool:
    """Whether the page was opened so long ago that the browser has shown all of it."""
    return time.monotonic() - session.recall(f"{name}-opened-at", 0.0) > REST


def rest(name: str, done: bool) -> None:
    """Call at every tick. Some time after all is `done`, the page runs again, this time without what ticks."""
    name = f"{name}-done-at"
    if not done:
        return session.forget(name)
    since = session.recall(name, 0.0)
    if not since:
        session.remember(name, time.monotonic())
    elif time.monotonic() - since > REST:
        session.forget(name)
        st.rerun()


def widget_key(field: str, value: object) -> str:
    """The key of the control of a field: a new one whenever something else than the control has set its value."""
    times, shown = session.recall(f"{field}-shown", (0, value))
    if shown != value:
        times += 1
    session.remember(f"{field}-shown", (times, value))
    return f"{field}-{times}" if times else field


def set_by_widget(field: str) -> object:
    """What the control of a field shows: call in its `on_change`."""
    times, _ = session.recall(f"{field}-shown", (0, None))
    value = st.session_state[f"{field}-{times}" if times else field]
    session.remember(f"{field}-shown", (times, value))
    return value


def a_first_while() -> Callable[[], bool]:
    """True for as long as a page may work before it shows something."""
    return _until(time.monotonic() + FIRST_WHILE)


def a_stretch() -> Callable[[], bool]:
    """True for as long as a tick may work."""
    return _until(time.monotonic() + STRETCH)


def _until(end: float) -> Callable[[], bool]:
    return lambda: time.monotonic() < end
