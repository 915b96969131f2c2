"""A bounded cache that makes each thing once, however many threads ask for it at the same moment."""

from collections import OrderedDict
from collections.abc import Callable, Hashable
from threading import Lock
from typing import Generic, TypeVar

from gptloss.serving.turns import TURNS

T = TypeVar("T")


class _Slot:
    def __init__(self) -> None:
        self.lock, self.values = Lock(), list[object]()


class MakeOnceCache(Generic[T]):
    """Keeps at most `most` things by key. The least recently used one goes first.

    It goes when the new thing is made, so a thing that cannot be made costs nothing. With `room_first` it goes before
    that, for things of which one too many may not fit into memory. A thread that still works with a thing keeps it
    until it is done.
    """

    def __init__(self, most: int, room_first: bool = False) -> None:
        self._most, self._room_first, self._lock = most, room_first, Lock()
        self._slots: OrderedDict[Hashable, _Slot] = OrderedDict()

    def __contains__(self, key: Hashable) -> bool:
        with self._lock:
            return key in self._slots and bool(self._slots[key].values)

    def peek(self, key: Hashable) -> T | None:
        """The thing of this key, if it is there."""
        with self._lock:
            slot = self._slots.get(key)
            return slot.values[0] if slot and slot.values else None  # type: ignore[return-value]

    def get(self, key: Hashable, make: Callable[[], T]) -> T:
        """The thing of this key; `make()` makes it if it is not there.

        An error of `make` reaches the caller, and the next caller tries again.
        """
        with self._lock:
            slot = self._slots.setdefault(key, _Slot())
            self._slots.move_to_end(key)
            if self._room_first:
                self._keep(list(self._slots))
        if not slot.lock.acquire(blocking=False):
            with TURNS.away():  # others who want the same thing wait here, and only they
                slot.lock.acquire()
        try:
            if not slot.values:
                self._fill(key, slot, make)
            return slot.values[0]  # type: ignore[return-value]
        finally:
            slot.lock.release()

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
        """Drop all but the last of these keys, which come in the order of their last use."""
        for key in keys[: -self._most]:
            del self._slots[key]
