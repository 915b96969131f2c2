"""Models are shared: loaded once for all visitors, two large ones at most, and really released."""

import gc
import threading
import time
import weakref
from collections.abc import Iterator
from types import SimpleNamespace

import pytest

from gptloss.models import LanguageModel, ModelInfo
from gptloss.models.gpt2 import GPT2, GPTConfig, untrained
from views import cache

SMALL = GPTConfig(context_length=16, emb_dim=8, n_heads=1, n_layers=1)


@pytest.fixture
def loads(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[str]]:
    """Every name is a large model, slow to load; which were loaded, in order."""
    loaded: list[str] = []

    def load(name: str) -> LanguageModel:
        time.sleep(0.2)
        loaded.append(name)
        return GPT2(ModelInfo(name, name, "", 50257, 16, 2_000_000), untrained(SMALL))

    info = SimpleNamespace(info=SimpleNamespace(parameters=2_000_000))
    monkeypatch.setattr(cache, "load_model", load)
    monkeypatch.setattr(cache, "find", lambda name: info)
    cache._large.clear()
    cache._reading.clear()
    yield loaded
    cache._large.clear()
    cache._reading.clear()


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


def test_a_released_model_is_gone_from_memory(loads: list[str]) -> None:
    weights = weakref.ref(cache.model("one").network.tok_emb.weight)  # type: ignore[attr-defined]
    read("one")
    read("two")
    assert weights() is not None
    read("three")
    gc.collect()
    assert weights() is None
