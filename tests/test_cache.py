"""What visitors share: loaded once for all, two large models at most, and really released."""

import gc
import threading
import time
import weakref
from types import SimpleNamespace

import pytest

from gptloss import GptlossError
from gptloss.models import LanguageModel, ModelInfo
from gptloss.models.gpt2 import GPT2, GPTConfig, untrained
from gptloss.scoring import Scored
from views import cache

SMALL = GPTConfig(context_length=16, emb_dim=8, n_heads=1, n_layers=1)


@pytest.fixture
def loads(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Every name is a large model, slow to load; which were loaded, in order."""
    loaded: list[str] = []

    def load(name: str) -> LanguageModel:
        time.sleep(0.2)
        loaded.append(name)
        return GPT2(ModelInfo(name, name, "", 50257, 16, 0), untrained(SMALL))

    info = SimpleNamespace(info=ModelInfo("", "", "", 50257, 16, 0, size=cache.LARGE))
    monkeypatch.setattr(cache, "load_model", load)
    monkeypatch.setattr(cache, "find", lambda name: info)
    monkeypatch.setattr(cache, "_large", cache.Shelf(cache.MOST_LARGE))
    return loaded


def read(name: str) -> cache.Reading:
    return cache.reading(name, ("every effort moves you",), None)


def test_two_visitors_at_once_cause_one_load(loads: list[str]) -> None:
    threads = [threading.Thread(target=read, args=("one",)) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert loads == ["one"]


def test_the_third_model_releases_the_one_not_used_for_longest(loads: list[str]) -> None:
    for name in ("one", "two", "one", "three", "one", "two"):
        read(name)
    assert loads == ["one", "two", "three", "two"]


def test_the_same_rows_are_read_once(loads: list[str]) -> None:
    assert read("one") is read("one")


def test_a_released_model_is_gone_from_memory(loads: list[str]) -> None:
    batch = read("one").batch
    assert batch is not None
    batch.logits_at(1, 1)
    weights = weakref.ref(batch.model.network.tok_emb.weight)  # type: ignore[attr-defined]
    del batch
    read("two")
    assert weights() is not None
    read("three")
    gc.collect()
    assert weights() is None


def test_a_model_released_while_it_reads_is_not_kept(loads: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    go_on, at_work = threading.Event(), threading.Event()
    weights: list[weakref.ref[object]] = []
    work = cache._read

    def slow(model: LanguageModel, *more: object) -> cache.Reading:
        if model.info.name == "one":
            weights.append(weakref.ref(model.network.tok_emb.weight))  # type: ignore[attr-defined]
            at_work.set()
            go_on.wait(10)
        return work(model, *more)  # type: ignore[arg-type]

    monkeypatch.setattr(cache, "_read", slow)
    thread = threading.Thread(target=read, args=("one",))
    thread.start()
    assert at_work.wait(10)
    read("two")
    read("three")
    go_on.set()
    thread.join()
    gc.collect()
    assert weights[0]() is None


def test_what_fails_is_tried_again() -> None:
    shelf = cache.Shelf[int](1)

    def fail() -> int:
        raise GptlossError("no")

    with pytest.raises(GptlossError, match="no"):
        shelf.get("one", fail)
    assert shelf.get("one", lambda: 1) == 1
    assert shelf.get("one", lambda: 2) == 1


def long_read(text: str, report: Scored = lambda *_: None) -> cache.Reading:
    return cache.long_reading(("one", (text,), None, False), report)


def test_what_fits_is_read_once_for_all_pages(loads: list[str]) -> None:
    assert long_read("every effort moves you") is read("one")


def test_a_long_text_is_read_by_windows_once_with_progress(loads: list[str]) -> None:
    said: list[tuple[int, int]] = []
    first = long_read(" tea" * 31, lambda *done: said.append(done))
    assert first.batch is not None
    assert (len(first.batch), first.errors) == (30, {})
    assert said == [(16, 30), (24, 30), (30, 30)]
    assert long_read(" tea" * 31, lambda *done: said.append(done)) is first
    assert len(said) == 3


def test_a_stopped_scoring_leaves_nothing_and_can_be_started_again(loads: list[str]) -> None:
    def stop(*_: int) -> None:
        raise InterruptedError

    with pytest.raises(InterruptedError):
        long_read(" tea" * 31, stop)
    assert long_read(" tea" * 31).batch is not None


def test_more_tokens_than_a_page_shows_are_said(loads: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cache, "MOST_TOKENS", 20)
    reading = long_read(" tea" * 31)
    assert reading.batch is None
    assert str(reading.errors[1]) == "Row 1 has 30 tokens to score and a page shows at most 20."
    assert reading.errors[1].limit == 20  # type: ignore[attr-defined]
