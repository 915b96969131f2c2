"""Whether a loss is good, and what random logits cost."""

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from gptloss import ScoredBatch
from gptloss.lessons.conversion import Amount, from_bits, from_bits_per_byte, from_perplexity
from gptloss.lessons.ruler import Spread, Standing


def test_the_lectures_loss_is_a_blind_guess(lecture: ScoredBatch) -> None:
    standing = Standing(lecture.loss, 50_257)
    assert standing.question("nats") == "Is 10.79 good?"
    assert standing.answer("nats").startswith("No. A blind guess costs 10.82, nearly the same")
    assert standing.question("bits") == "Is 15.57 good?"
    assert standing.skill == pytest.approx((10.8249 - 10.7940) / 10.8249, abs=1e-5)


@pytest.mark.parametrize(
    ("loss", "begins"),
    [
        (0.01, "It is nearly perfect: it saves 100%"),
        (2.0, "Yes. It saves 82% of the 10.82 that a blind guess costs: as unsure as among 7.39 tokens"),
        (6.0, "Partly. It saves 45%"),
        (9.5, "Hardly. It saves 12%"),
        (10.79, "No. A blind guess costs 10.82, nearly the same"),
        (12.0, "No. A blind guess costs 10.82, which is 1.18 less"),
    ],
)
def test_every_loss_has_an_answer(loss: float, begins: str) -> None:
    assert Standing(loss, 50_257).answer("nats").startswith(begins)


@given(st.floats(0, 800), st.integers(1, 300_000))
def test_any_value_is_answered(loss: float, v: int) -> None:
    standing = Standing(loss, v)
    for units in ("nats", "bits"):
        assert standing.answer(units).endswith(".")  # type: ignore[arg-type]
    assert standing.skill <= 1


def test_the_lectures_logits_have_a_variance_of_a_third(lecture: ScoredBatch) -> None:
    spread = Spread(lecture)
    logits = torch.stack([lecture.logits_at(i, j) for i, j in lecture.positions]).double()
    assert spread.variance == pytest.approx(((logits - logits.mean(-1, keepdim=True)) ** 2).mean().item())
    assert spread.variance == pytest.approx(0.334, abs=2e-3)
    assert spread.expected == pytest.approx(math.log(50_257) + spread.variance / 2)
    # The untrained loss of The Verdict, 18 windows and 2, is what such logits cost.
    assert spread.expected == pytest.approx(10.98758, abs=0.02)


def test_random_logits_cost_half_their_variance_more_than_a_guess() -> None:
    """The law itself, on a hundred thousand draws."""
    random = torch.Generator().manual_seed(123)
    logits = 1.3 * torch.randn(2_000, 4_000, generator=random, dtype=torch.float64)
    targets = torch.randint(4_000, (2_000,), generator=random)
    loss = torch.nn.functional.cross_entropy(logits, targets).item()
    assert loss == pytest.approx(math.log(4_000) + 1.3**2 / 2, abs=0.1)


@given(st.floats(0, 25), st.floats(0.5, 20))
def test_an_amount_comes_back_from_every_unit(nats: float, size: float) -> None:
    amount = Amount(nats, size)
    assert from_bits(amount.bits) == pytest.approx(nats, abs=1e-9)
    assert from_bits_per_byte(amount.bits_per_byte, size) == pytest.approx(nats, abs=1e-9)
    assert from_perplexity(amount.perplexity) == pytest.approx(nats, abs=1e-9)
    assert 2**amount.bits == pytest.approx(amount.perplexity, rel=1e-9)
