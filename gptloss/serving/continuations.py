"""What grows token by token or piece by piece and is shared by all visitors: continuations, and curves of the loss.

A visitor holds nothing of it. Each is made once, however many look at it, and goes on where it was when somebody
asks for more; the caches of keys and values that this takes are few, and go when their model goes.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from threading import Lock
from weakref import WeakKeyDictionary

import torch

from gptloss.analysis.temperature import TemperatureCurve, Work, curve_parts
from gptloss.prediction.sampling import Sampler, Step, generate
from gptloss.scoring.rows import Row
from gptloss.serving.readings import Held, Shelf, held
from views.shared.scored_text import batch_of
from views.visit.settings import Asked

# 300 kB each at most: a hundred tokens with the ten likeliest at each.
MOST_PATHS = 128
# Of one model. A reader under the lecture's model holds 19 MB at most: its whole context.
MOST_READERS, MOST_CURVES = 8, 64


@dataclass(frozen=True)
class Start:
    """Where a continuation begins, by value: equal ones are the same path."""

    model: str
    prompt: tuple[int, ...]
    sampler: Sampler
    seed: int


@dataclass(frozen=True, eq=False)
class _Reader:
    """A continuation under way: the tokens to come, and the generator that draws them."""

    steps: Iterator[Step]
    generator: torch.Generator


class Path:
    """A continuation and as many of its tokens as somebody has asked for."""

    def __init__(self, start: Start) -> None:
        self.start = start
        self.steps: tuple[Step, ...] = ()
        self._lock = Lock()
        self._state = torch.Generator().manual_seed(start.seed).get_state()

    def grow(self, count: int) -> None:
        """Make one token, if there are not `count` yet."""
        with self._lock:
            if len(self.steps) < count:
                reader = _kept(self.start.model).readers.get(self, self._resumed)
                self.steps += (next(reader.steps),)
                self._state = reader.generator.get_state()

    def _resumed(self) -> _Reader:
        """Go on after the steps there are: the same tokens as if it had never stopped."""
        generator = torch.Generator()
        generator.set_state(self._state)
        ids = [*self.start.prompt, *(step.token.id for step in self.steps)]
        model = held(self.start.model).model
        return _Reader(generate(model, ids, self.start.sampler, seed=generator), generator)


class Curve:
    """The loss of what was asked against the temperature, as far as it is worked out: `done` tokens, or all of it."""

    def __init__(self, asked: Asked) -> None:
        self.done = 0
        self.finished: TemperatureCurve | None = None
        self._lock = Lock()
        self._asked = asked
        self._parts: Work[TemperatureCurve] | None = None

    def grow(self) -> None:
        """Work out one part more."""
        with self._lock:
            if self.finished is None:
                self._parts = self._parts or curve_parts(batch_of(self._asked))
                try:
                    self.done = max(self.done, next(self._parts))
                except StopIteration as end:
                    self.finished, self._parts = end.value, None


@dataclass(frozen=True, eq=False)
class _Kept:
    """What holds a model in memory, so it goes with the model."""

    readers: Shelf[_Reader] = field(default_factory=lambda: Shelf(MOST_READERS))
    curves: Shelf[Curve] = field(default_factory=lambda: Shelf(MOST_CURVES))


_paths = Shelf[Path](MOST_PATHS)
_with_model: WeakKeyDictionary[Held, _Kept] = WeakKeyDictionary()
_lock = Lock()


def path(start: Start) -> Path:
    """The path that begins there; the same for all who ask."""
    return _paths.get(start, lambda: Path(start))


def curve(asked: Asked) -> Curve:
    """The curve of what was asked; the same for all who ask."""
    return _kept(asked[0]).curves.get(asked, lambda: Curve(asked))


def prompt_of(row: Row) -> tuple[int, ...]:
    """The ids that a continuation of this row reads: all of it, with its last target."""
    return tuple(token.id for token in (*row.before, *row.inputs, *row.targets[-1:]))


def _kept(model: str) -> _Kept:
    owner = held(model)
    with _lock:
        return _with_model.setdefault(owner, _Kept())
