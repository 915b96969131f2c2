"""Turns at the processor: as many visitors are served at once as there are cores, the others in the order they came.

Thirty threads that compute at once hand Python's lock to one another after each operation, and all of them finish
late. In turn each is done sooner, and none waits for one who came later.
"""

import os
import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from threading import Event, Lock, local

from gptloss.errors import GptlossError
from gptloss.hosting import in_force

# Nobody waits for more seconds than these, whatever the threads do that hold the turns.
PATIENCE = 300.0
# So many threads at most have left their turn to wait for something. With more of them, the caches would lose what
# was computed for a page before the page is drawn.
MOST_AWAY = 24
# One who computes for long waits at most so many seconds, after each part of the work, while others go first.
WAY = 1.0
# How often one who waits hears of it.
PACE = 2.0
# Hears how many come first.
Waiting = Callable[[int], None]


class QueueFullError(GptlossError):
    """Too many wait already."""


@dataclass(frozen=True, eq=False)
class _Call:
    """One who waits to be called in."""

    first: bool
    heard: Event = field(default_factory=Event)


def _say_nothing(before: int) -> None:
    """Nobody wants to hear of it."""


class Turns:
    """At most `places` threads work at once; one who waits longer than `patience` seconds works all the same."""

    def __init__(
        self, places: int, patience: float = PATIENCE, most: int | None = None, most_away: int = MOST_AWAY
    ) -> None:
        self._free, self._away, self._most_away = places, 0, most_away
        self._patience, self._most = patience, most
        self._lock, self._waiting, self._mine = Lock(), deque[_Call](), local()

    @property
    def crowd(self) -> int:
        """How many threads wait: for a turn, or for something while they are away from theirs."""
        return self._away + len(self._waiting)

    @contextmanager
    def turn(self, waiting: Waiting = _say_nothing, first: bool = False) -> Iterator[None]:
        """Wait for a turn and hold it; a thread that holds one already goes on with it.

        `waiting` hears every two seconds how many come first; an error that it raises ends the waiting. Who works for
        somebody that is being served comes `first`. Raises `QueueFullError` if too many wait.
        """
        if getattr(self._mine, "held", False):
            yield
            return
        self._take(self._patience, waiting, first, self._most)
        self._mine.held = True
        try:
            yield
        finally:
            self._mine.held = False
            self._count(free=1)

    @contextmanager
    def away(self) -> Iterator[None]:
        """Leave the turn to others while this thread waits for something.

        Then it goes on at once, and the next turn is given later: it may hold what those who have a turn wait for.
        """
        if not getattr(self._mine, "held", False):
            yield
            return
        self._mine.held = False
        self._count(free=1, away=1)
        try:
            yield
        finally:
            self._count(free=-1, away=-1)
            self._mine.held = True

    def give_way(self, seconds: float = WAY) -> None:
        """Let those who wait go first, for at most so many seconds. A thread without a turn gives nothing."""
        if getattr(self._mine, "held", False) and self._waiting:
            self._count(free=1)
            self._take(seconds)

    def _take(
        self, patience: float, waiting: Waiting = _say_nothing, first: bool = False, most: int | None = None
    ) -> None:
        call = _Call(first)
        with self._lock:
            if most is not None and not first and len(self._waiting) >= most:
                raise QueueFullError(f"The queue is full: {len(self._waiting):,} wait for an answer here.")
            if first:
                self._waiting.appendleft(call)
            else:
                self._waiting.append(call)
            self._admit()
        until = time.monotonic() + patience
        try:
            while not call.heard.wait(max(0.0, min(PACE, until - time.monotonic()))) and time.monotonic() < until:
                waiting(self._before(call))
        except BaseException:
            self._leave(call)
            raise
        with self._lock:
            if not call.heard.is_set():  # it goes on without a place, which is given back all the same
                self._waiting.remove(call)
                self._free -= 1

    def _before(self, call: _Call) -> int:
        """How many come first."""
        with self._lock:
            return self._waiting.index(call) if call in self._waiting else 0

    def _leave(self, call: _Call) -> None:
        """Wait no longer; a turn that was just given goes to the next one."""
        with self._lock:
            if call in self._waiting:
                self._waiting.remove(call)
            else:
                self._free += 1
            self._admit()

    def _count(self, free: int, away: int = 0) -> None:
        """So many places more, and so many more who are away."""
        with self._lock:
            self._free += free
            self._away += away
            self._admit()

    def _admit(self) -> None:
        """Call in those for whom there is a place; new ones only while few are away."""
        while self._waiting and self._free > 0 and (self._waiting[0].first or self._away < self._most_away):
            self._free -= 1
            self._waiting.popleft().heard.set()


TURNS = Turns(max(2, os.cpu_count() or 2), most=in_force().queue)
