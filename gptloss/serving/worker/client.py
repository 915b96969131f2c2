"""The page's side of the worker: ask it, wait, start it again when it has died. Loads no torch.

Both sides send pickles through the worker's standard input and output. Only this process and its child hold the ends.
"""

import atexit
import logging
import os
import pickle
import subprocess
import sys
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from threading import Event, Lock, Thread
from typing import Any

from gptloss.errors import GptlossError
from gptloss.hosting import in_force
from gptloss.models.base import ModelInfo
from gptloss.serving.turns import TURNS

COMMAND = (sys.executable, "-m", "gptloss.serving.worker.process")
# A worker that has said nothing for so many seconds while somebody waits is ended: a large model loads in a minute.
HANGS = 180.0
# Bytes that the pipes take at once: the logits of a short text are 600 kB.
ROOM = 1 << 20
# How often a request is sent: once more if the worker dies.
TRIES = 2
DIED = "The process that computes has ended twice on this; it is started again. Try a shorter text or another model."
BUSY = "Something went wrong here, and it was logged; try again."
_log = logging.getLogger(__name__)


def _home() -> dict[str, str]:
    """What the worker is told: it computes itself, within the memory that the profile gives it."""
    return {"GPTLOSS_PROFILE": "local", "GPTLOSS_MEMORY_MB": str(in_force().memory)}


class LostError(Exception):
    """The worker ended before it answered."""


@dataclass(eq=False)
class _Slot:
    """Where an answer is waited for."""

    sent: float
    done: Event = field(default_factory=Event)
    value: Any = None
    error: Exception | None = None

    def fill(self, value: Any = None, error: Exception | None = None) -> None:
        self.value, self.error = value, error
        self.done.set()


class _Process:
    """One life of the worker."""

    def __init__(self, command: Sequence[str]) -> None:
        paths = os.pathsep.join(filter(None, sys.path))
        # It computes with a thread a request, as many requests at once as there are cores.
        threads = dict.fromkeys(("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"), "1")
        self._popen = subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            bufsize=ROOM,
            pipesize=ROOM if sys.platform == "linux" else -1,
            env=os.environ | threads | _home() | {"PYTHONPATH": paths},
        )
        self.heard, self.alive = time.monotonic(), True
        self._slots: dict[int, _Slot] = {}
        self._count, self._lock, self._writing = 0, Lock(), Lock()
        Thread(target=self._hear, daemon=True, name="worker-answers").start()

    @property
    def id(self) -> int:
        """The process's id."""
        return self._popen.pid

    def ask(self, *request: Any) -> _Slot:
        """Send a request. Raises `LostError` if the worker has ended."""
        slot = _Slot(time.monotonic())
        with self._lock:
            if not self.alive:
                raise LostError
            self._count += 1
            number = self._count
            self._slots[number] = slot
        message = pickle.dumps((number, *request), 5)
        assert self._popen.stdin is not None
        with self._writing, suppress(OSError):  # it has just ended: the slot hears of it
            self._popen.stdin.write(message)
            self._popen.stdin.flush()
        return slot

    def end(self) -> None:
        """End it at once."""
        self._popen.kill()

    def _hear(self) -> None:
        """Hand out the answers, until the process ends."""
        stream = self._popen.stdout
        assert stream is not None
        with suppress(EOFError, OSError, pickle.UnpicklingError):  # it was killed, maybe within an answer
            while True:
                number, value, error = pickle.load(stream)
                self.heard = time.monotonic()
                with self._lock:
                    slot = self._slots.pop(number)
                slot.fill(value, error)
        self._popen.kill()
        status = self._popen.wait()
        with self._lock:
            self.alive, lost = False, [*self._slots.values()]
            self._slots.clear()
        if lost:
            _log.warning("The worker has ended with status %s; what was asked of it is asked again", status)
        for slot in lost:
            slot.fill(error=LostError())
        for pipe in (stream, self._popen.stdin):
            assert pipe is not None
            with suppress(OSError):
                pipe.close()


class Worker:
    """The worker, whichever process it is now: it is started when it is needed."""

    def __init__(self, command: Sequence[str] = COMMAND, hangs: float = HANGS) -> None:
        self._command, self._hangs = command, hangs
        self._process: _Process | None = None
        self._lock = Lock()

    @property
    def process(self) -> int | None:
        """The id of the process that is at work, if there is one."""
        return self._process.id if self._process and self._process.alive else None

    def start(self) -> None:
        """Start it now, because it will be needed soon."""
        self._living()

    def ask(self, what: str, info: ModelInfo, *args: Any) -> Any:
        """Have it do `what` with a model; others compute while this thread waits.

        Raises the `GptlossError` that the worker met, and one of its own for a request that it died on twice.
        """
        with TURNS.away():
            for _ in range(TRIES):
                with suppress(LostError):
                    return self._answer(what, info, TURNS.crowd, args)
        raise GptlossError(DIED)

    def end(self) -> None:
        """End the process; the next request starts another one."""
        with self._lock:
            process, self._process = self._process, None
        if process:
            process.end()

    def _living(self) -> _Process:
        with self._lock:
            if self._process is None or not self._process.alive:
                self._process = _Process(self._command)
            return self._process

    def _answer(self, *request: Any) -> Any:
        process = self._living()
        slot = process.ask(*request)
        while not slot.done.wait(min(1.0, self._hangs)):
            if time.monotonic() - max(process.heard, slot.sent) > self._hangs:
                _log.warning("The worker has said nothing for %.0f s and is ended", self._hangs)
                process.end()
        if slot.error:
            raise slot.error
        return slot.value


WORKER = Worker()
atexit.register(WORKER.end)
