"""Messages that no browser sends: values past every bound and of every wrong type, to every widget of every page."""

import asyncio
import json
import random
from collections.abc import Iterator
from pathlib import Path
from threading import Thread
from typing import Any

import pytest
import websockets
from streamlit.proto.BackMsg_pb2 import BackMsg
from streamlit.proto.ForwardMsg_pb2 import ForwardMsg

from tests.helpers import driver
from tests.helpers.driver import Server
from tests.helpers.hostile import STRINGS
from views.visit.pages import PAGES

pytestmark = pytest.mark.browser
PATIENCE = 60.0
PROTOCOLS: Any = ["streamlit"]


@pytest.fixture(scope="module")
def app(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server of its own: what these messages break is logged, and other tests want a silent log."""
    with driver.server(tmp_path_factory.mktemp("raw") / "server.log") as server:
        yield server


def run_apart(work: Any) -> Any:
    """Run a coroutine in a thread of its own: the browser of other tests has a loop in this one."""
    found: list[Any] = []
    thread = Thread(target=lambda: found.append(asyncio.run(work)))
    thread.start()
    thread.join(PATIENCE * 10)
    assert found, "it has not ended"
    return found[0]


class Visit:
    """A visit without a browser."""

    def __init__(self, socket: Any, page: str) -> None:
        self.socket, self.page = socket, page
        self.query = "model=bigram&input=tea+time"
        self.widgets: dict[str, str] = {}
        self.errors: list[str] = []

    async def run(self, values: dict[str, Any]) -> None:
        """Ask for a run with these values, and read until it has ended."""
        message = BackMsg()
        message.rerun_script.query_string = self.query
        message.rerun_script.page_name = self.page
        for id, value in values.items():
            state = message.rerun_script.widget_states.widgets.add()
            state.id = id
            set_value(state, value)
        await self.socket.send(message.SerializeToString())
        while True:
            answer = ForwardMsg.FromString(await asyncio.wait_for(self.socket.recv(), PATIENCE))
            if answer.WhichOneof("type") == "delta":
                self._look(answer.delta)
            if answer.WhichOneof("type") == "page_info_changed":
                self.query = answer.page_info_changed.query_string
            if answer.WhichOneof("type") == "script_finished":
                return

    def _look(self, delta: Any) -> None:
        element = delta.new_element if delta.WhichOneof("type") == "new_element" else delta.add_block
        kind = element.WhichOneof("type")
        inner = getattr(element, kind) if kind else None
        if kind == "exception":
            self.errors.append(inner.message)
        if inner is not None and "id" in getattr(inner, "DESCRIPTOR", inner).fields_by_name and inner.id:
            self.widgets[inner.id] = kind


def set_value(state: Any, value: Any) -> None:
    """Write a value of any kind into a widget's state."""
    if isinstance(value, bool):
        state.bool_value = value
    elif isinstance(value, int):
        state.int_value = value
    elif isinstance(value, float):
        state.double_value = value
    elif isinstance(value, bytes):
        state.bytes_value = value
    elif isinstance(value, list) and value and isinstance(value[0], float):
        state.double_array_value.data.extend(value)
    elif isinstance(value, list) and value and isinstance(value[0], int):
        state.int_array_value.data.extend(value)
    elif isinstance(value, list):
        state.string_array_value.data.extend(value)
    elif isinstance(value, dict):
        state.json_value = json.dumps(value)
    elif value is None:
        state.trigger_value = True
    else:
        state.string_value = value


WILD: tuple[Any, ...] = (
    True,
    -(2**53),
    2**53,
    float("nan"),
    float("-inf"),
    1e308,
    [1e300, -1e300],
    [2**40, -1],
    ["x", ""],
    ["<script>alert(1)</script>"] * 50,
    b"\x80\x05evil",
    {"k": 10**12, "position": [-1], "step": "x", "at": None},
    {"selection": {"points": [{"customdata": ["x"]}, {}, 7]}},
    {"a": {"a": {"a": {"a": [[[[[]]]]]}}}},
    None,
    "",
    "\x00",
    "x" * 100_000,
    *(text for text in STRINGS[::31] if "\ud83d" not in text),
)


async def attacked(url: str, page: str, seed: int) -> tuple[list[str], bool]:
    """What broke for another visitor after every widget of a page was told something wild; whether it was served."""
    chance = random.Random(seed)
    stream = url.replace("http", "ws") + "/_stcore/stream"
    async with websockets.connect(stream, subprotocols=PROTOCOLS, max_size=None) as socket:
        visit = Visit(socket, page)
        await visit.run({})
        assert visit.widgets
        for _ in range(12):
            await visit.run({id: chance.choice(WILD) for id in visit.widgets})
    async with websockets.connect(stream, subprotocols=PROTOCOLS, max_size=None) as socket:
        other = Visit(socket, page)
        await other.run({})
        return other.errors, bool(other.widgets)


@pytest.mark.parametrize("page", [Path(page.file).stem.replace("app", "") for page in PAGES])
def test_wild_values_hurt_nobody_else(page: str, app: Server) -> None:
    errors, served = run_apart(attacked(app.url, page, seed=len(page)))
    assert errors == []
    assert served


def test_what_is_no_message_ends_its_own_connection_alone(app: Server) -> None:
    async def send() -> bool:
        stream = app.url.replace("http", "ws") + "/_stcore/stream"
        for raw in (b"\xff" * 1000, b"", b"{}", "text", b"\x0a" + b"\xff" * 9):
            async with websockets.connect(stream, subprotocols=PROTOCOLS, max_size=None) as socket:
                await socket.send(raw)
                try:
                    async with asyncio.timeout(1):
                        while True:
                            await socket.recv()
                except (TimeoutError, websockets.ConnectionClosed):
                    pass
        async with websockets.connect(stream, subprotocols=PROTOCOLS, max_size=None) as socket:
            visit = Visit(socket, "")
            await visit.run({})
            return not visit.errors and bool(visit.widgets)

    assert run_apart(send())


def test_a_message_of_sixty_megabytes_is_refused(app: Server) -> None:
    async def send() -> bool:
        stream = app.url.replace("http", "ws") + "/_stcore/stream"
        async with websockets.connect(stream, subprotocols=PROTOCOLS, max_size=None) as socket:
            visit = Visit(socket, "")
            await visit.run({})
            try:
                await visit.run({next(iter(visit.widgets)): "x" * 60_000_000})
            except websockets.ConnectionClosed:
                return True
        return False

    assert run_apart(send())


def test_a_box_that_has_gone_changes_nothing(app: Server) -> None:
    """The book's words were chosen; a click soon after still carries the text of the box that they took away."""

    async def send() -> list[str]:
        async with websockets.connect(
            app.url.replace("http", "ws") + "/_stcore/stream", subprotocols=PROTOCOLS, max_size=None
        ) as socket:
            visit = Visit(socket, "temperature")
            await visit.run({})
            ids = {id.split("-", 2)[2]: id for id in visit.widgets}
            await visit.run({ids["source"]: ["The book’s nine words"], ids["own-text"]: "tea time"})
            asked = [visit.query]
            for text in ("tea time", "tea for two"):
                await visit.run({ids["source"]: ["The book’s nine words"], ids["own-text"]: text})
                asked.append(visit.query)
            return asked

    first, same, other = run_apart(send())
    assert "from=book" in first
    assert same == first
    assert "from=book" not in other  # what was typed is not lost
    assert "tea+for+two" in other
