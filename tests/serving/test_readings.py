"""What visitors share: loaded once for all, two large models at most, and really released."""

import gc
import threading
import time
import weakref
from contextlib import suppress
from types import SimpleNamespace

import pytest
import torch

from gptloss import GptlossError
from gptloss.models import REGISTRY, LanguageModel, ModelInfo
from gptloss.models.architectures.gpt2 import GPT2, GPTConfig, untrained
from gptloss.scoring.score import OnScored
from gptloss.serving import models, readings
from gptloss.serving.make_once import MakeOnceCache
from gptloss.serving.question import Question

SMALL = GPTConfig(context_length=16, emb_dim=8, n_heads=1, n_layers=1)


def info(name: str) -> ModelInfo:
    return ModelInfo(name, name, "", 50257, 16, models.LARGE // 4)


@pytest.fixture
def loads(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Every name is a large model, slow to load; which were loaded, in order. One called "bad" cannot be."""
    loaded: list[str] = []

    def load(name: str) -> LanguageModel:
        time.sleep(0.2)
        if name == "bad":
            raise GptlossError("no")
        loaded.append(name)
        return GPT2(info(name), untrained(SMALL))

    monkeypatch.setattr(models, "load_model", load)
    for module in (models, readings):
        monkeypatch.setattr(module, "find", lambda name: SimpleNamespace(info=info(name)))
    models.unload_all()
    for shelf in ("_readings", "_long"):
        monkeypatch.setattr(readings, shelf, MakeOnceCache(8))
    return loaded


def read(name: str) -> readings.Reading:
    return readings.reading(Question(name, ("every effort moves you",), None))


def test_two_visitors_at_once_cause_one_load(loads: list[str]) -> None:
    threads = [threading.Thread(target=read, args=("one",)) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert loads == ["one"]


def test_the_third_model_releases_the_one_not_used_for_longest(loads: list[str]) -> None:
    for name in ("one", "two", "one", "three", "one", "two"):
        models.loaded(name)
    assert loads == ["one", "two", "three", "two"]


def test_the_same_rows_are_read_once_and_outlive_their_model(loads: list[str]) -> None:
    first = read("one")
    read("two")
    read("three")
    assert not models.in_memory("one")
    assert read("one") is first
    assert loads == ["one", "two", "three"]


def test_what_was_scored_holds_no_weights_and_gets_them_back(loads: list[str]) -> None:
    batch = read("one").batch
    assert batch is not None
    line = batch.logits_at(1, 1)
    weights = weakref.ref(models.loaded("one").model.network.tok_emb.weight)  # type: ignore[attr-defined]
    models.loaded("two")
    assert weights() is not None
    models.loaded("three")
    gc.collect()
    assert weights() is None
    torch.testing.assert_close(batch.model.head(batch.hidden[:1])[0], line)
    assert loads == ["one", "two", "three", "one"]


def test_two_large_models_are_in_memory_while_a_third_is_loaded(
    loads: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    alive: list[int] = []
    in_memory = weakref.WeakSet[object]()
    load = models.load_model

    def counting(name: str) -> LanguageModel:
        gc.collect()
        alive.append(len(in_memory))
        model = load(name)
        in_memory.add(model.network.tok_emb.weight)  # type: ignore[attr-defined]
        return model

    monkeypatch.setattr(models, "load_model", counting)
    for name in ("one", "two", "three", "four", "one"):
        read(name).batch.logits_at(1, 1)  # type: ignore[union-attr]
    assert alive == [0, 1, 1, 1]
    assert models.fit(["one", "two"])
    assert not models.fit(["one", "two", "three"])


def test_of_large_models_a_failed_load_costs_one(loads: list[str]) -> None:
    """Room is made before: three at once may not fit, and to load one again only takes time."""
    for name in ("one", "two", "bad", "two", "one", "two"):
        try:
            models.loaded(name)
        except GptlossError:
            assert not models.in_memory("bad")
    assert loads == ["one", "two", "one"]


@pytest.mark.parametrize("room_first", [False, True])
def test_what_cannot_be_made_takes_no_place(room_first: bool) -> None:
    cache = MakeOnceCache[str](2, room_first)
    made: list[str] = []

    def make(name: str) -> str:
        if name == "bad":
            raise InterruptedError
        made.append(name)
        return name

    for name in ("one", "two", "bad", "two", "one", "two", "three", "two"):
        with suppress(InterruptedError):
            cache.get(name, lambda name=name: make(name))  # type: ignore[misc]
    assert made == ["one", "two", *(["one"] if room_first else []), "three"]
    assert [name in cache for name in ("one", "two", "three", "bad")] == [False, True, True, False]


@pytest.mark.parametrize(
    ("parameters", "size"), [(400_000_000, "large"), (249_000_000, "small"), (65_536, "toy"), (0, "toy")]
)
def test_a_model_is_large_by_its_memory(parameters: int, size: str) -> None:
    """On the disk a weight may have 16 bits, or 4; in memory it has 32."""
    stored = ModelInfo("some", "some", "", 50257, 16, parameters, size=2 * parameters)
    assert models.size_of(stored) == size


def test_the_large_models_of_the_registry() -> None:
    sizes = {name: models.size_of(entry.info) for name, entry in REGISTRY.items()}
    assert [name for name, size in sizes.items() if size == "large"] == ["gpt2-medium", "gpt2-large", "gpt2-xl"]
    assert [name for name, size in sizes.items() if size == "toy"] == ["uniform", "bigram"]


def test_what_fails_is_tried_again() -> None:
    cache = MakeOnceCache[int](1)

    def fail() -> int:
        raise GptlossError("no")

    with pytest.raises(GptlossError, match="no"):
        cache.get("one", fail)
    assert cache.get("one", lambda: 1) == 1
    assert cache.get("one", lambda: 2) == 1


def long_read(text: str, report: OnScored = lambda *_: None) -> readings.Reading:
    return readings.long_reading(Question("one", (text,), None), report)


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
    monkeypatch.setattr(readings, "MOST_TOKENS", 20)
    reading = long_read(" tea" * 31)
    assert reading.batch is None
    assert str(reading.errors[1]) == "Row 1 has 30 tokens to score and a page shows at most 20."
    assert reading.errors[1].limit == 20  # type: ignore[attr-defined]
