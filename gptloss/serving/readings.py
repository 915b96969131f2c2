"""What all visitors share, bounded: models, and the rows they have scored."""

from collections import OrderedDict
from collections.abc import Callable, Hashable, Iterable
from dataclasses import dataclass, replace
from threading import Lock
from typing import Generic, TypeVar

import torch
from jaxtyping import Float, Int
from torch import Tensor

from gptloss.errors import GptlossError, TooLongError
from gptloss.models import LanguageModel, ModelInfo, find, load_model
from gptloss.models.base import Reader
from gptloss.scoring.rows import Row, read_row
from gptloss.scoring.score import Scored, ScoredBatch, score_rows
from gptloss.tokens import Tokenizer
from views.visit.settings import Asked

# Many visitors are served faster by one thread each than by all threads in turn.
torch.set_num_threads(1)

# From this many bytes of weights in memory on (float32) a model is large: two fit beside each other, of the others
# four, and eight of those below a hundredth of that.
LARGE, TOY = 1_000_000_000, 10_000_000
MOST_LARGE, MOST_SMALL, MOST_TOYS = 2, 4, 8
MOST_READINGS = 64  # 6 MB each at most under the lecture's model: 8 rows of a full context
# Of a text that is read by windows: 33 MB under GPT-2.
MOST_TOKENS, MOST_LONG = 10_000, 8

T = TypeVar("T")


class _Slot:
    def __init__(self) -> None:
        self.lock, self.values = Lock(), list[object]()


class Shelf(Generic[T]):
    """At most `most` things by key, each made once even if many ask at the same time; the least recently used goes.

    It goes when the new thing is made, so what cannot be made costs nothing; with `room_first` it goes before, for
    things of which one too many may not fit. Whoever still works with it keeps it until they are done.
    """

    def __init__(self, most: int, room_first: bool = False) -> None:
        self._most, self._room_first, self._lock = most, room_first, Lock()
        self._slots: OrderedDict[Hashable, _Slot] = OrderedDict()

    def __contains__(self, key: Hashable) -> bool:
        with self._lock:
            return key in self._slots and bool(self._slots[key].values)

    def get(self, key: Hashable, make: Callable[[], T]) -> T:
        """The thing; `make()` if it is not there. What `make` raises is raised, and tried again next time."""
        with self._lock:
            slot = self._slots.setdefault(key, _Slot())
            self._slots.move_to_end(key)
            if self._room_first:
                self._keep(list(self._slots))
        with slot.lock:
            if not slot.values:
                self._fill(key, slot, make)
            return slot.values[0]  # type: ignore[return-value]

    def _fill(self, key: Hashable, slot: _Slot, make: Callable[[], T]) -> None:
        try:
            slot.values.append(make())
        finally:
            with self._lock:
                if slot.values:
                    self._slots.setdefault(key, slot)
                    self._keep([key for key, slot in self._slots.items() if slot.values])
                elif self._slots.get(key) is slot:
                    del self._slots[key]

    def _keep(self, keys: list[Hashable]) -> None:
        """Of these keys, least recently used first, only the last ones."""
        for key in keys[: -self._most]:
            del self._slots[key]


@dataclass(frozen=True)
class Reading:
    """The visitor's rows: those that can be scored, scored, and what is wrong with each of the others."""

    batch: ScoredBatch | None
    errors: dict[int, GptlossError]


@dataclass(frozen=True, eq=False)
class Held:
    """A loaded model. What is made with it and holds it is kept under this, so that it goes when the model goes."""

    model: LanguageModel


@dataclass(frozen=True, eq=False)
class Lent:
    """A model in all but its weights, which are had from the shelf when they are needed.

    What was scored names it as its model, so nothing that is kept or shown holds weights in memory.
    """

    info: ModelInfo
    tokenizer: Tokenizer

    def hidden(self, ids: Int[Tensor, "b t"]) -> Float[Tensor, "b t d"]:
        return _hold(self.info).model.hidden(ids)

    def head(self, hidden: Float[Tensor, "n d"]) -> Float[Tensor, "n v"]:
        return _hold(self.info).model.head(hidden)

    def reader(self) -> Reader:
        return _hold(self.info).model.reader()


_large, _small, _toys = Shelf[Held](MOST_LARGE, room_first=True), Shelf[Held](MOST_SMALL), Shelf[Held](MOST_TOYS)
_readings, _long = Shelf[Reading](MOST_READINGS), Shelf[Reading](MOST_LONG)


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
    key = _key(model_name, inputs, targets, bos)
    return _readings.get(key, lambda: _read(*key, None, report))


def long_reading(asked: Asked, report: Scored = lambda done, total: None) -> Reading:
    """The same, but rows longer than the model's context are read too, by windows that move on by half of it."""
    short = reading(*asked, report)
    if not any(isinstance(error, TooLongError) for error in short.errors.values()):
        return short
    key = _key(*asked)
    return _long.get(key, lambda: _read(*key, stride_of(key[0]), report))


def stride_of(info: ModelInfo) -> int:
    """How far windows move on in a text longer than the context: by half of it, so that half stands before."""
    return max(1, info.context_length // 2)


def held(name: str) -> Held:
    """The loaded model; the same for all visitors. Raises `GptlossError` if it cannot be loaded."""
    return _hold(find(name).info)


def in_memory(name: str) -> bool:
    """Whether the model is loaded."""
    info = find(name).info
    return info in _shelf(info)


def fit(names: Iterable[str]) -> bool:
    """Whether these models can be in memory together."""
    return sum(_shelf(find(name).info) is _large for name in names) <= MOST_LARGE


def _hold(info: ModelInfo) -> Held:
    return _shelf(info).get(info, lambda: Held(load_model(info.name)))


def _shelf(info: ModelInfo) -> Shelf[Held]:
    memory = 4 * info.parameters
    if memory >= LARGE:
        return _large
    return _small if memory >= TOY else _toys


def _key(
    model_name: str, inputs: tuple[str, ...], targets: tuple[str, ...] | None, bos: bool
) -> tuple[ModelInfo, tuple[str, ...], tuple[str, ...] | None, bool]:
    info = find(model_name).info
    return info, inputs, targets, bos and info.bos_id is not None


def _read(
    info: ModelInfo,
    inputs: tuple[str, ...],
    targets: tuple[str, ...] | None,
    bos: bool,
    stride: int | None = None,
    report: Scored = lambda done, total: None,
) -> Reading:
    model = _hold(info).model
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
    batch = score_rows(model, rows, stride, report) if rows else None
    return Reading(replace(batch, model=Lent(info, model.tokenizer)) if batch else None, errors)


def _check_length(row: Row) -> None:
    if len(row.targets) > MOST_TOKENS:
        raise TooLongError(
            f"Row {row.number} has {len(row.targets):,} tokens to score and a page shows at most {MOST_TOKENS:,}.",
            MOST_TOKENS,
        )
