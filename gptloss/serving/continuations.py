"""Results that grow bit by bit and are shared by all visitors: continuations of a text, and curves of the loss.

Each is made once, however many look at it, and goes on where it was when somebody asks for more. The caches of keys
and values that this takes are few, and go when their model goes.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from threading import Lock
from weakref import WeakKeyDictionary

import torch

from gptloss.analysis.temperature import TemperatureCurve, Work, curve_parts
from gptloss.models import find
from gptloss.prediction.sampling import SampledToken, Sampler, generate
from gptloss.scoring.rows import Row
from gptloss.serving.make_once import MakeOnceCache
from gptloss.serving.models import LoadedModel, loaded
from gptloss.serving.question import Question
from gptloss.serving.readings import batch_of

# A continuation takes 300 kB at most: a hundred tokens with the ten likeliest at each.
MOST_CONTINUATIONS = 128
# Of one model. A reader under the lecture's model holds 19 MB at most: its whole context.
MOST_READERS, MOST_CURVES = 8, 64


@dataclass(frozen=True)
class Start:
    """Where a continuation begins, by value: equal starts have the same continuation."""

    model: str
    prompt: tuple[int, ...]
    sampler: Sampler
    seed: int


@dataclass(frozen=True, eq=False)
class _Generation:
    """A continuation under way: the tokens to come, and the random numbers that draw them."""

    tokens: Iterator[SampledToken]
    random: torch.Generator


class Continuation:
    """A continuation, and as many of its tokens as somebody has asked for. `_lock` guards `tokens` and `_state`."""

    def __init__(self, start: Start) -> None:
        self.start = start
        self.tokens: tuple[SampledToken, ...] = ()
        self._lock = Lock()
        self._state = torch.Generator().manual_seed(start.seed).get_state()

    @property
    def ended(self) -> bool:
        """Whether the last token ends the text."""
        return bool(self.tokens) and self.tokens[-1].token.id in find(self.start.model).info.eos_ids

    def has(self, count: int) -> bool:
        """Whether there are so many tokens, or there will be no more."""
        return len(self.tokens) >= count or self.ended

    def grow(self, count: int) -> None:
        """Make one token, if there are not `count` yet and the text has not ended."""
        with self._lock:
            if not self.has(count):
                generation = _made_with(self.start.model).generations.get(self, self._resumed)
                self.tokens += (next(generation.tokens),)
                self._state = generation.random.get_state()

    def _resumed(self) -> _Generation:
        """Go on after the tokens there are: the same ones follow as if it had never stopped."""
        random = torch.Generator()
        random.set_state(self._state)
        ids = [*self.start.prompt, *(made.token.id for made in self.tokens)]
        model = loaded(self.start.model).model
        return _Generation(generate(model, ids, self.start.sampler, seed=random), random)


class Curve:
    """The loss of a question against the temperature: `done` tokens of it, or `finished`, all of it.

    `_lock` guards all of it.
    """

    def __init__(self, question: Question) -> None:
        self.done = 0
        self.finished: TemperatureCurve | None = None
        self._lock = Lock()
        self._question = question
        self._parts: Work[TemperatureCurve] | None = None

    def grow(self) -> None:
        """Work out one part more."""
        with self._lock:
            if self.finished is None:
                self._parts = self._parts or curve_parts(batch_of(self._question))
                try:
                    self.done = max(self.done, next(self._parts))
                except StopIteration as end:
                    self.finished, self._parts = end.value, None


@dataclass(frozen=True, eq=False)
class _MadeWith:
    """Everything that holds one model in memory, and so has to go with it."""

    generations: MakeOnceCache[_Generation] = field(default_factory=lambda: MakeOnceCache(MOST_READERS))
    curves: MakeOnceCache[Curve] = field(default_factory=lambda: MakeOnceCache(MOST_CURVES))


_continuations = MakeOnceCache[Continuation](MOST_CONTINUATIONS)
_by_model: WeakKeyDictionary[LoadedModel, _MadeWith] = WeakKeyDictionary()
_lock = Lock()


def continuation(start: Start) -> Continuation:
    """The continuation that begins there; the same for all who ask."""
    return _continuations.get(start, lambda: Continuation(start))


def curve(question: Question) -> Curve:
    """The curve of a question; the same for all who ask."""
    return _made_with(question.model).curves.get(question, lambda: Curve(question))


def prompt_of(row: Row) -> tuple[int, ...]:
    """The ids that a continuation of this row reads: all of it, with its last target."""
    return tuple(token.id for token in (*row.before, *row.inputs, *row.targets[-1:]))


def _made_with(model: str) -> _MadeWith:
    owner = loaded(model)
    with _lock:
        return _by_model.setdefault(owner, _MadeWith())
