"""How the server holds up under a lecture: many visitors, each with a text of their own, over raw websockets.

    .venv/bin/python benchmarks/load.py [--visitors 1 20 100] [--seconds 40] [--every 10] [--together 300]
                                        [--pages] [--idle 500] [--back 200] [--soak 5000] [--profile hosted]

Each visitor opens a page and then types another text every `--every` seconds; an update is timed from the message to
the end of the script. `--together N` lets N visitors open one link within two seconds, `--pages` takes every page
that reads a text in turn, `--idle N` opens N visits that do nothing. `--back N` lets N visitors type a text, lose
the network for three minutes, longer than the server remembers a visit, and come back within two seconds; it fails if
one of them does not find its text. `--soak N` is N updates over 200 visits, each of which leaves after its share; it
fails if memory grows by more than 50 MB after the first tenth, or an update fails.
Prints p50, p95, the slowest, errors, and how busy the server (with its worker) and this client were. Writes
benchmarks/results/load.json.
"""

import argparse
import asyncio
import json
import os
import random
import statistics
import sys
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent.parent))

import psutil
import websockets
from streamlit.proto.BackMsg_pb2 import BackMsg
from streamlit.proto.ForwardMsg_pb2 import ForwardMsg

from tests.helpers.driver import server

LINK = "input=every+effort+moves&target=+effort+moves+you"
WORDS = (
    "home",
    "on",
    "out",
    "all",
    "up",
    "down",
    "in",
    "away",
    "over",
    "back",
    "here",
    "there",
    "now",
    "first",
    "last",
)
# Page -> the box in which visitors type. On the first one three tokens, as the input has.
PAGES = {
    "": "-target-0",
    "token_probabilities": "-own-text",
    "surprise": "-own-text",
    "temperature": "-own-text",
    "compare": "-texts",
    "perplexity": "-own-text",
    "compression": "-own-text",
    "gradient_step": "-own-text",
}
SOAK_VISITS, MEGABYTES = 200, 50
# Seconds without a network; Streamlit keeps a visit without a connection for 120.
AWAY = 180.0
PATIENCE = 120.0
PROTOCOLS: Any = ["streamlit"]


@dataclass
class Visitor:
    """A browser without a page: it knows its boxes by their ids, and how long it has waited."""

    socket: Any
    page: str = ""
    link: str = LINK
    boxes: dict[str, str] = field(default_factory=dict)
    times: list[float] = field(default_factory=list)
    errors: list[str] = field(default_factory=list)

    async def run(self, text: str | None = None) -> float:
        """Ask for the page, with another text in the box if one is given; seconds until it is there."""
        message = BackMsg()
        message.rerun_script.query_string = self.link
        message.rerun_script.page_name = self.page
        for id, value in self.boxes.items():
            state = message.rerun_script.widget_states.widgets.add()
            state.id, state.string_value = id, text if text is not None and id.endswith(PAGES[self.page]) else value
        start = time.perf_counter()
        await self.socket.send(message.SerializeToString())
        while True:
            answer = ForwardMsg.FromString(await asyncio.wait_for(self.socket.recv(), PATIENCE))
            kind = answer.WhichOneof("type")
            if kind == "delta":
                self._look(answer.delta.new_element)
            if kind == "page_info_changed":
                self.link = answer.page_info_changed.query_string
            if kind == "script_finished" and answer.script_finished != ForwardMsg.FINISHED_EARLY_FOR_RERUN:
                return time.perf_counter() - start

    def _look(self, element: Any) -> None:
        if element.WhichOneof("type") in ("text_input", "text_area"):
            box = getattr(element, element.WhichOneof("type"))
            self.boxes[box.id] = box.value if box.set_value else self.boxes.get(box.id, box.default)
        if element.WhichOneof("type") == "exception":
            self.errors.append(element.exception.message)


async def visit(
    url: str, begins: float, seconds: float, every: float, chance: random.Random, page: str = ""
) -> Visitor:
    """Open the page, then type until the time is over."""
    await asyncio.sleep(begins)
    try:
        async with websockets.connect(url, subprotocols=PROTOCOLS, max_size=None, open_timeout=PATIENCE) as socket:
            visitor = Visitor(socket, page)
            end = time.monotonic() + seconds
            opened = await visitor.run()
            if not seconds:
                visitor.times.append(opened)
            await asyncio.sleep(chance.uniform(0, every))
            while time.monotonic() < end:
                text = "".join(f" {word}" for word in chance.choices(WORDS, k=3))  # three tokens, as the input has
                visitor.times.append(await visitor.run(text))
                await asyncio.sleep(max(0.0, every - visitor.times[-1]))
            return visitor
    except (OSError, TimeoutError, websockets.WebSocketException) as error:
        return Visitor(None, page, errors=[f"{type(error).__name__}: {error}"])


async def crowd(url: str, visitors: int, seconds: float, every: float, page: str = "") -> list[Visitor]:
    chance = random.Random(123)
    within = every if seconds else 2.0
    return await asyncio.gather(
        *(
            visit(url, chance.uniform(0, within), seconds, every, random.Random(chance.random()), page)
            for _ in range(visitors)
        )
    )


@dataclass
class Used:
    """What the server, with its worker, and this client have used so far."""

    process: psutil.Process
    server: float = 0.0
    client: float = 0.0
    start: float = 0.0

    def begin(self) -> None:
        self.server, self.client, self.start = self._seconds(), time.process_time(), time.perf_counter()

    def end(self) -> dict[str, float]:
        took = time.perf_counter() - self.start
        return {
            "server, cores": (self._seconds() - self.server) / took,
            "client, cores": (time.process_time() - self.client) / took,
            "memory, MB": self.memory(),
        }

    def memory(self) -> float:
        """In MB, with the worker's."""
        return sum(process.memory_info().rss for process in self._all()) / 1e6

    def _all(self) -> list[psutil.Process]:
        return [self.process, *self.process.children(recursive=True)]

    def _seconds(self) -> float:
        return sum(sum(process.cpu_times()[:2]) for process in self._all())


def used_by(url: str) -> Used:
    port = url.rsplit(":", 1)[1]
    return Used(
        next(p for p in psutil.process_iter(["cmdline"]) if f"port={port}" in " ".join(p.info["cmdline"] or []))
    )


def stream(url: str) -> str:
    return url.replace("http", "ws") + "/_stcore/stream"


def measured(url: str, visitors: int, seconds: float, every: float, page: str = "") -> dict[str, Any]:
    """What the crowd waited, and what it cost."""
    used = used_by(url)
    used.begin()
    found = asyncio.run(crowd(stream(url), visitors, seconds, every, page))
    times = sorted(value for visitor in found for value in visitor.times)
    return {
        "page": page or "loss",
        "visitors": visitors,
        "updates": len(times),
        "p50": statistics.median(times) if times else float("nan"),
        "p95": times[int(0.95 * (len(times) - 1))] if times else float("nan"),
        "slowest": times[-1] if times else float("nan"),
        "errors": sum(len(visitor.errors) for visitor in found),
        **used.end(),
    }


async def sit(url: str, visitors: int, used: Used) -> dict[str, Any]:
    """Visits that open the page and do nothing."""
    before = used.memory()
    sockets = []
    for _ in range(visitors):
        socket = await websockets.connect(url, subprotocols=PROTOCOLS, max_size=None, open_timeout=PATIENCE)
        await Visitor(socket).run()
        sockets.append(socket)
    row = {"idle": visitors, "memory before, MB": before, "memory, MB": used.memory()}
    for socket in sockets:
        await socket.close()
    return row


async def back(url: str, visitors: int) -> dict[str, Any]:
    """Visitors who lose the network after they have typed, and come back to a server that has forgotten them."""
    chance, times = random.Random(7), list[float]()

    async def one() -> bool:
        text = "".join(f" {word}" for word in chance.choices(WORDS, k=3))
        async with websockets.connect(url, subprotocols=PROTOCOLS, max_size=None, open_timeout=PATIENCE) as socket:
            visitor = Visitor(socket)
            await visitor.run()
            await visitor.run(text)
        await asyncio.sleep(AWAY + chance.uniform(0, 2))
        async with websockets.connect(url, subprotocols=PROTOCOLS, max_size=None, open_timeout=PATIENCE) as socket:
            visitor.socket, visitor.boxes = socket, {}  # all that is left is the link
            times.append(await visitor.run())
            shown = [value for id, value in visitor.boxes.items() if id.endswith(PAGES[""])]
            return shown == [text] and not visitor.errors

    found = await asyncio.gather(*(one() for _ in range(visitors)))
    return {"came back": visitors, "found their text": sum(found), "slowest": max(times)}


async def soak(url: str, updates: int, used: Used) -> dict[str, Any]:
    """So many updates over many visits, ten at a time; each visit leaves when it has had its share."""
    chance, done, errors, early = random.Random(1), 0, 0, 0.0
    share = updates // SOAK_VISITS

    async def one() -> None:
        nonlocal done, errors, early
        async with websockets.connect(url, subprotocols=PROTOCOLS, max_size=None, open_timeout=PATIENCE) as socket:
            visitor = Visitor(socket)
            await visitor.run()
            for _ in range(share):
                await visitor.run("".join(f" {word}" for word in chance.choices(WORDS, k=3)))
                done += 1
                if done == updates // 10:
                    early = used.memory()
            errors += len(visitor.errors)

    for _ in range(SOAK_VISITS // 10):
        await asyncio.gather(*(one() for _ in range(10)))
    await asyncio.sleep(5)
    return {"updates": done, "errors": errors, "memory after a tenth, MB": early, "memory, MB": used.memory()}


def shown(row: dict[str, Any]) -> dict[str, Any]:
    return {name: round(value, 3) if isinstance(value, float) else value for name, value in row.items()}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--visitors", type=int, nargs="*", default=[1, 20, 100])
    parser.add_argument("--seconds", type=float, default=40)
    parser.add_argument("--every", type=float, default=10)
    parser.add_argument("--together", type=int, default=0)
    parser.add_argument("--pages", action="store_true")
    parser.add_argument("--idle", type=int, default=0)
    parser.add_argument("--back", type=int, default=0)
    parser.add_argument("--soak", type=int, default=0)
    parser.add_argument("--profile", default="hosted", choices=("hosted", "local"))
    options = parser.parse_args()
    os.environ["GPTLOSS_PROFILE"] = options.profile
    rows: list[dict[str, Any]] = []

    def add(row: dict[str, Any]) -> dict[str, Any]:
        rows.append({"profile": options.profile, **row})
        print(shown(row), flush=True)
        return row

    failed = False
    with tempfile.TemporaryDirectory() as logs, server(Path(logs) / "log") as app:
        time.sleep(10)  # the models are made
        asyncio.run(crowd(stream(app.url), 2, 3, 1.0))
        for page in PAGES if options.pages else [""]:
            for visitors in options.visitors:
                add(measured(app.url, visitors, options.seconds, options.every if visitors > 1 else 1.0, page))
        if options.together:
            add(measured(app.url, options.together, 0, 0))
        if options.idle:
            add(asyncio.run(sit(stream(app.url), options.idle, used_by(app.url))))
        if options.back:
            row = add(asyncio.run(back(stream(app.url), options.back)))
            failed = row["found their text"] < row["came back"]
        if options.soak:
            row = add(asyncio.run(soak(stream(app.url), options.soak, used_by(app.url))))
            failed |= bool(row["errors"]) or row["memory, MB"] - row["memory after a tenth, MB"] > MEGABYTES
        print("complaints:", app.complaints[:3])
    results = Path(__file__).parent / "results"
    results.mkdir(exist_ok=True)
    (results / "load.json").write_text(json.dumps(rows, indent=1) + "\n", "utf-8")
    return int(failed)


if __name__ == "__main__":
    sys.exit(main())
