"""A page that has to wait says so; one that finds no room comes again; nothing that was typed is lost."""

import time
from threading import Event, Thread
from typing import Any

import pytest
from streamlit.testing.v1 import AppTest

from gptloss.hosting import Profile
from gptloss.serving import readings
from gptloss.serving.turns import Turns
from tests.helpers.pages import numbers, opened
from views.shared import in_turn, pace
from views.visit import pages

TYPED = "a text of my own"


@pytest.fixture
def full(monkeypatch: pytest.MonkeyPatch) -> Turns:
    """A server that serves one at a time and lets one more wait."""
    turns = Turns(1, patience=60, most=1)
    monkeypatch.setattr(in_turn, "TURNS", turns)
    monkeypatch.setattr(readings, "TURNS", turns)
    return turns


def hold(turns: Turns, until: Event) -> Thread:
    """Somebody who has a turn until then."""
    begun = Event()

    def work() -> None:
        with turns.turn():
            begun.set()
            until.wait(60)

    thread = Thread(target=work)
    thread.start()
    assert begun.wait(30) or turns._waiting
    return thread


@pytest.mark.parametrize("page", [pages.LOSS, pages.SURPRISE], ids=lambda page: page.title)
def test_one_who_waits_is_told_and_then_served(
    page: pages.Page, full: Turns, monkeypatch: pytest.MonkeyPatch
) -> None:
    free, said = Event(), list[str]()
    holder = hold(full, free)
    before = full._before

    def count(called: Any) -> int:
        said.append("asked")
        free.set()
        return before(called)

    toast = in_turn.st.toast
    monkeypatch.setattr(full, "_before", count)
    monkeypatch.setattr(
        in_turn.st, "toast", lambda sentence, icon: said.append(sentence) or toast(sentence, icon=icon)
    )
    app = opened(page, model="bigram", input=TYPED + page.title)
    holder.join(30)
    assert said[:2] == ["asked", "Many visitors at once: your place in the queue is 1. Your text is safe."]
    assert "–" not in numbers(app)


def test_one_who_finds_no_room_keeps_the_text_and_comes_again(full: Turns, monkeypatch: pytest.MonkeyPatch) -> None:
    app = opened(pages.LOSS, model="bigram", input="tea time")
    free = Event()
    holders = [hold(full, free)]
    waiter = Thread(target=lambda: full.turn().__enter__())
    waiter.start()
    for _ in range(3000):
        if full._waiting:
            break
        time.sleep(0.01)
    app.text_input(key="input-0").set_value(TYPED).run()
    assert [card.value for card in app.info] == [
        "The queue is full: 1 wait for an answer here. Your text is safe; this page tries again every 5 seconds."
    ]
    free.set()
    full._count(free=1)  # the waiter's turn never ends
    for thread in (*holders, waiter):
        thread.join(30)
    app.run()
    assert not app.info
    assert app.text_input(key="input-0").value == TYPED
    assert "–" not in numbers(app)


def test_who_changes_faster_than_a_person_waits_and_loses_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    slept: list[float] = []
    monkeypatch.setattr(pace, "in_force", lambda: Profile(rate=3))
    monkeypatch.setattr(pace, "sleep", slept.append)
    app: AppTest = opened(pages.LOSS, model="bigram", input="a b c")
    for n in range(4):
        app.run()
        assert len(slept) == max(0, n - 1)
    assert slept == [pace.PAUSE] * 2
    assert app.toast[0].value.startswith("More than 3 changes in 10 seconds")
    assert "–" not in numbers(app)
