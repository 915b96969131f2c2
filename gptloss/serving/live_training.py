"""Training that visitors watch: one run at a time, each in a process of its own; others wait for their turn.

A run belongs to the visitor who started it. It ends when they say so, when its time is up and when they leave. What
it has learned stays on the disk as `run:NAME`, unless the desk is told to take that away with its visitor.
"""

import atexit
import json
import logging
import os
import secrets
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from gptloss.errors import GptlossError
from gptloss.models.catalogue import runs
from gptloss.models.names import RUN
from gptloss.training import worker
from gptloss.training.snapshot import Baselines, Snapshot
from gptloss.training.snapshot import from_json as snapshot_from_json
from gptloss.training.worker import Request

State = Literal["waiting", "starting", "training", "paused", "done", "stopped", "out of time", "failed"]
ENDED = ("done", "stopped", "out of time", "failed")
# Seconds between two looks at who has left and who is next.
LOOK = 0.5
# Seconds that a visitor may be away: a connection can break and come back.
AWAY = 15.0
# Seconds that a paused run keeps its place while others wait.
PATIENCE = 60.0
# Seconds that a process is kept ready for nobody.
WARM = 120.0
# Runs that wait at most.
MOST_WAITING = 20
_log = logging.getLogger(__name__)


@dataclass(eq=False)
class LiveRun:
    """A run that a visitor asked for, and what is known of it; its sizes and baselines only once it has started."""

    name: str
    owner: str
    request: Request
    state: State = "waiting"
    error: str = ""
    snapshots: list[Snapshot] = field(default_factory=list)
    baselines: Baselines | None = None
    v: int = 0
    batches: int = 1
    parameters: int = 0
    watched: tuple[str, ...] = ()
    paused_at: float = 0.0
    seen: float = field(default_factory=time.monotonic)
    process: "subprocess.Popen[str] | None" = None

    @property
    def ended(self) -> bool:
        """Whether it takes no more steps."""
        return self.state in ENDED

    @property
    def has_model(self) -> bool:
        """Whether what it has learned lies on the disk."""
        return self.ended and (self.folder / "config.json").is_file()

    @property
    def folder(self) -> Path:
        """Where its model lies."""
        return runs.folder(self.name)

    def heard(self, message: dict[str, Any]) -> None:
        """Take note of what the process says."""
        kind = message.pop("kind")
        if kind == "start":
            self.v, self.batches = message["vocab_size"], message["batches"]
            self.parameters, self.baselines = message["parameters"], Baselines(**message["baselines"])
            self.watched = tuple(message["watched"])
            if self.state == "starting":  # it may have been paused meanwhile
                self.state = "training"
        elif kind == "look":
            self.snapshots.append(snapshot_from_json(message))
        elif kind == "end":
            self.state = message["state"]
        else:
            self.state, self.error = "failed", message["sentence"]


class TrainingDesk:
    """Hands out the one place to train in."""

    def __init__(self) -> None:
        self._runs: dict[str, LiveRun] = {}  # the newest run of each visitor, in the order in which they asked
        self._lock = threading.RLock()
        self._watched = False
        self._is_here: Callable[[str], bool] = lambda visitor: True
        self._keep = True
        self._spare: subprocess.Popen[str] | None = None
        self._warmed = 0.0

    def start(self, visitor: str, request: Request, is_here: Callable[[str], bool], *, keep: bool = True) -> LiveRun:
        """Ask for a run; it starts at once if nobody else trains. Without `keep` its model goes with the visitor.

        Raises `GptlossError` for a full disk, and when too many wait.
        """
        name = f"{RUN}{time.strftime('%m%d')}-{secrets.token_hex(4)}"
        run = LiveRun(name, visitor, request)
        with self._lock:
            if sum(not other.ended for other in self._runs.values()) > MOST_WAITING:
                raise GptlossError(f"{MOST_WAITING} others wait to train on this machine; try again later.")
            self.forget(visitor, take=not keep)
            try:
                worker.write(request, run.folder)
            except OSError as error:
                runs.remove(name)
                raise GptlossError(
                    f"The run cannot be written to the disk ({error.strerror}); make room there and start again."
                ) from error
            self._runs[visitor] = run
            self._is_here, self._keep = is_here, keep
            self._next()
            self._watch_over()
        return run

    def of(self, visitor: str) -> LiveRun | None:
        """The newest run of a visitor."""
        with self._lock:
            return self._runs.get(visitor)

    def before(self, visitor: str) -> int:
        """How many runs come before the visitor's, the one that trains among them."""
        with self._lock:
            names = [owner for owner, run in self._runs.items() if not run.ended]
            return names.index(visitor) if visitor in names else 0

    def tell(self, visitor: str, command: str) -> None:
        """Tell the visitor's run to `pause`, `go` on, take one `step` or `stop`."""
        with self._lock:
            run = self._runs.get(visitor)
            if run is None or run.ended:
                return
            if run.process is None:
                if command == "stop":
                    self.forget(visitor)
                return
            if command in ("pause", "go"):
                run.state, run.paused_at = "paused" if command == "pause" else "training", time.monotonic()
            _say(run.process, command)

    def forget(self, visitor: str, take: bool = False) -> None:
        """End the visitor's run; with `take`, or if it has learned nothing yet, its folder goes too."""
        with self._lock:
            run = self._runs.pop(visitor, None)
        if run is None:
            return
        if run.process is not None:
            _kill(run.process)
        if take or not (run.folder / "config.json").is_file():
            runs.remove(run.name)

    def clear(self) -> None:
        """End all runs."""
        with self._lock:
            self._drop_spare()
        for visitor in list(self._runs):
            self.forget(visitor, take=not self._keep)

    def _next(self) -> None:
        """Start the run that has waited longest, if none is at work."""
        with self._lock:
            open_runs = [run for run in self._runs.values() if not run.ended]
            if not open_runs or any(run.process for run in open_runs):
                return
            run = open_runs[0]
            run.state, run.process, self._spare = "starting", self._spare or _process(), None
            _say(run.process, str(run.folder))
            threading.Thread(target=self._hear, args=(run,), daemon=True, name=run.name).start()

    def warm(self) -> None:
        """Somebody may train soon: have a process ready that has imported all it needs, which takes seconds."""
        with self._lock:
            self._warmed = time.monotonic()
            if self._spare is None and all(run.ended for run in self._runs.values()):
                self._spare = _process()
                self._watch_over()

    def _watch_over(self) -> None:
        if not self._watched:
            self._watched = True
            threading.Thread(target=self._watch, daemon=True, name="training-desk").start()

    def _hear(self, run: LiveRun) -> None:
        """Take note of all that the process says, until it ends."""
        process = run.process
        assert process is not None
        assert process.stdout is not None
        with process.stdout as lines:
            for line in lines:
                if line.endswith("\n"):  # a process that is killed may leave half a line
                    run.heard(json.loads(line))
        _kill(process)
        if not run.ended and self._runs.get(run.owner) is run:
            run.state = "failed"
            run.error = "The training process has ended early; start again, with a smaller model if memory is short."
            _log.warning("The process of %s has ended with status %s", run.name, process.returncode)
        for file in (worker.REQUEST, worker.TEXT):
            (run.folder / file).unlink(missing_ok=True)

    def _watch(self) -> None:
        """Take the runs of those who have left, let the next one in; ends with the last run."""
        while True:
            time.sleep(LOOK)
            with self._lock:
                for visitor, run in list(self._runs.items()):
                    if self._is_here(visitor):
                        run.seen = time.monotonic()
                    elif time.monotonic() - run.seen > AWAY:
                        self.forget(visitor, take=not self._keep)
                self._make_way()
                self._next()
                if self._spare is not None and time.monotonic() - self._warmed > WARM:
                    self._drop_spare()
                if not self._runs and self._spare is None:
                    self._watched = False
                    return

    def _drop_spare(self) -> None:
        if self._spare is not None:
            _kill(self._spare)
            assert self._spare.stdout is not None
            self._spare.stdout.close()
            self._spare = None

    def _make_way(self) -> None:
        """Stop a run that has been paused for long while others wait."""
        waiting = any(run.state == "waiting" for run in self._runs.values())
        for visitor, run in self._runs.items():
            if waiting and run.state == "paused" and time.monotonic() - run.paused_at > PATIENCE:
                self.tell(visitor, "stop")


def _process() -> "subprocess.Popen[str]":
    """A worker that waits for the folder of its run; it finds the modules that this process finds."""
    return subprocess.Popen(
        [sys.executable, "-m", "gptloss.training.worker"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        encoding="utf-8",
        env=os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
    )


def _say(process: "subprocess.Popen[str]", line: str) -> None:
    assert process.stdin is not None
    with suppress(OSError):  # it has just ended
        process.stdin.write(f"{line}\n")
        process.stdin.flush()


def _kill(process: "subprocess.Popen[str]") -> None:
    """End a process, if it has not ended; who reads what it prints closes that."""
    process.kill()
    process.wait()
    assert process.stdin is not None
    with suppress(OSError):  # what was not written goes nowhere
        process.stdin.close()


desk = TrainingDesk()
atexit.register(desk.clear)
