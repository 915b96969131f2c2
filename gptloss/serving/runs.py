"""Runs in the background: the loss of a whole text is computed while the visitor turns pages.

Equal jobs are one run, whoever starts them. Each run has a thread, and the threads take turns, one forward pass each,
so that the clicks of other visitors are answered meanwhile. A run ends when it is told to, when everybody who started
it has left, and after half an hour.
"""

import atexit
import logging
import time
from collections import OrderedDict
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from threading import Event, Lock, Thread
from typing import Literal

from gptloss.corpus.job import PARTS, Job
from gptloss.corpus.run import Part, ScoredPass, score_parts
from gptloss.corpus.scoring import ScoredWindow
from gptloss.corpus.tally import CorpusLoss, Tally
from gptloss.errors import GptlossError
from gptloss.hosting import in_force
from gptloss.numbers import counted
from gptloss.serving.models import loaded
from gptloss.serving.worker.client import BUSY

# Visitors whose runs are at work at the same time; those of one come one after the other.
MOST_RUNNING = in_force().runs
# A run that has worked for so many seconds makes way for a visitor who finds no room.
MAKES_WAY = 120.0
# Ended runs that are kept, and their scored tokens in all, 12 bytes each.
MOST_KEPT, MOST_TOKENS = 24, 4_000_000
MOST_SECONDS = 1_800
# Seconds that a visitor may be away, and that a run leaves to others after a forward pass.
AWAY, PAUSE = 15.0, 0.004
MADE_WAY = "Stopped so that others can compute, too; it goes on where it was when you start it again."

State = Literal["waiting", "running", "done", "stopped", "failed"]
_log = logging.getLogger(__name__)


@dataclass(frozen=True, eq=False)
class PlacedWindow:
    """A scored window, and the part and document that it is from."""

    part: str
    document: int
    scored: ScoredWindow


class _StoppedError(Exception):
    """The run is to end here."""


def _always(visitor: str) -> bool:
    return True


class BackgroundRun:
    """A job under way or ended, with what is known so far.

    The run's thread and the visitors' threads share it. `_lock` guards what is known: `state`, `error`, `short`,
    `windows`, `seconds` and the tallies. The module's `_all` guards who wants it: `visitors` and `started_by`.
    """

    def __init__(self, job: Job) -> None:
        self.job = job
        self.state: State = "waiting"
        self.error = ""
        self.short: dict[str, list[str]] = {part: [] for part in PARTS}
        self.windows: list[PlacedWindow] = []
        self.seconds = 0.0
        self.visitors: dict[str, float] = {}  # those who want it, and when each was last seen
        self.started_by: set[str] = set()
        self._tallies = {part: Tally(job.plan) for part in PARTS}
        self._lock = Lock()
        self._since = 0.0, 0  # when it was last set to work, and the tokens it had then
        self._seconds_before = 0.0  # the seconds it had taken then
        self._stop = Event()
        self._thread: Thread | None = None
        self._connected: Callable[[str], bool] = _always

    @property
    def running(self) -> bool:
        """Whether it is at work or waits for its turn."""
        return self._thread is not None and self._thread.is_alive() and not self._stop.is_set()

    @property
    def working_for(self) -> float:
        """Seconds since it was set to work; 0 while it waits."""
        return time.monotonic() - self._since[0] if self.state == "running" else 0.0

    @property
    def tokens(self) -> int:
        """How many are scored."""
        return sum(tally.tokens for tally in self._tallies.values())

    def seconds_left(self, total: int) -> float | None:
        """How long it will take at this pace, to `total` tokens; None before anybody can say."""
        began, tokens = self._since
        if self.state != "running" or self.tokens == tokens:
            return None
        return (total - self.tokens) * (time.monotonic() - began) / (self.tokens - tokens)

    def result(self, part: str) -> CorpusLoss | None:
        """What the part costs, as far as it is scored; None before its first window."""
        with self._lock:
            tally = self._tallies[part]
            return tally.snapshot() if tally.tokens else None

    def begin(self, after: "BackgroundRun | None" = None, connected: Callable[[str], bool] = _always) -> None:
        """Set it to work, or let it go on where it was stopped, once the run `after` has ended.

        `connected` tells whether a visitor is still there.
        """
        before, stop = [run._thread for run in (self, after) if run and run._thread], Event()
        with self._lock:
            self._stop, self._connected = stop, connected
            self.state, self.error = "waiting", ""
            self.short = {part: [] for part in PARTS}
            self._seconds_before = self.seconds
            self._thread = Thread(target=self._work, args=(stop, before), daemon=True)
        self._thread.start()

    def stop(self, why: str = "") -> None:
        """Ask it to end. What the forward pass under way computes is thrown away."""
        if self.running:
            self._stop.set()
            self._ended("stopped", why)

    def wait(self, seconds: float) -> None:
        """Wait until it has ended, but not longer than this."""
        if self._thread is not None:
            self._thread.join(seconds)

    def _work(self, stop: Event, before: list[Thread]) -> None:
        """The thread: score part after part, and say how it ended."""
        try:
            for thread in before:
                while thread.is_alive():
                    self._check(stop)
                    thread.join(0.1)
            model = loaded(self.job.model).model
            self._check(stop)
            with self._lock:
                self.state, self._since = "running", (time.monotonic(), self.tokens)
            parts = score_parts(model, self.job.parts, self.job.plan, skip=self._scored_of)
            for scored in self._in_turns(parts, stop):
                self._add(scored)
            self._ended("done")
        except _StoppedError:
            if self._stop is stop:  # nobody has set it to work again meanwhile
                self._ended("stopped", self.error)
        except GptlossError as error:
            self._ended("failed", str(error))
        except Exception:
            _log.exception("A run of %s has failed", self.job.model)
            self._ended("failed", BUSY)

    def _ended(self, state: State, error: str = "") -> None:
        with self._lock:
            self.state, self.error = state, error

    def _in_turns(self, passes: Iterator[ScoredPass], stop: Event) -> Iterator[ScoredPass]:
        """Compute one forward pass at a time, when no other run computes."""
        while True:
            with _turn:
                self._check(stop)
                began = time.monotonic()
                scored = next(passes, None)
                took = time.monotonic() - began
            self._check(stop)
            if scored is None:
                return
            with self._lock:
                self.seconds += took
            yield scored
            if took > PAUSE:
                time.sleep(PAUSE)

    def _check(self, stop: Event) -> None:
        if stop.is_set() or not self._wanted() or self.seconds - self._seconds_before > MOST_SECONDS:
            raise _StoppedError

    def _wanted(self) -> bool:
        """Whether somebody who started it is there, or was a moment ago."""
        now = time.monotonic()
        with _all:  # so that a visitor who leaves meanwhile is not put back
            self.visitors |= {visitor: now for visitor in self.visitors if self._connected(visitor)}
            return any(now - seen < AWAY for seen in self.visitors.values())

    def _scored_of(self, part: Part) -> int:
        """How many windows of a part were scored before the run was stopped."""
        return sum((window.part, window.document) == (part.name, part.text) for window in self.windows)

    def _add(self, scored: ScoredPass) -> None:
        with self._lock:
            if scored.reason:
                self.short[scored.part].append(scored.reason)
            for window in scored.windows:
                self._tallies[scored.part].add(window)
                self.windows.append(PlacedWindow(scored.part, scored.text, window))


_turn = Lock()
_runs: OrderedDict[Job, BackgroundRun] = OrderedDict()
_all = Lock()


def find_run(job: Job) -> BackgroundRun | None:
    """The run of this job, whoever started it."""
    with _all:
        return _runs.get(job)


def start(jobs: list[Job], visitor: str, connected: Callable[[str], bool] = _always) -> None:
    """Set these jobs to work for a visitor, one after the other, instead of what they had under way.

    `connected` tells whether a visitor is still there. Raises `GptlossError` if too many others compute.
    """
    leave(visitor, but=jobs)
    before: BackgroundRun | None = None
    with _all:
        for job in jobs:
            run = _runs.get(job) or BackgroundRun(job)
            idle = not run.running and run.state != "done"
            if idle and before is None:
                _make_room()
            _runs[job] = run
            _runs.move_to_end(job)
            run.visitors[visitor] = time.monotonic()
            run.started_by.add(visitor)
            if idle:
                run.begin(before, connected)
            before = run
        _forget()


def _make_room() -> None:
    """Stop the run that has worked longest if there is no room. Raises `GptlossError` if it has only just begun."""
    at_work = [run for run in _runs.values() if run.running]
    if len({min(run.visitors, default="") for run in at_work}) < MOST_RUNNING:
        return
    longest = max(at_work, key=lambda run: run.working_for, default=None)
    if longest is None or longest.working_for < MAKES_WAY:
        raise GptlossError(
            f"{counted(MOST_RUNNING, 'other visitor')} compute on this machine; try again in"
            f" {MAKES_WAY / 60:.0f} minutes, when one of them makes way."
        )
    longest.stop(MADE_WAY)


def leave(visitor: str, but: list[Job] | None = None) -> None:
    """The visitor wants no run any more, except those of `but`; a run that nobody wants stops."""
    with _all:
        for job, run in _runs.items():
            if run.running and visitor in run.visitors and job not in (but or []):
                del run.visitors[visitor]
                if not run.visitors:
                    run.stop()


def kept(visitor: str) -> list[BackgroundRun]:
    """The ended runs that this visitor started, oldest first."""
    with _all:
        return [run for run in _runs.values() if visitor in run.started_by and not run.running]


def under_way(visitor: str) -> list[BackgroundRun]:
    """The runs at work for a visitor."""
    with _all:
        return [run for run in _runs.values() if visitor in run.visitors and run.running]


def all_runs() -> list[BackgroundRun]:
    """Every run that is under way or kept, the one that was started last at the end."""
    with _all:
        return list(_runs.values())


def stop_and_forget_all() -> None:
    """Stop every run, wait for its thread, and keep nothing of it."""
    for run in all_runs():
        run.stop()
        run.wait(5)
    with _all:
        _runs.clear()


def _forget() -> None:
    """Let go of the runs that ended longest ago, if there are too many."""
    while len(_runs) > MOST_KEPT or sum(run.tokens for run in _runs.values()) > MOST_TOKENS:
        ended = next((job for job, run in _runs.items() if not run.running), None)
        if ended is None:
            return
        del _runs[ended]


# A thread that computes while Python ends would be a crash.
atexit.register(stop_and_forget_all)
