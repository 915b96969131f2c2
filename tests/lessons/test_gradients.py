"""The gradient at the logits: its laws, and autograd beside it."""

import math

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given
from hypothesis import strategies as st

from gptloss import ScoredBatch, load_model, score
from gptloss.lessons.gradients import gradient_latex, logit_curve, logit_gradient, pushes
from gptloss.models import LanguageModel


def test_it_adds_up_to_nothing_and_equals_autograd(lecture: ScoredBatch) -> None:
    logits = torch.stack([lecture.logits_at(i, j) for i, j in lecture.positions]).double().requires_grad_()
    targets = torch.tensor([token.id for token in lecture.targets])
    F.cross_entropy(logits, targets).backward()  # type: ignore[no-untyped-call]
    assert logits.grad is not None
    for k, (i, j) in enumerate(lecture.positions):
        gradient = logit_gradient(lecture, i, j)
        assert abs(gradient.sum().item()) < 1e-12
        assert (gradient - logits.grad[k]).abs().max() < 1e-6
        assert (gradient < 0).sum() == 1  # the target alone goes up


@given(st.text(st.characters(min_codepoint=32, max_codepoint=1_000), min_size=2, max_size=20))
def test_a_nudge_of_any_logit_changes_the_loss_by_its_gradient(text: str) -> None:
    """Finite differences in float64."""
    batch = score(load_model("bigram"), text)
    i, j = batch.positions[-1]
    line, target = batch.logits_at(i, j).double(), batch.targets[-1].id
    gradient = logit_gradient(batch, i, j)
    for id in {target, 0, 101}:
        nudged = [line.clone(), line.clone()]
        nudged[0][id] += 1e-4
        nudged[1][id] -= 1e-4
        up, down = (-F.log_softmax(logits, -1)[target].item() / len(batch) for logits in nudged)
        assert gradient[id].item() == pytest.approx((up - down) / 2e-4, abs=1e-7)


def test_the_target_goes_up_and_the_likeliest_go_down_most(lecture: ScoredBatch) -> None:
    first, *others = pushes(lecture, 1, 1, k=5)
    assert first.token.text == " effort"
    assert first.is_target
    assert first.gradient == pytest.approx((7.4541e-05 - 1) / 6, abs=1e-7)
    assert [push.gradient for push in others] == sorted((push.gradient for push in others), reverse=True)
    assert [push.token for push in others] == [prediction.token for prediction in lecture.top(1, 1, 5)]
    assert others[0].gradient == pytest.approx(lecture.distribution(1, 1).max().item() / 6, rel=1e-4)


def test_the_formula_has_this_examples_numbers(lecture: ScoredBatch) -> None:
    latex = gradient_latex(lecture, 1, 1)
    assert r"p_{11} - 1}{N}" in latex
    assert r"\frac{7.45 \cdot 10^{-5} - 1}{6} = -0.1667" in latex


def test_the_curve_goes_through_the_loss_with_the_slope_p_minus_1(lecture: ScoredBatch, gpt2: LanguageModel) -> None:
    for i, j in lecture.positions:
        curve, log_proba = logit_curve(lecture, i, j), lecture.log_probas[lecture.index(i, j)].item()
        assert curve.loss == pytest.approx(-log_proba, abs=1e-5)
        assert curve.slope == pytest.approx(math.exp(log_proba) - 1)
        assert (curve.at(curve.logit + 1e-5) - curve.at(curve.logit - 1e-5)) / 2e-5 == pytest.approx(curve.slope)
        assert curve.tangent(curve.logit + 1) == pytest.approx(curve.loss + curve.slope)
        assert curve.at(curve.logit + 1_000) == pytest.approx(0)
        assert curve.at(curve.logit - 1_000) == pytest.approx(1_000 + curve.loss, abs=1e-3)
