"""What float32 does to a loss, and float64, the reference that is built in."""

import copy
import inspect
import math
import pickle
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from transformers import GPTNeoConfig, GPTNeoForCausalLM

from gptloss import GptlossError, ScoredBatch, load_model, score
from gptloss.lessons.ladder import steps
from gptloss.models import LanguageModel, ModelInfo, is_here
from gptloss.models.base import Reader
from gptloss.tokens import ByteTokenizer
from tests.helpers.checkpoints import byte_tokenizer_json
from tests.helpers.scoring import LECTURE
from views.components.ladder_table import ladder_data
from views.loss.examples import PRESETS

# The step between two neighbours of 1 in float32.
ULP = 2.0**-23


class Given:
    """A model that gives the logits it was made with, whatever it reads."""

    def __init__(self, logits: torch.Tensor) -> None:
        self.info = ModelInfo("given", "Given", "none", len(logits), 64, 0)
        self.tokenizer: Any = ByteTokenizer()
        self.logits = logits

    def hidden(self, ids: torch.Tensor) -> torch.Tensor:
        return torch.zeros(*ids.shape, 1)

    def head(self, hidden: torch.Tensor) -> torch.Tensor:
        return self.logits.expand(len(hidden), -1)

    def reader(self) -> Reader:
        raise NotImplementedError


def peaked(v: int, top: float) -> Given:
    """V logits of which one is far above the others, which together weigh about as much: a trained model is so."""
    logits = torch.randn(v, generator=torch.Generator().manual_seed(v))
    logits[7] = logits.logsumexp(0) + top
    return Given(logits)


@pytest.mark.parametrize("v", [32_000, 49_152, 151_936, 262_144])
def test_the_loss_is_that_of_float64(v: int) -> None:
    """To the last digits of float32, for any V."""
    batch = score(peaked(v, 2.0), "abc")  # type: ignore[arg-type]
    exact = -peaked(v, 2.0).logits.double().log_softmax(-1)[[98, 99]].mean().item()
    assert batch.cross_entropy == pytest.approx(exact, abs=1e-12)
    # of two ln p near -14 each is rounded to the nearest of float32's numbers, and so is a logsumexp of V terms
    assert batch.loss == pytest.approx(exact, abs=16 * ULP)
    assert batch.agrees


def test_f_cross_entropy_in_float32_is_too_low_and_ours_is_not() -> None:
    """262,144 terms beside one that is 150 times as large as their sum; seen with AVX2: 4e-4, with AVX-512: 2e-4."""
    batch = score(peaked(262_144, 5.0), "abc")  # type: ignore[arg-type]
    assert batch.cross_entropy_float32 < batch.cross_entropy - 1e-5
    assert batch.loss == pytest.approx(batch.cross_entropy, abs=16 * ULP)
    assert batch.agrees


@pytest.mark.parametrize("name", ["gpt2-untrained", "smollm2-135m"])
@pytest.mark.parametrize("bos", [False, True])
def test_no_example_raises_a_false_alarm(name: str, bos: bool, gpt2: LanguageModel) -> None:
    """Float32's cross-entropy did under SmolLM2, by 1.6e-5 in the lecture's rows."""
    if not is_here(name):
        pytest.skip(f"{name} is not on this machine: gptloss models pull {name}")
    model = gpt2 if name == gpt2.info.name else load_model(name)
    for preset in PRESETS:
        batch = score(model, preset.inputs, preset.targets, bos=bos)
        assert ladder_data(batch, 0, "nats")["agrees"], preset.name
        assert batch.loss == pytest.approx(batch.cross_entropy, abs=2e-6), preset.name


def test_the_badge_turns_red_for_another_loss(lecture: ScoredBatch) -> None:
    assert lecture.agrees
    wrong = copy.copy(lecture)
    object.__setattr__(wrong, "normalisers", lecture.normalisers + 1e-4)
    assert not wrong.agrees


@pytest.mark.parametrize("offset", [0.0, 300.0, -2000.0])
def test_large_logits_raise_no_false_alarm(offset: float) -> None:
    """Of a logit of 2,000 float32 has 1e-4: two right losses may differ by so much."""
    logits = torch.randn(256, generator=torch.Generator().manual_seed(1)) * 4 + offset
    assert score(Given(logits), "every effort moves you").agrees  # type: ignore[arg-type]


@pytest.mark.parametrize("v", [256, 49_152, 262_144])
def test_a_distribution_sums_to_1_and_is_that_of_the_targets(v: int) -> None:
    batch = score(peaked(v, 3.0), "abcab")  # type: ignore[arg-type]
    for k, (i, j) in enumerate(batch.positions):
        probas = batch.distribution(i, j)
        exact = batch.logits_at(i, j).double().softmax(-1)
        # ln p is off by one rounding of at most 16, and the sum of V exponentials by a few
        torch.testing.assert_close(probas.double(), exact, rtol=16 * ULP, atol=0)
        assert probas.double().sum().item() == pytest.approx(1, abs=16 * ULP)
        assert probas[batch.targets[k].id].item() == batch.target_probas[k].item()


def test_the_lectures_distributions_are_those_of_the_targets(lecture: ScoredBatch) -> None:
    """The head gives one row other last digits than six rows: half a unit of a logit's last place each."""
    for k, (i, j) in enumerate(lecture.positions):
        probas = lecture.distribution(i, j)
        assert probas.double().sum().item() == pytest.approx(1, abs=32 * ULP)
        assert probas[lecture.targets[k].id].item() == pytest.approx(lecture.target_probas[k].item(), rel=32 * ULP)


def test_the_page_says_where_even_pytorch_loses_digits(lecture: ScoredBatch) -> None:
    batch = score(peaked(262_144, 5.0), "abc")  # type: ignore[arg-type]
    said = {step.name: step for step in steps(batch, 1, 1, "nats")}["Minus"].sentence
    assert f"{batch.cross_entropy:.7f}, if the logits are in float64" in said
    assert f"In float32 even PyTorch says {batch.cross_entropy_float32:.7f}" in said
    plain = {step.name: step for step in steps(lecture, 1, 1, "nats")}["Minus"].sentence
    assert plain.endswith("in nats: 10.7940.")


@pytest.mark.parametrize("name", ["gpt2-untrained", "uniform", "bigram"])
def test_in_float64_all_is_computed_in_float64(name: str) -> None:
    exact, usual = (score(load_model(name, dtype=dtype), "every effort") for dtype in ("float64", "float32"))
    assert exact.log_probas.dtype == exact.hidden.dtype == torch.float64
    assert exact.loss == pytest.approx(exact.cross_entropy, abs=1e-7)  # its exponentials are added in float64, too
    assert usual.loss == pytest.approx(exact.loss, abs=3e-6)


def test_the_lecture_in_float64() -> None:
    """What float32 has to be near to, on any processor."""
    model = load_model("gpt2-untrained", dtype="float64")
    batch = score(model, *LECTURE)
    assert batch.loss == pytest.approx(10.7939644, abs=2e-7)
    ids = torch.tensor([[16833, 3626, 6100], [40, 1107, 588]])
    targets = torch.tensor([[3626, 6100, 345], [1107, 588, 11311]])
    with torch.no_grad():
        wanted = F.cross_entropy(model.network(ids).flatten(0, 1), targets.flatten())  # type: ignore[attr-defined]
    assert batch.loss == pytest.approx(wanted.item(), abs=1e-12)
    assert batch.cross_entropy == pytest.approx(wanted.item(), abs=1e-12)


def test_what_cannot_be_read_in_float64_says_so(tmp_path: Path) -> None:
    config = GPTNeoConfig(
        vocab_size=256, hidden_size=16, num_layers=1, num_heads=2, attention_types=[[["global"], 1]]
    )
    GPTNeoForCausalLM(config).save_pretrained(tmp_path)
    (tmp_path / "tokenizer.json").write_text(byte_tokenizer_json(256))
    with pytest.raises(GptlossError, match="runs through transformers and is read in float32 only"):
        load_model(tmp_path, dtype="float64")
    with pytest.raises(GptlossError, match="There is no dtype 'float16' to load in; use float32 or float64"):
        inspect.unwrap(load_model)("uniform", dtype="float16")  # type: ignore[arg-type]


def test_a_path_and_a_forgotten_prefix(tmp_path: Path) -> None:
    with pytest.raises(GptlossError, match=f"There is no folder {tmp_path / 'no'}; give the folder"):
        load_model(tmp_path / "no")
    with pytest.raises(GptlossError, match=r"no folder openai-community/gpt2;.* write hf:openai-community/gpt2\."):
        load_model("openai-community/gpt2")


def test_float32_has_no_bias_against_float64(gpt2: LanguageModel) -> None:
    """Of 255 tokens: largest error, mean error and bias of ln p. The lecture's model, as everybody loads it."""
    ids = torch.randint(0, 50_257, (256,), generator=torch.Generator().manual_seed(5)).tolist()
    errors = score(gpt2, ids).log_probas.double() - score(load_model(dtype="float64"), ids).log_probas
    assert errors.abs().max().item() < 1e-5
    assert abs(errors.mean().item()) < 5e-7


def test_the_target_with_nearly_all_the_mass_keeps_its_digits() -> None:
    """ln p of -1e-6 is a difference of two logits of 30: in float32 alone it would be off by as much as it is."""
    logits = torch.full((256,), 30.0 - 19.36)
    logits[98] = 30.0
    batch = score(Given(logits), "ab")  # type: ignore[arg-type]
    exact = logits.double().log_softmax(-1)[98].item()
    assert -2e-6 < exact < -5e-7
    assert batch.log_probas[0].item() == pytest.approx(exact, abs=2 * ULP)


def test_a_batch_is_pickled_without_the_weights_and_shown_in_a_line(lecture: ScoredBatch) -> None:
    stored = pickle.dumps(lecture)
    assert len(stored) < 40_000
    again = pickle.loads(stored)
    assert torch.equal(again.log_probas, lecture.log_probas)
    assert again.distribution(1, 2).sum().item() == pytest.approx(1, abs=1e-5)
    assert repr(again) == repr(lecture) == "ScoredBatch('gpt2-untrained', 6 targets, loss=10.7940)"


def test_a_pickled_batch_of_other_weights_is_refused(lecture: ScoredBatch, monkeypatch: pytest.MonkeyPatch) -> None:
    stored = pickle.dumps(lecture)
    other = load_model("gpt2-untrained")
    other.network.out_head.weight = torch.nn.Parameter(other.network.out_head.weight * 1.01, False)  # type: ignore[attr-defined]
    monkeypatch.setattr("gptloss.scoring.batch.load_model", lambda *_, **__: other)
    with pytest.raises(GptlossError, match="gpt2-untrained has other weights than when this was pickled"):
        pickle.loads(stored)


def test_a_model_of_ones_own_is_pickled_whole(tiny: LanguageModel) -> None:
    batch = score(tiny, "every effort moves you")
    assert math.isclose(pickle.loads(pickle.dumps(batch)).loss, batch.loss)
