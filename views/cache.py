"""What all visitors share, bounded: models, and the rows they have scored."""

from collections import OrderedDict
from collections.abc import Callable, Hashable
from dataclasses import dataclass, field
from threading import Lock
from typing import Generic, TypeVar

import torch

from gptloss.errors import GptlossError
from gptloss.models import LanguageModel, ModelInfo, find, load_model
from gptloss.scoring import Row, ScoredBatch, read_row, score_rows

# Many visitors are served faster by one thread each than by all threads in turn.
torch.set_num_threads(1)

# From this many bytes of weights on a model is large: two fit beside each other, of the others four.
LARGE = 1_000_000_000
MOST_LARGE, MOST_SMALL, MOST_TOYS = 2, 4, 8
MOST_READINGS = 32  # a model; 6 MB each at most: 8 rows of a full context

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


_large, _small, _toys = Shelf[Held](MOST_LARGE), Shelf[Held](MOST_SMALL), Shelf[Held](MOST_TOYS)


def reading(model_name: str, inputs: tuple[str, ...], targets: tuple[str, ...] | None, bos: bool = False) -> Reading:
    """The rows read and scored; the same rows once for all visitors.

    `bos` counts only for a model that has a start token. Raises `GptlossError` if the model cannot be loaded.
    """
    held = _shelf(find(model_name).info).get(model_name, lambda: Held(load_model(model_name)))
    bos = bos and held.model.info.bos_id is not None
    return held.readings.get((inputs, targets, bos), lambda: _read(held.model, inputs, targets, bos))


def _shelf(info: ModelInfo) -> Shelf[Held]:
    if info.size >= LARGE:
        return _large
    return _small if info.size else _toys


def _read(model: LanguageModel, inputs: tuple[str, ...], targets: tuple[str, ...] | None, bos: bool) -> Reading:
    rows: list[Row] = []
    errors: dict[int, GptlossError] = {}
    for number, given in enumerate(inputs, 1):
        target = None if targets is None else targets[number - 1]
        try:
            rows.append(read_row(model, number, given, target, bos))
        except GptlossError as error:
            errors[number] = error.with_traceback(None)
    return Reading(score_rows(model, rows) if rows else None, errors)
