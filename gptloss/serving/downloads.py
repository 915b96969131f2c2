"""Fetches a model while the page stays usable, in one process for all visitors, which can be stopped."""

import atexit
import json
import os
import subprocess
import sys
from pathlib import Path
from threading import Lock, Thread

import gptloss
from gptloss.models import Progress

_SOURCE = Path(gptloss.__file__).parent.parent
_fetches: dict[str, "Fetch"] = {}
_lock = Lock()


class Fetch:
    """A running or ended `gptloss models pull`."""

    def __init__(self, name: str) -> None:
        path = os.pathsep.join(filter(None, [str(_SOURCE), os.environ.get("PYTHONPATH")]))
        self.progress = Progress("Starting")
        self.error = ""
        self.stopped = False
        self.process = subprocess.Popen(
            [sys.executable, "-m", "gptloss", "models", "pull", "--json", "--", name],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            encoding="utf-8",
            env=os.environ | {"PYTHONPATH": path, "PYTHONIOENCODING": "utf-8"},
        )
        self.reader = Thread(target=self._read, daemon=True)
        self.reader.start()

    @property
    def running(self) -> bool:
        """Whether it still is at work."""
        return self.reader.is_alive()

    def stop(self) -> None:
        """Ask it to stop; it clears up after itself. Files of the hub that came whole are kept for the next fetch."""
        self.stopped = True
        self.process.terminate()

    def _read(self) -> None:
        assert self.process.stdout is not None
        assert self.process.stderr is not None
        for line in self.process.stdout:
            if line.startswith("{"):
                self.progress = Progress(**json.loads(line))
        said = self.process.stderr.read().strip().splitlines()
        if self.process.wait() and not self.stopped:
            self.error = (
                said[-1].removeprefix("gptloss: ") if said else "The fetch ended without a reason; try again."
            )


def start(name: str) -> None:
    """Begin to fetch a model, unless somebody's fetch of it is under way."""
    with _lock:
        if name not in _fetches or not _fetches[name].running:
            _fetches[name] = Fetch(name)


def state(name: str) -> Fetch | None:
    """The last fetch of this model since the server started, if there was one."""
    return _fetches.get(name)


@atexit.register
def _stop_all() -> None:
    for fetch in _fetches.values():
        if fetch.running:
            fetch.stop()
