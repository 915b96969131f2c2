"""Short texts of several visitors share a forward pass, and each gets its own numbers."""

import math
from threading import Event, Thread
from typing import Any

import pytest
import torch
from torch import Tensor

from gptloss import score
from gptloss.errors import GptlossError
from gptloss.models import LanguageModel
from gptloss.scoring import recent
from gptloss.scoring.batch import ScoredBatch
from gptloss.scoring.rows import Row, read_row
from gptloss.serving.models import LoadedModel
from gptloss.serving.together import MOST_TOKENS, fits, score_together

TEXTS = [f"visitor {n} writes {'some ' * n}words" for n in range(12)]


class Held:
    """A model that waits at its first pass until it is let go, and notes the rows of each pass."""

    def __init__(self, model: LanguageModel) -> None:
        self.info, self.tokenizer, self.reader = model.info, model.tokenizer, model.reader
        self._model = model
        self.passes: list[int] = []
        self.begun, self.go = Event(), Event()
        self.poison: int | None = None

    def hidden(self, ids: Tensor) -> Tensor:
        self.passes.append(len(ids))
        self.begun.set()
        assert self.go.wait(30)
        return self._model.hidden(ids)

    def head(self, hidden: Tensor) -> Tensor:
        return self._model.head(hidden)


class Crowd:
    """Threads that ask at the same time: the first one is at work while the others come."""

    def __init__(self, model: LanguageModel) -> None:
        self.model: Any = Held(model)
        self.owner = LoadedModel(self.model)
        self.found: dict[int, ScoredBatch] = {}
        self.errors: dict[int, GptlossError] = {}

    def ask(self, rows: list[list[Row]]) -> None:
        threads = [Thread(target=self._one, args=(n, some)) for n, some in enumerate(rows)]
        threads[0].start()
        assert self.model.begun.wait(30)
        for thread in threads[1:]:
            thread.start()
        desk_is_full = Event()
        while not desk_is_full.wait(0.01):
            from gptloss.serving import together

            if len(together._desks[self.owner].waiting) == len(rows) - 1:
                desk_is_full.set()
        self.model.go.set()
        for thread in threads:
            thread.join(30)

    def _one(self, n: int, rows: list[Row]) -> None:
        try:
            self.found[n] = score_together(self.owner, rows)
        except GptlossError as error:
            self.errors[n] = error


@pytest.fixture
def crowd(tiny: LanguageModel) -> Crowd:
    return Crowd(tiny)


def rows_of(model: LanguageModel, *texts: str) -> list[Row]:
    return [read_row(model, n, text, None) for n, text in enumerate(texts, 1)]


def test_those_who_wait_share_a_pass(crowd: Crowd, tiny: LanguageModel) -> None:
    asked = [rows_of(tiny, text) for text in TEXTS[:6]]
    asked.append(rows_of(tiny, "two rows", "of one visitor"))
    crowd.ask(asked)
    assert crowd.model.passes[0] == 1
    assert sum(crowd.model.passes) == 8
    assert len(crowd.model.passes) == 2  # the first one, and all who came meanwhile
    assert all(recent.kept(found.hidden) is not None for found in crowd.found.values())
    for n, rows in enumerate(asked):
        alone = score(tiny, [[token.id for token in (*row.inputs, *row.targets[-1:])] for row in rows])
        assert crowd.found[n].positions == alone.positions
        torch.testing.assert_close(crowd.found[n].log_probas, alone.log_probas, rtol=0, atol=1e-5)
        assert crowd.found[n].ranks.tolist() == alone.ranks.tolist()
        assert crowd.found[n].cross_entropy == pytest.approx(alone.loss, abs=1e-5)


def test_one_that_cannot_be_scored_hurts_nobody_else(crowd: Crowd, tiny: LanguageModel) -> None:
    """A model that rules a token out: its loss is no number, and only the text with it fails."""
    token = tiny.tokenizer.encode(" pizza")[0].id
    head = crowd.model.head

    def ruled_out(hidden: Tensor) -> Tensor:
        return head(hidden).index_fill(-1, torch.tensor([token]), -math.inf)

    crowd.model.head = ruled_out
    crowd.ask([rows_of(tiny, text) for text in ("first of all", "some bread", "some pizza", "some more")])
    assert list(crowd.errors) == [2]
    assert "pizza" in str(crowd.errors[2])
    assert sorted(crowd.found) == [0, 1, 3]


def test_a_pass_has_an_end(crowd: Crowd, tiny: LanguageModel) -> None:
    crowd.ask([rows_of(tiny, "word " * 14) for _ in range(2 * MOST_TOKENS // 14)])
    assert len(crowd.found) == 2 * MOST_TOKENS // 14
    assert max(crowd.model.passes) * 14 <= MOST_TOKENS


def test_long_rows_go_alone(tiny: LanguageModel) -> None:
    assert fits(rows_of(tiny, "two words"))
    assert not fits(rows_of(tiny, *["word " * 12] * 4))
