"""Binary cross-entropy, beside PyTorch's, and the sign that is often wrong."""

import math

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given
from hypothesis import strategies as st

from gptloss.lessons.binary import binary_loss, half_negated, mean_loss, softmax_loss, sum_latex
from gptloss.lessons.examples import Example

EXAMPLES = st.lists(st.builds(Example, st.integers(0, 1), st.floats(0.0001, 0.9999)), min_size=1, max_size=30)
FOUR = (Example(1, 0.9), Example(1, 0.6), Example(0, 0.2), Example(0, 0.7))


@given(EXAMPLES)
def test_it_is_pytorchs_and_softmax_with_two_classes(examples: list[Example]) -> None:
    y = torch.tensor([example.y for example in examples], dtype=torch.float64)
    p = torch.tensor([example.p for example in examples], dtype=torch.float64)
    assert mean_loss(examples) == pytest.approx(F.binary_cross_entropy(p, y).item(), abs=1e-9)
    assert mean_loss(examples) == pytest.approx(softmax_loss(examples), abs=1e-9)


@given(EXAMPLES)
def test_the_wrong_sign_takes_the_second_term_away_twice(examples: list[Example]) -> None:
    zeros = math.fsum(binary_loss(0, p) for y, p in examples if y == 0) / len(examples)
    assert half_negated(examples) == pytest.approx(mean_loss(examples) - 2 * zeros, abs=1e-9)


def test_four_examples_by_hand() -> None:
    by_hand = -(math.log(0.9) + math.log(0.6) + math.log(0.8) + math.log(0.3)) / 4
    assert mean_loss(FOUR) == pytest.approx(by_hand)
    assert mean_loss(FOUR) == pytest.approx(0.5108, abs=5e-5)
    assert half_negated(FOUR) == pytest.approx(-0.2027, abs=5e-5)
    assert half_negated(FOUR) < 0  # which no loss is
    assert "0.5108" in sum_latex(FOUR, negated=False)
    assert "-0.2027" in sum_latex(FOUR, negated=True)
    assert sum_latex(FOUR, negated=False) != sum_latex(FOUR, negated=True)
