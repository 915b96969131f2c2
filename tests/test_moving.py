"""Models whose rotary angles hang on how long the longest row is: rows that are read together must not meet there."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from gptloss import score
from gptloss.corpus import conventions
from gptloss.corpus.scoring import scored_windows
from gptloss.models.checkpoints import hf
from gptloss.scoring.states import hidden_together
from tests.helpers.checkpoints import CONTEXT, checkpoint, load

SHORT = 20  # a longer row has the other angles
LONGROPE = {
    "rope_type": "longrope",
    "rope_theta": 10_000.0,
    "original_max_position_embeddings": SHORT,
    "short_factor": [1.0] * 4,
    "long_factor": [8.0, 4.0, 9.0, 30.0],
}
TEXT = "every effort moves you, and I really like chocolate"
SIZES = [18, 30, 9, SHORT + 1, SHORT + 2, 12]  # the last token is only a target


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small Phi-3."""
    extra: dict[str, Any] = {"rope_parameters": LONGROPE, "original_max_position_embeddings": SHORT}
    return checkpoint(tmp_path_factory.mktemp("phi3"), "phi3", **extra)


@pytest.fixture
def model(folder: Path) -> hf.Transformers:
    return load(folder)


def ids_of(model: hf.Transformers, text: str) -> list[int]:
    return [token.id for token in model.tokenizer.encode(text)]


def test_the_angles_of_this_model_move(model: hf.Transformers) -> None:
    ids = torch.tensor([ids_of(model, TEXT)[: SHORT + 1]])
    assert model.moves
    assert not hf._close(model.hidden(ids)[:, :-1], model.hidden(ids[:, :-1]), 1e-2)


def test_rows_that_are_scored_together_are_as_each_alone(model: hf.Transformers, folder: Path) -> None:
    ids = ids_of(model, TEXT)
    rows = [ids[:size] for size in SIZES]
    together = score(model, rows).log_probas
    alone = torch.cat([score(model, row).log_probas for row in rows])
    exact = torch.cat([shifted(folder, row) for row in rows])
    torch.testing.assert_close(together, alone, atol=1e-5, rtol=0)
    torch.testing.assert_close(together.double(), exact, atol=1e-4, rtol=0)


def shifted(folder: Path, ids: list[int]) -> torch.Tensor:
    """ln p of each token but the first, as the rows are read: the last token is only a target."""
    from transformers import AutoModelForCausalLM

    network = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float64)
    with torch.no_grad():
        log_probas = network(torch.tensor([ids[:-1]]), use_cache=False).logits[0].double().log_softmax(-1)
    return log_probas.gather(-1, torch.tensor(ids[1:])[:, None]).squeeze(-1)


def test_windows_that_are_scored_together_are_as_each_alone(model: hf.Transformers, folder: Path) -> None:
    ids = ids_of(model, TEXT)
    plan = conventions.plan("strided", model.info, window=SHORT + 2, stride=SHORT, bos=False)
    windows = list(scored_windows(model, [TEXT], plan))
    sizes = [scored.window.stop - scored.window.start for scored in windows]
    assert min(sizes) <= SHORT < max(sizes)
    for scored in windows:
        read = ids[scored.window.start : scored.window.stop + 1]
        exact = shifted(folder, read)[-scored.window.scored :]
        torch.testing.assert_close(scored.log_probas.double(), exact, atol=1e-4, rtol=0)


def test_rows_of_one_length_are_still_read_at_once(model: hf.Transformers, monkeypatch: pytest.MonkeyPatch) -> None:
    seen = []
    hidden = model.hidden
    monkeypatch.setattr(model, "hidden", lambda ids: seen.append(tuple(ids.shape)) or hidden(ids))
    rows = [torch.from_numpy(np.arange(20)), torch.arange(20) + 5]
    hidden_together(model, rows)
    hidden_together(model, [*rows, torch.arange(5)])
    assert seen == [(2, 20), (1, 20), (1, 20), (1, 5)]


def test_the_others_are_read_at_once(tmp_path: Path) -> None:
    llama = load(checkpoint(tmp_path))
    assert not llama.moves
    ids = torch.arange(CONTEXT)[None]
    assert hf._close(llama.hidden(ids)[:, :20], llama.hidden(ids[:, :20]), 1e-5)
