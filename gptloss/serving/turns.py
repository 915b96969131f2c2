"""Turns at the processor: as many visitors are served at once as there are cores, the others in the order they came.

Thirty threads that compute at once hand Python's lock to one another after each operation, and all of them finish
late. In turn each is done sooner, and none waits for one who came later.
"""

import os
import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from threading import Event, Lock, local

from gptloss.errors import GptlossError
from gptloss.hosting import in_force

# Nobody waits for more seconds than these: the threads that hold the turns may wait for what this thread holds.
PATIENCE = 30.0
# One who computes for long waits at most so many seconds, after each part of the work, while others go first.
WAY = 1.0
# How often one who waits hears of it.
SECOND = 1.0
# Hears how many come first.
Waiting = Callable[[int], None]


class BusyError(GptlossError):
    """Too many wait already."""


def _say_nothing(before: int) -> None:
    """Nobody wants to hear of it."""


class Turns:
    """At most `places` threads work at once; one who waits longer than `patience` seconds works all the same."""

    def __init__(self, places: int, patience: float = PATIENCE, most: int | None = None) -> None:
        self._free, self._patience, self._most = places, patience, most
        self._lock, self._waiting, self._mine = Lock(), deque[Event](), local()

    @contextmanager
    def turn(self, waiting: Waiting = _say_nothing) -> Iterator[None]:
        """Wait for a turn and hold it; a thread that holds one already goes on with it.

        `waiting` hears each second how many come first; an error that it raises ends the waiting. Raises `BusyError`
        if too many wait.
        """
        if getattr(self._mine, "held", False):
            yield
            return
        self._take(self._patience, waiting, self._most)
        self._mine.held = True
        try:
            yield
        finally:
            self._mine.held = False
            self._pass_on()

    @contextmanager
    def away(self) -> Iterator[None]:
        """Leave the turn to others while this thread waits for something.

        Then it goes on at once, and the next turn is given later: it may hold what those who have a turn wait for.
        """
        if not getattr(self._mine, "held", False):
            yield
            return
        self._mine.held = False
        self._pass_on()
        try:
            yield
        finally:
            with self._lock:
                self._free -= 1
            self._mine.held = True

    def give_way(self, seconds: float = WAY) -> None:
        """Let those who wait go first, for at most so many seconds. A thread without a turn gives nothing."""
        if getattr(self._mine, "held", False) and self._waiting:
            self._pass_on()
            self._take(seconds)

    def _take(self, patience: float, waiting: Waiting = _say_nothing, most: int | None = None) -> None:
        with self._lock:
            if self._free > 0:
                self._free -= 1
                return
            if most is not None and len(self._waiting) >= most:
                raise BusyError(f"The queue is full: {len(self._waiting):,} wait for an answer here.")
            called = Event()
            self._waiting.append(called)
        until = time.monotonic() + patience
        try:
            while not called.wait(max(0.0, min(SECOND, until - time.monotonic()))) and time.monotonic() < until:
                waiting(self._before(called))
        except BaseException:
            self._leave(called)
            raise
        with self._lock:
            if not called.is_set():  # it goes on without a place, which is given back all the same
                self._waiting.remove(called)
                self._free -= 1

    def _before(self, called: Event) -> int:
        """How many come first."""
        with self._lock:
            return self._waiting.index(called) if called in self._waiting else 0

    def _leave(self, called: Event) -> None:
        """Wait no longer; a turn that was just given goes to the next one."""
        with self._lock:
            if called in self._waiting:
                self._waiting.remove(called)
                return
        self._pass_on()

    def _pass_on(self) -> None:
        with self._lock:
            self._free += 1
            if self._free > 0 and self._waiting:
                self._free -= 1
                self._waiting.popleft().set()


TURNS = Turns(max(2, os.cpu_count() or 2), most=in_force().queue)
