import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gptloss.numbers import counted, odds_text, perplexity_text, power_text, proba_text


@pytest.mark.parametrize(
    ("log_proba", "text"),
    [
        (math.log(7.4541e-05), "7.45e-05"),
        (math.log(4.7559e-06), "4.76e-06"),
        (math.log(0.7725), "0.7725"),
        (math.log(0.0014951), "0.001495"),
        (math.log(0.00099996), "1.00e-03"),
        (-1000.0, "5.08e-435"),
        (-2.1e-06, "1 - 2.1e-06"),
        (0.0, "1.0000"),
    ],
)
def test_probabilities(log_proba: float, text: str) -> None:
    assert proba_text(log_proba) == text


@given(st.floats(-1e6, -1e-12))
def test_no_probability_is_shown_as_zero_or_as_one(log_proba: float) -> None:
    text = proba_text(log_proba)
    mantissa = text.removeprefix("1 - ").split("e")[0]
    assert float(mantissa) > 0
    assert text != "1.0000"


@given(st.floats(-600, math.log(0.999)))
def test_a_probability_can_be_read_back(log_proba: float) -> None:
    assert float(proba_text(log_proba, 4)) == pytest.approx(math.exp(log_proba), rel=1e-4)


@pytest.mark.parametrize(
    ("log_proba", "text"),
    [
        (math.log(4.7559e-06), "1 in 210,265"),
        (math.log(0.7725), "1 in 1.29"),
        (-100.0, "1 in 2.69e+43"),
        (0.0, "1 in 1.00"),
    ],
)
def test_odds(log_proba: float, text: str) -> None:
    assert odds_text(log_proba) == text


@pytest.mark.parametrize(
    ("loss", "text"), [(10.793964, "48,725.8"), (1.0, "2.7183"), (math.log(2e6), "2.00e+06"), (2000.0, "3.88e+868")]
)
def test_perplexities(loss: float, text: str) -> None:
    assert perplexity_text(loss) == text


def test_a_rounded_mantissa_carries() -> None:
    assert power_text(math.log(9.9999e-8)) == "1.00e-07"


def test_one_thing_has_no_plural_ending() -> None:
    assert [counted(n, "token") for n in (0, 1, 2, 1024)] == ["0 tokens", "1 token", "2 tokens", "1,024 tokens"]
    assert [counted(n, "batch", "es") for n in (1, 2)] == ["1 batch", "2 batches"]
