"""The logits of a short text are made once, and are gone with it."""

import gc
from typing import Any

import pytest
import torch
from torch import Tensor

from gptloss import score
from gptloss.models import LanguageModel
from gptloss.scoring import recent
from views.components.ladder_table import ladder_data


class Counting:
    """A model that counts the positions that its head multiplies."""

    def __init__(self, model: LanguageModel) -> None:
        self.info, self.tokenizer, self.reader, self.hidden = model.info, model.tokenizer, model.reader, model.hidden
        self._head, self.positions = model.head, 0

    def head(self, hidden: Tensor) -> Tensor:
        self.positions += len(hidden)
        return self._head(hidden)


def test_all_that_a_page_shows_takes_the_head_once(tiny: LanguageModel) -> None:
    model: Any = Counting(tiny)
    batch = score(model, ["every effort moves", "I really like"], [" effort moves you", " really like chocolate"])
    ladder_data(batch, 0, "nats")
    assert (batch.cross_entropy, batch.cross_entropy_float32) == pytest.approx((batch.loss, batch.loss), abs=1e-4)
    batch.distribution(1, 2)
    assert model.positions == 6


def test_they_are_the_models_own(tiny: LanguageModel) -> None:
    """In the order of the rows, though rows of other lengths go through the model apart."""
    batch = score(tiny, ["a b c d e f g h i", "x y"])
    whole = recent.kept(batch.hidden)
    assert whole is not None
    torch.testing.assert_close(whole, tiny.head(batch.hidden), rtol=0, atol=1e-5)
    k = batch.index(2, 1)
    assert torch.equal(batch.logits_of(range(k, k + 1))[0], batch.logits_at(2, 1))


def test_a_long_text_keeps_none_and_a_few_short_ones_do(tiny: LanguageModel) -> None:
    assert recent.kept(score(tiny, "word " * 60, stride=8).hidden) is None
    batches = [score(tiny, "one two three four five") for _ in range(recent.MOST // 4 + 2)]
    there = [recent.kept(batch.hidden) is not None for batch in batches]
    assert there == [False] * 2 + [True] * (recent.MOST // 4)
    assert torch.equal(batches[0].logits_at(1, 1), tiny.head(batches[0].hidden[:1])[0])
    ids = [id(batch.hidden) for batch in batches]
    del batches
    gc.collect()
    assert not set(ids) & set(recent._kept)
