"""Steps on a copy of a model: what they promise, what comes, and the way back to the bit."""

import copy
from pathlib import Path

import pytest
import torch
from transformers import GPT2Config, GPT2LMHeadModel

from gptloss import GptlossError, load_model, score
from gptloss.models import LanguageModel
from gptloss.models.architectures.gpt2 import GPT2
from gptloss.training.optimizer_steps import OptimizerSteps, layer_of

ROWS = ["every effort moves you", "I really like chocolate"]


def in_float64(model: GPT2) -> GPT2:
    """The same weights; the model, which other tests share, stays as it is."""
    return GPT2(model.info, copy.deepcopy(model.network), model.tokenizer).double()


def steps(model: LanguageModel, optimizer: str = "sgd") -> OptimizerSteps:
    """The lecture's rows."""
    return OptimizerSteps(model, score(model, ROWS), optimizer)


def test_the_change_is_what_the_gradient_promised(tiny: GPT2) -> None:
    """First order: at a small learning rate the promise holds within 1 %."""
    model = in_float64(tiny)
    made = steps(model).step(1e-4)
    assert made.predicted == pytest.approx(-1e-4 * made.gradient_norm**2, rel=1e-4)
    assert made.actual == pytest.approx(made.predicted, rel=0.01)
    assert made.actual < 0
    assert made.loss_before == pytest.approx(score(model, ROWS).loss, abs=1e-5)


def test_it_is_the_gradient_by_finite_differences(tiny: GPT2) -> None:
    """SGD moves a weight by -lr times its gradient; the loss of a model with that weight nudged gives it too."""
    model = in_float64(tiny)
    weights = model.network.trf_blocks[0].norm1.weight
    lab = steps(model)
    lab.step(1e-4)
    gradient = (weights - lab.network.trf_blocks[0].norm1.weight).detach() / 1e-4
    at = int(gradient.abs().argmax())
    losses = []
    for nudge in (1e-5, -2e-5):
        with torch.no_grad():
            weights[at] += nudge
        losses.append(score(model, ROWS).loss)
    assert gradient[at].item() == pytest.approx((losses[0] - losses[1]) / 2e-5, rel=1e-5)


@pytest.mark.parametrize("optimizer", ["sgd", "adamw"])
def test_probabilities_climb_and_back_is_to_the_bit(tiny: GPT2, optimizer: str) -> None:
    lab = steps(tiny, optimizer)
    start = {name: weights.clone() for name, weights in lab.network.state_dict().items()}
    first = lab.step(1e-2)
    again = [lab.step(1e-2) for _ in range(4)][-1]
    assert again.loss_after < first.loss_after < first.loss_before
    assert [made.number for made in lab.steps] == [1, 2, 3, 4, 5]
    assert again.log_probas_before == lab.steps[3].log_probas_after
    lab.reset()
    assert all(torch.equal(weights, start[name]) for name, weights in lab.network.state_dict().items())
    assert lab.step(1e-2) == first
    assert all(torch.equal(weights, start[name]) for name, weights in tiny.network.state_dict().items())


def test_a_rate_that_is_too_large_raises_the_loss(tiny: GPT2) -> None:
    made = steps(tiny, "adamw").step(1.0)
    assert made.predicted < 0 < made.actual


def test_layers_have_names_and_norms(tiny: GPT2) -> None:
    made = steps(tiny).step(1e-3)
    names = [layer.name for layer in made.layers]
    assert names == ["token embedding", "position embedding", "block 1", "block 2", "final norm", "head"]
    for layer in made.layers:
        assert layer.moved == pytest.approx(1e-3 * layer.gradient_norm, rel=1e-3)
    assert layer_of("trf_blocks.11.att.W_query.weight") == "block 12"


def test_a_tied_head_learns_with_the_embedding(tmp_path: Path) -> None:
    config = GPT2Config(n_layer=1, n_embd=16, n_head=2, n_positions=16, vocab_size=50_257)
    GPT2LMHeadModel(config).save_pretrained(tmp_path)
    model = load_model(tmp_path)
    lab = steps(model)
    made = lab.step(0.1)
    assert lab.network.out_head.weight is lab.network.tok_emb.weight
    assert made.actual < 0
    assert "head" not in [layer.name for layer in made.layers]


def test_rows_of_different_lengths_and_a_start_token(tiny: GPT2, gpt2: LanguageModel) -> None:
    batch = score(tiny, ["every effort", "I really like chocolate"])
    made = OptimizerSteps(tiny, batch).step(1e-3)
    assert made.log_probas_before == pytest.approx(batch.log_probas.tolist(), abs=1e-4)
    assert made.loss_before == pytest.approx(batch.loss, abs=1e-4)


@pytest.mark.parametrize(("rate", "said"), [(0.0, "rate is 0"), (2.0, "rate is 2"), (float("nan"), "rate is nan")])
def test_a_rate_out_of_bounds(tiny: GPT2, rate: float, said: str) -> None:
    with pytest.raises(GptlossError, match=said):
        steps(tiny).step(rate)


def test_what_cannot_learn_is_a_sentence(tiny: GPT2) -> None:
    bigram = load_model("bigram")
    with pytest.raises(GptlossError, match="bigram has no weights that a gradient could change"):
        OptimizerSteps(bigram, score(bigram, "tea"))
    with pytest.raises(GptlossError, match="There is no optimizer 'adam' here; use sgd or adamw"):
        steps(tiny, "adam")
    lab = steps(tiny)
    for _ in range(50):
        lab.step(1e-6)
    with pytest.raises(GptlossError, match="50 steps are made"):
        lab.step(1e-6)
