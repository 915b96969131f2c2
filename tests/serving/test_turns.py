"""Turns: so many at once, the others in the order they came, nobody for ever."""

from concurrent.futures import ThreadPoolExecutor
from threading import Barrier, Event, Lock, Thread

import pytest

from gptloss.serving.turns import QueueFullError, Turns


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


def test_who_waits_hears_how_many_come_first() -> None:
    turns, heard = Turns(1), list[int]()
    third = Event()

    def wait_and_hear() -> None:
        def waiting(before: int) -> None:
            heard.append(before)
            third.set()

        with turns.turn(waiting):
            pass

    threads = [Thread(target=lambda: turns.turn().__enter__() and None), Thread(target=wait_and_hear)]
    with turns.turn():
        for count, thread in enumerate(threads, 1):
            thread.start()
            waits(turns, count)
        assert third.wait(30)
    turns._count(free=1)  # the first of the two never ends its turn
    for thread in threads:
        thread.join(30)
    assert heard[0] == 1


def test_too_many_are_refused_with_their_number() -> None:
    turns = Turns(1, most=1)

    def take() -> None:
        with turns.turn():
            pass

    with turns.turn():
        thread = Thread(target=take)
        thread.start()
        waits(turns, 1)
        with ThreadPoolExecutor(1) as other, pytest.raises(QueueFullError, match="The queue is full: 1 wait"):
            other.submit(take).result(30)
    thread.join(30)
    assert (turns._free, len(turns._waiting)) == (1, 0)


def test_who_leaves_while_waiting_gives_up_the_place() -> None:
    turns = Turns(1)

    def leave(before: int) -> None:
        raise ConnectionError

    def take() -> None:
        with turns.turn(leave):
            raise AssertionError("it never had a turn")

    with turns.turn(), ThreadPoolExecutor(1) as other, pytest.raises(ConnectionError):
        other.submit(take).result(30)
    assert (turns._free, len(turns._waiting)) == (1, 0)


def test_who_is_away_leaves_the_turn_to_others_and_goes_on_at_once() -> None:
    turns, came_back, used = Turns(1), Event(), Event()

    def use() -> None:
        with turns.turn():
            used.set()
            assert came_back.wait(30)  # the first goes on while this one has the turn

    with turns.turn():
        with turns.away():
            thread = Thread(target=use)
            thread.start()
            assert used.wait(30)
        came_back.set()
    thread.join(30)
    assert turns._free == 1
    with turns.away():  # without a turn there is nothing to leave
        assert turns._free == 1


def test_few_are_away_at_once_and_their_helpers_come_first() -> None:
    turns, order, lock = Turns(1, most_away=1), list[str](), Lock()

    def work(name: str, first: bool = False) -> None:
        with turns.turn(first=first), lock:
            order.append(name)

    threads = [Thread(target=work, args=("later",)), Thread(target=work, args=("helper", True))]
    with turns.turn():
        with turns.away():
            threads[0].start()
            waits(turns, 1)  # there is a place, but one is away already
            threads[1].start()
            threads[1].join(30)
        with lock:
            assert order == ["helper"]
    threads[0].join(30)
    assert order == ["helper", "later"]
    assert turns._free == 1
