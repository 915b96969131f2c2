"""Products that leave the floats."""

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from gptloss import ScoredBatch
from gptloss.lessons.products import lost_after, product


def test_the_lectures_product_is_lost_after_ten_tokens(lecture: ScoredBatch) -> None:
    losses = (-lecture.log_probas.double()).tolist()
    six = product(losses, 6)
    assert math.exp(six.logs[-1]) == pytest.approx(7.5e-29, rel=0.01)
    assert six.held[-1] == pytest.approx(math.exp(six.logs[-1]), rel=1e-4)
    assert six.lost_at is None
    found = [lost_after(losses, dtype) for dtype in (torch.float16, torch.float32, torch.float64)]
    assert found == [2, 10, 70]
    assert product(losses, 12).held[8:] == (pytest.approx(0.0, abs=1e-41), 0.0, 0.0, 0.0)


def test_a_certain_text_is_never_lost() -> None:
    assert lost_after([0.0]) is None


@given(st.lists(st.floats(0.01, 30), min_size=1, max_size=20), st.integers(1, 200))
def test_the_logs_are_the_sum_of_what_each_costs(losses: list[float], factors: int) -> None:
    made = product(losses, factors)
    assert len(made.logs) == len(made.held) == factors
    terms = [losses[n % len(losses)] for n in range(factors)]
    assert made.logs[-1] == pytest.approx(-math.fsum(terms), rel=1e-9)
    for log, held in zip(made.logs, made.held, strict=True):
        assert held == 0 or math.log(held) == pytest.approx(log, abs=0.2 if held < 1e-37 else 1e-3) or held < 1e-43
