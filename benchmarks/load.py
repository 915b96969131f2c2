"""How the server holds up under a lecture: many visitors, each with a text of their own, over raw websockets.

    .venv/bin/python benchmarks/load.py [--visitors 1 20 100] [--seconds 40] [--every 10] [--together 300]

Each visitor opens the first page and then types another target every `--every` seconds; an update is timed from the
message to the end of the script. `--together N` lets N visitors open one link within two seconds. Prints p50, p95,
the slowest, errors, and how busy the server and this client were. Writes benchmarks/results/load.json.
"""

import argparse
import asyncio
import json
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
BOX = "-target-0"
PATIENCE = 120.0
PROTOCOLS: Any = ["streamlit"]


@dataclass
class Visitor:
    """A browser without a page: it knows its boxes by their ids, and how long it has waited."""

    socket: Any
    boxes: dict[str, str] = field(default_factory=dict)
    times: list[float] = field(default_factory=list)
    errors: list[str] = field(default_factory=list)

    async def run(self, text: str | None = None) -> float:
        """Ask for the page, with another text in the box if one is given; seconds until it is there."""
        message = BackMsg()
        message.rerun_script.query_string = LINK
        for id, value in self.boxes.items():
            state = message.rerun_script.widget_states.widgets.add()
            state.id, state.string_value = id, text if text is not None and id.endswith(BOX) else value
        start = time.perf_counter()
        await self.socket.send(message.SerializeToString())
        while True:
            answer = ForwardMsg.FromString(await asyncio.wait_for(self.socket.recv(), PATIENCE))
            kind = answer.WhichOneof("type")
            if kind == "delta":
                self._look(answer.delta.new_element)
            if kind == "script_finished" and answer.script_finished != ForwardMsg.FINISHED_EARLY_FOR_RERUN:
                return time.perf_counter() - start

    def _look(self, element: Any) -> None:
        if element.WhichOneof("type") == "text_input":
            box = element.text_input
            self.boxes[box.id] = box.value if box.set_value else self.boxes.get(box.id, box.default)
        if element.WhichOneof("type") == "exception":
            self.errors.append(element.exception.message)


async def visit(url: str, begins: float, seconds: float, every: float, chance: random.Random) -> Visitor:
    """Open the page, then type until the time is over."""
    await asyncio.sleep(begins)
    try:
        async with websockets.connect(
            url, subprotocols=["streamlit"], max_size=None, open_timeout=PATIENCE
        ) as socket:  # type: ignore[list-item]
            visitor = Visitor(socket)
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
        return Visitor(None, errors=[f"{type(error).__name__}: {error}"])


async def crowd(url: str, visitors: int, seconds: float, every: float) -> list[Visitor]:
    chance = random.Random(123)
    within = every if seconds else 2.0
    return await asyncio.gather(
        *(
            visit(url, chance.uniform(0, within), seconds, every, random.Random(chance.random()))
            for _ in range(visitors)
        )
    )


def measured(app: Any, visitors: int, seconds: float, every: float) -> dict[str, float]:
    """What the crowd waited, and what it cost."""
    port = app.url.rsplit(":", 1)[1]
    process = next(p for p in psutil.process_iter(["cmdline"]) if f"port={port}" in " ".join(p.info["cmdline"] or []))
    before, start, own = process.cpu_times(), time.perf_counter(), time.process_time()
    found = asyncio.run(crowd(app.url.replace("http", "ws") + "/_stcore/stream", visitors, seconds, every))
    took, after = time.perf_counter() - start, process.cpu_times()
    times = sorted(value for visitor in found for value in visitor.times)
    return {
        "visitors": visitors,
        "updates": len(times),
        "p50": statistics.median(times) if times else float("nan"),
        "p95": times[int(0.95 * (len(times) - 1))] if times else float("nan"),
        "slowest": times[-1] if times else float("nan"),
        "errors": sum(len(visitor.errors) for visitor in found),
        "server, cores": (after.user + after.system - before.user - before.system) / took,
        "client, cores": (time.process_time() - own) / took,
        "memory, MB": process.memory_info().rss / 1e6,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--visitors", type=int, nargs="*", default=[1, 20, 100])
    parser.add_argument("--seconds", type=float, default=40)
    parser.add_argument("--every", type=float, default=10)
    parser.add_argument("--together", type=int, default=0)
    options = parser.parse_args()
    rows = []
    with tempfile.TemporaryDirectory() as logs, server(Path(logs) / "log") as app:
        time.sleep(10)  # the model is made
        for visitors in options.visitors:
            every = options.every if visitors > 1 else 1.0
            rows.append(measured(app, visitors, options.seconds, every))
            print({name: round(value, 3) for name, value in rows[-1].items()}, flush=True)
        if options.together:
            rows.append(measured(app, options.together, 0, 0))
            print("together", {name: round(value, 3) for name, value in rows[-1].items()})
        print("complaints:", app.complaints[:3])
    results = Path(__file__).parent / "results"
    results.mkdir(exist_ok=True)
    (results / "load.json").write_text(json.dumps(rows, indent=1) + "\n", "utf-8")


if __name__ == "__main__":
    main()
