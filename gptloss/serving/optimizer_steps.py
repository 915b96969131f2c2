"""Copies of models that visitors take optimiser steps on: a few at a time, and gone when their visitor leaves."""

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field

from gptloss.errors import GptlossError
from gptloss.models import find
from gptloss.serving.models import size_of, with_weights
from gptloss.serving.question import Question
from gptloss.serving.readings import batch_of
from gptloss.training.optimizer_steps import OptimizerStep, OptimizerSteps

# A copy takes up to 3.3 GB in a step: one at a time, unless it is a toy.
MOST_LARGE, MOST_TOYS = 1, 8
# Seconds after its last step when somebody else may have its place.
IDLE = 60.0
# Seconds between two looks at who has left.
LOOK = 2.0


@dataclass(frozen=True)
class Steps:
    """What is stepped on: the rows, the model and the optimiser."""

    question: Question
    optimizer: str


class BusyError(GptlossError):
    """Other visitors have all the copies that there may be."""


@dataclass(eq=False)
class _Copy:
    """A visitor's copy; it is made at the first step."""

    asked: Steps
    used: float
    steps: OptimizerSteps | None = None
    working: threading.Lock = field(default_factory=threading.Lock)


class StepDesk:
    """Hands out the copies; `is_here` says whether a visitor is still connected."""

    def __init__(self) -> None:
        self._copies: dict[str, _Copy] = {}
        self._lock = threading.Lock()
        self._watched = False

    def step(
        self, visitor: str, asked: Steps, learning_rate: float, is_here: Callable[[str], bool]
    ) -> tuple[OptimizerStep, ...]:
        """One more step of this visitor; returns all so far. A first step makes the copy.

        Raises `BusyError` while others have the copies, and `GptlossError` as `OptimizerSteps` does.
        """
        copy = self._copy_of(visitor, asked, is_here)
        with copy.working:
            try:
                copy.steps = copy.steps or _steps(asked)
            except GptlossError:
                self.forget(visitor)  # it holds no place for what cannot be
                raise
            copy.steps.step(learning_rate)
            copy.used = time.monotonic()
            return tuple(copy.steps.steps)

    def forget(self, visitor: str) -> None:
        """Back to the start: the copy goes."""
        with self._lock:
            self._copies.pop(visitor, None)

    def clear(self) -> None:
        """All copies go."""
        with self._lock:
            self._copies.clear()

    def _copy_of(self, visitor: str, asked: Steps, is_here: Callable[[str], bool]) -> _Copy:
        with self._lock:
            copy = self._copies.get(visitor)
            if copy and copy.asked == asked:
                return copy
            self._copies.pop(visitor, None)
            self._sweep(is_here)
            self._make_room(asked)
            made = _Copy(asked, time.monotonic())
            self._copies[visitor] = made
            if not self._watched:
                self._watched = True
                threading.Thread(target=self._watch, args=(is_here,), daemon=True, name="step-desk").start()
            return made

    def _make_room(self, asked: Steps) -> None:
        """Take copies that nobody has used for a while, if room is needed. Raises `BusyError`."""
        toy = _is_toy(asked)
        same = {name: copy for name, copy in self._copies.items() if _is_toy(copy.asked) == toy}
        if len(same) < (MOST_TOYS if toy else MOST_LARGE):
            return
        oldest = min(same, key=lambda name: same[name].used)
        wait = IDLE - (time.monotonic() - same[oldest].used)
        if wait > 0 or same[oldest].working.locked():
            raise BusyError(
                "Another visitor is taking steps, and a copy of the model for each would fill this machine’s memory;"
                f" try again in {max(1, round(wait))} seconds, or choose a small model."
            )
        del self._copies[oldest]

    def _sweep(self, is_here: Callable[[str], bool]) -> None:
        for name in [name for name in self._copies if not is_here(name)]:
            del self._copies[name]

    def _watch(self, is_here: Callable[[str], bool]) -> None:
        """Take the copies of those who have left; ends with the last copy."""
        while True:
            time.sleep(LOOK)
            with self._lock:
                self._sweep(is_here)
                if not self._copies:
                    self._watched = False
                    return


def _is_toy(asked: Steps) -> bool:
    return size_of(find(asked.question.model).info) == "toy"


def _steps(asked: Steps) -> OptimizerSteps:
    """A copy of the loaded model, which learns from the rows as they were scored. Raises `GptlossError`."""
    return OptimizerSteps(with_weights(asked.question.model), batch_of(asked.question), asked.optimizer)


desk = StepDesk()
