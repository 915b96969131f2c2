"""What all visitors share, bounded: models, and the rows they have scored."""

from collections import OrderedDict
from collections.abc import Callable, Hashable
from dataclasses import dataclass, field
from threading import Lock
from typing import Generic, TypeVar

import torch

from gptloss.errors import GptlossError, TooLongError
from gptloss.models import LanguageModel, ModelInfo, find, load_model
from gptloss.rows import Row, read_row
from gptloss.scoring import Scored, ScoredBatch, score_rows
from views.settings import Asked

# Many visitors are served faster by one thread each than by all threads in turn.
torch.set_num_threads(1)

# From this many bytes of weights on a model is large: two fit beside each other, of the others four.
LARGE = 1_000_000_000
MOST_LARGE, MOST_SMALL, MOST_TOYS = 2, 4, 8
MOST_READINGS = 32  # a model; 6 MB each at most: 8 rows of a full context
# Of a text that is read by windows: 33 MB under GPT-2.
MOST_TOKENS, MOST_LONG = 10_000, 4

T = TypeVar("T")


class _Slot:
    def __init__(self) -> None:
        self.lock, self.values = Lock(), list[object]()


class Shelf(Generic[T]):
    """At most `most` things by key, each made once even if many ask at the same time; the least recently used goes.

    What goes is let go before the next thing is made. Whoever still works with it keeps it until they are done.
    """

    def __init__(self, most: int) -> None:
        self._most, self._lock = most, Lock()
        self._slots: OrderedDict[Hashable, _Slot] = OrderedDict()

    def get(self, key: Hashable, make: Callable[[], T]) -> T:
        """The thing; `make()` if it is not there. What `make` raises is raised, and tried again next time."""
        with self._lock:
            slot = self._slots.setdefault(key, _Slot())
            self._slots.move_to_end(key)
            while len(self._slots) > self._most:
                self._slots.popitem(last=False)
        with slot.lock:
            if not slot.values:
                slot.values.append(make())
            return slot.values[0]  # type: ignore[return-value]


@dataclass(frozen=True)
class Reading:
    """The visitor's rows: those that can be scored, scored, and what is wrong with each of the others."""

    batch: ScoredBatch | None
    errors: dict[int, GptlossError]


@dataclass(frozen=True, eq=False)
class Held:
    """A loaded model with what it has read: they go together."""

    model: LanguageModel
    readings: Shelf[Reading] = field(default_factory=lambda: Shelf(MOST_READINGS))
    long: Shelf[Reading] = field(default_factory=lambda: Shelf(MOST_LONG))


_large, _small, _toys = Shelf[Held](MOST_LARGE), Shelf[Held](MOST_SMALL), Shelf[Held](MOST_TOYS)


def reading(
    model_name: str,
    inputs: tuple[str, ...],
    targets: tuple[str, ...] | None,
    bos: bool = False,
    report: Scored = lambda done, total: None,
) -> Reading:
    """The rows read and scored; the same rows once for all visitors.

    `bos` counts only for a model that has a start token. `report` hears how many tokens are done, if this call is
    the one that scores them; what it raises stops the scoring, and nothing is kept. Raises `GptlossError` if the
    model cannot be loaded.
    """
    kept = held(model_name)
    bos = bos and kept.model.info.bos_id is not None
    return kept.readings.get((inputs, targets, bos), lambda: _read(kept.model, inputs, targets, bos, None, report))


def long_reading(asked: Asked, report: Scored = lambda done, total: None) -> Reading:
    """The same, but rows longer than the model's context are read too, by windows that move on by half of it."""
    model_name, inputs, targets, bos = asked
    short = reading(*asked, report)
    if not any(isinstance(error, TooLongError) for error in short.errors.values()):
        return short
    kept = held(model_name)
    bos = bos and kept.model.info.bos_id is not None
    stride = stride_of(kept.model.info)
    return kept.long.get((inputs, targets, bos), lambda: _read(kept.model, inputs, targets, bos, stride, report))


def stride_of(info: ModelInfo) -> int:
    """How far windows move on in a text longer than the context: by half of it, so that half stands before."""
    return max(1, info.context_length // 2)


def held(name: str) -> Held:
    """The loaded model with what it has read; the same for all visitors."""
    return _shelf(find(name).info).get(name, lambda: Held(load_model(name)))


def _shelf(info: ModelInfo) -> Shelf[Held]:
    if info.size >= LARGE:
        return _large
    return _small if info.size else _toys


def _read(
    model: LanguageModel,
    inputs: tuple[str, ...],
    targets: tuple[str, ...] | None,
    bos: bool,
    stride: int | None = None,
    report: Scored = lambda done, total: None,
) -> Reading:
    rows: list[Row] = []
    errors: dict[int, GptlossError] = {}
    for number, given in enumerate(inputs, 1):
        target = None if targets is None else targets[number - 1]
        try:
            row = read_row(model, number, given, target, bos, slide=stride is not None)
            _check_length(row)
            rows.append(row)
        except GptlossError as error:
            errors[number] = error.with_traceback(None)
    return Reading(score_rows(model, rows, stride, report) if rows else None, errors)


def _check_length(row: Row) -> None:
    if len(row.targets) > MOST_TOKENS:
        raise TooLongError(
            f"Row {row.number} has {len(row.targets):,} tokens to score and a page shows at most {MOST_TOKENS:,}.",
            MOST_TOKENS,
        )
