"""Runs in the background: the loss of a whole text, computed while the visitor turns pages, kept for all visitors.

Who asks for the same gets the same run. It has a thread of its own, and threads take turns, a forward pass each, so
that the clicks of others are answered meanwhile. It ends when it is told to, when nobody who asked for it is there
any more, and after half an hour.
"""

import atexit
import logging
import time
from collections import OrderedDict
from collections.abc import Iterator
from dataclasses import dataclass
from threading import Event, Lock, Thread
from typing import Literal

from streamlit import runtime
from streamlit.runtime.scriptrunner import get_script_run_ctx

from gptloss.corpus.layout import PARTS, Job
from gptloss.corpus.scoring import CorpusLoss, ScoredWindow, Tally, TooShortError, scored_windows
from gptloss.errors import GptlossError
from gptloss.serving.readings import held

# At work at the same time; kept when they have ended, and their scored tokens in all, 12 bytes each.
MOST_RUNNING, MOST_KEPT, MOST_TOKENS = 8, 24, 4_000_000
MOST_SECONDS = 1_800
# Seconds: a visitor may be away for so long; and what a forward pass leaves to others.
AWAY, PAUSE = 15.0, 0.004
BUSY = "Something went wrong here, and it was logged; try again."

State = Literal["waiting", "running", "done", "stopped", "failed"]
_log = logging.getLogger(__name__)


@dataclass(frozen=True, eq=False)
class Done:
    """A scored window, and where it is from."""

    part: str
    document: int
    scored: ScoredWindow


class _StoppedError(Exception):
    """The run is to end here."""


class Run:
    """A job under way or ended, with what is known so far."""

    def __init__(self, job: Job) -> None:
        self.job = job
        self.state: State = "waiting"
        self.error = ""
        self.short: dict[str, list[str]] = {part: [] for part in PARTS}
        self.windows: list[Done] = []
        self.seconds = 0.0
        self._since = 0.0, 0
        self._from = 0.0  # the seconds it had taken when it was last set to work
        self.visitors: dict[str, float] = {}  # who wants it, and when they were last seen
        self.asked: set[str] = set()  # who has ever asked for it
        self._tallies = {part: Tally(job.plan) for part in PARTS}
        self._lock = Lock()
        self._stop = Event()
        self._thread: Thread | None = None

    @property
    def running(self) -> bool:
        """Whether it is at work or waits for its turn."""
        return self._thread is not None and self._thread.is_alive() and not self._stop.is_set()

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

    def begin(self, after: "Run | None" = None) -> None:
        """Set to work, or go on where it was stopped; `after` another run has ended."""
        before, stop = [run._thread for run in (self, after) if run and run._thread], Event()
        self._stop, self.state, self.error = stop, "waiting", ""
        self._from = self.seconds
        self.short = {part: [] for part in PARTS}
        self._thread = Thread(target=self._work, args=(stop, before), daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Ask it to end; the forward pass that is under way is thrown away."""
        if self.running:
            self._stop.set()
            self.state = "stopped"

    def wait(self, seconds: float) -> None:
        """Until it has ended, but so long at most."""
        if self._thread is not None:
            self._thread.join(seconds)

    def _work(self, stop: Event, before: list[Thread]) -> None:
        try:
            for thread in before:
                while thread.is_alive():
                    self._check(stop)
                    thread.join(0.1)
            model = held(self.job.model).model
            self._check(stop)
            self.state, self._since = "running", (time.monotonic(), self.tokens)
            for part, document, pieces in self.job.pieces:
                done = sum(1 for one in self.windows if (one.part, one.document) == (part, document))
                try:
                    for scored in self._in_turns(scored_windows(model, pieces, self.job.plan, skip=done), stop):
                        self._add(Done(part, document, scored))
                except TooShortError as error:
                    self.short[part].append(str(error))
            self.state = "done"
        except _StoppedError:
            if self._stop is stop:  # and nobody has set it to work again meanwhile
                self.state = "stopped"
        except GptlossError as error:
            self.error, self.state = str(error), "failed"
        except Exception:
            _log.exception("A run of %s has failed", self.job.model)
            self.error, self.state = BUSY, "failed"

    def _in_turns(self, windows: Iterator[ScoredWindow], stop: Event) -> Iterator[ScoredWindow]:
        while True:
            with _turn:
                self._check(stop)
                began = time.monotonic()
                scored = next(windows, None)
                took = time.monotonic() - began
            self._check(stop)
            if scored is None:
                return
            self.seconds += took
            yield scored
            if took > PAUSE:
                time.sleep(PAUSE)

    def _check(self, stop: Event) -> None:
        if stop.is_set() or not self._wanted() or self.seconds - self._from > MOST_SECONDS:
            raise _StoppedError

    def _wanted(self) -> bool:
        """Whether somebody who asked for it is there, or was a moment ago."""
        now = time.monotonic()
        with _all:  # so that nobody who leaves meanwhile is put back
            self.visitors |= {visitor: now for visitor in self.visitors if is_here(visitor)}
            return any(now - seen < AWAY for seen in self.visitors.values())

    def _add(self, done: Done) -> None:
        with self._lock:
            self._tallies[done.part].add(done.scored)
            self.windows.append(done)


_turn = Lock()
_runs: OrderedDict[Job, Run] = OrderedDict()
_all = Lock()


def is_here(visitor: str) -> bool:
    """Whether the visitor with this session is connected; without a server everybody is."""
    return not runtime.exists() or runtime.get_instance().is_active_session(visitor)


def find_run(job: Job) -> Run | None:
    """The run of this job, whoever asked for it."""
    with _all:
        return _runs.get(job)


def start(jobs: list[Job], visitor: str) -> None:
    """Set these jobs to work for a visitor, one after the other, instead of what they had under way.

    Raises `GptlossError` if too many runs are at work.
    """
    leave(visitor, but=jobs)
    before: Run | None = None
    with _all:
        for job in jobs:
            run = _runs.get(job) or Run(job)
            idle = not run.running and run.state != "done"
            if idle and sum(other.running for other in _runs.values()) >= MOST_RUNNING:
                raise GptlossError(
                    f"{MOST_RUNNING} runs are under way on this machine; try again when one has ended."
                )
            _runs[job] = run
            _runs.move_to_end(job)
            run.visitors[visitor] = time.monotonic()
            run.asked.add(visitor)
            if idle:
                run.begin(before)
            before = run
        _forget()


def leave(visitor: str, but: list[Job] | None = None) -> None:
    """The visitor wants no run any more, except those of `but`; a run that nobody wants stops."""
    with _all:
        for job, run in _runs.items():
            if run.running and visitor in run.visitors and job not in (but or []):
                del run.visitors[visitor]
                if not run.visitors:
                    run.stop()


def visitor() -> str:
    """Who is looking: the id of the session."""
    context = get_script_run_ctx()
    assert context is not None, "only a page asks"
    return context.session_id


def mine(run: Run) -> bool:
    """Whether the run is at work for who is looking."""
    return run.running and visitor() in run.visitors


def kept(visitor: str) -> list[Run]:
    """The ended runs that this visitor asked for, oldest first."""
    with _all:
        return [run for run in _runs.values() if visitor in run.asked and not run.running]


def under_way(visitor: str) -> list[Run]:
    """The runs at work for a visitor."""
    with _all:
        return [run for run in _runs.values() if visitor in run.visitors and run.running]


def _forget() -> None:
    """Let go of the runs that ended longest ago, if there are too many."""
    while len(_runs) > MOST_KEPT or sum(run.tokens for run in _runs.values()) > MOST_TOKENS:
        ended = next((job for job, run in _runs.items() if not run.running), None)
        if ended is None:
            return
        del _runs[ended]


@atexit.register
def _stop_all() -> None:
    """A thread that computes while Python ends would be a crash."""
    for run in list(_runs.values()):
        run.stop()
        run.wait(5)
