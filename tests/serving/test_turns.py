"""Turns: so many at once, the others in the order they came, nobody for ever."""

from concurrent.futures import ThreadPoolExecutor
from threading import Barrier, Event, Lock, Thread

import pytest

from gptloss.serving.turns import Turns


class Busy:
    """Counts how many are at work, and the most there were."""

    def __init__(self) -> None:
        self.now, self.most, self.order, self._lock = 0, 0, list[int](), Lock()

    def begin(self, name: int) -> None:
        with self._lock:
            self.now += 1
            self.most = max(self.most, self.now)
            self.order.append(name)

    def end(self) -> None:
        with self._lock:
            self.now -= 1


@pytest.mark.parametrize("places", [1, 2, 3])
def test_no_more_than_the_places_work_at_once_and_all_are_used(places: int) -> None:
    turns, busy, together = Turns(places), Busy(), Barrier(places)

    def work(name: int) -> None:
        with turns.turn():
            busy.begin(name)
            together.wait(30)  # passes only if all places are taken at the same time
            busy.end()

    with ThreadPoolExecutor(4 * places) as threads:
        list(threads.map(work, range(4 * places)))
    assert busy.most == places
    assert len(busy.order) == 4 * places


def waits(turns: Turns, count: int) -> None:
    """Until so many threads wait."""
    for _ in range(3000):
        if len(turns._waiting) == count:
            return
        Event().wait(0.01)
    raise AssertionError(f"{len(turns._waiting)} wait, not {count}")


def test_those_who_wait_are_served_in_their_order() -> None:
    turns, busy = Turns(1), Busy()

    def work(name: int) -> None:
        with turns.turn():
            busy.begin(name)

    threads = [Thread(target=work, args=(name,)) for name in range(5)]
    with turns.turn():
        for count, thread in enumerate(threads, 1):
            thread.start()
            waits(turns, count)
    for thread in threads:
        thread.join(30)
    assert busy.order == [0, 1, 2, 3, 4]


def test_one_thread_may_take_its_turn_twice() -> None:
    turns = Turns(1)
    with turns.turn():
        with turns.turn():
            assert turns._free == 0
        assert turns._free == 0  # the inner end gives nothing away
    assert turns._free == 1


def test_an_error_gives_the_turn_back() -> None:
    turns = Turns(1)
    with pytest.raises(ValueError, match="no"), turns.turn():
        raise ValueError("no")
    with turns.turn():
        pass
    assert turns._free == 1


def test_who_computes_for_long_lets_others_go_first() -> None:
    turns, busy = Turns(1), Busy()

    def short() -> None:
        with turns.turn():
            busy.begin(2)

    with turns.turn():
        busy.begin(1)
        thread = Thread(target=short)
        thread.start()
        waits(turns, 1)
        turns.give_way(30)
        busy.begin(1)
    thread.join(30)
    assert busy.order == [1, 2, 1]
    turns.give_way()  # without a turn there is nothing to give
    assert turns._free == 1


def test_nobody_waits_for_ever_and_the_places_come_back() -> None:
    turns, done = Turns(1, patience=0.01), Event()

    def impatient() -> None:
        with turns.turn():
            done.set()

    with turns.turn():
        thread = Thread(target=impatient)
        thread.start()
        assert done.wait(30)  # while the only turn is held
        thread.join(30)
        assert turns._free == 0
    assert turns._free == 1
    assert not turns._waiting
