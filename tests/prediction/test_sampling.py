"""Temperature, top-k and top-p against torch in float64; the same text with and without a cache."""

import dataclasses
import math
from collections.abc import Callable
from copy import copy
from dataclasses import replace
from itertools import islice
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from transformers import TemperatureLogitsWarper, TopKLogitsWarper, TopPLogitsWarper

from gptloss import GptlossError
from gptloss.models import LanguageModel
from gptloss.prediction.sampling import Sampler, draw, draw_one_by_one, generate, until_end
from tests.helpers.sampling import SAMPLERS, SEEDS, logits_of

# The book's nine words: closer, every, effort, forward, inches, moves, pizza, toward, you.
NINE = torch.tensor([4.51, 0.89, -1.90, 6.75, 1.63, -1.62, -1.89, 6.28, 1.79])


# --- the book's example ---


def test_the_books_top_3() -> None:
    sampler = Sampler(top_k=3)
    assert sampler.keeps(NINE).nonzero()[:, 0].tolist() == [0, 3, 7]
    probas = sampler.probas(NINE)
    assert [round(p, 4) for p in probas.tolist()] == [0.0615, 0, 0, 0.5775, 0, 0, 0, 0.3610, 0]


@pytest.mark.parametrize("temperature", [1.0, 0.1, 5.0])
def test_the_books_temperatures(temperature: float) -> None:
    probas = Sampler(temperature).probas(NINE)
    assert probas.dtype == torch.float64
    torch.testing.assert_close(probas, (NINE.double() / temperature).softmax(-1), atol=1e-15, rtol=1e-12)


def test_the_books_forward_is_drawn_most_often() -> None:
    counts = draw(Sampler().probas(NINE), 1000, 123).bincount(minlength=9)
    assert counts.argmax() == 3
    assert counts[3].item() == pytest.approx(572, abs=3 * 16)


# --- laws ---


@given(SEEDS, SAMPLERS, st.floats(0.1, 50))
def test_the_probabilities_sum_to_1_and_what_is_cut_off_has_none(seed: int, sampler: Sampler, scale: float) -> None:
    logits = logits_of(seed, scale=scale)
    probas, keeps = sampler.probas(logits), sampler.keeps(logits)
    assert probas.sum().item() == pytest.approx(1, abs=1e-12)
    assert keeps[logits.argmax()]
    assert (probas[~keeps] == 0).all()
    assert probas[keeps].sum().item() == pytest.approx(1, abs=1e-12)


@given(SEEDS, SAMPLERS)
def test_the_kept_keep_their_odds(seed: int, sampler: Sampler) -> None:
    logits = logits_of(seed)
    keeps = sampler.keeps(logits)
    if not sampler.greedy:
        heated = Sampler(sampler.temperature).probas(logits)
        torch.testing.assert_close(sampler.probas(logits)[keeps], heated[keeps] / heated[keeps].sum())


@given(SEEDS, st.floats(0.05, 5))
def test_temperature_keeps_ranks(seed: int, temperature: float) -> None:
    logits = logits_of(seed)
    assert (Sampler(temperature).probas(logits)[logits.argsort()].diff() >= 0).all()


@given(SEEDS)
def test_greedy_is_the_limit_of_low_temperatures(seed: int) -> None:
    logits = logits_of(seed)
    greedy = Sampler(0.0).probas(logits)
    assert greedy.tolist() == [float(k == logits.argmax()) for k in range(50)]
    for temperature in (1e-6, 1e-300, 5e-324):
        torch.testing.assert_close(Sampler(temperature).probas(logits), greedy)


@given(SEEDS, st.floats(0.01, 5), st.integers(50, 10**9))
def test_all_tokens_and_all_mass_change_nothing(seed: int, temperature: float, top_k: int) -> None:
    logits = logits_of(seed, scale=30)
    assert torch.equal(Sampler(temperature, top_k, 1.0).probas(logits), Sampler(temperature).probas(logits))
    assert Sampler(temperature, top_k, 1.0).keeps(logits).all()


@given(SEEDS, st.floats(0.1, 5), st.floats(0.001, 0.999))
def test_top_p_is_the_smallest_set_that_reaches_it(seed: int, temperature: float, top_p: float) -> None:
    logits = logits_of(seed)
    probas, kept = Sampler(temperature).probas(logits), Sampler(temperature, top_p=top_p).keeps(logits)
    assert probas[kept].sum() >= top_p - 1e-12
    assert probas[kept].sum() - probas[kept].min() < top_p + 1e-12
    assert not (~kept).any() or probas[kept].min() >= probas[~kept].max()


@given(SEEDS, st.floats(0.1, 5), st.integers(1, 60), st.floats(0.01, 0.999))
def test_the_order_is_transformers(seed: int, temperature: float, top_k: int, top_p: float) -> None:
    logits = logits_of(seed)
    scores = warped(logits, TemperatureLogitsWarper(temperature), TopKLogitsWarper(top_k), TopPLogitsWarper(top_p))
    torch.testing.assert_close(Sampler(temperature, top_k, top_p).probas(logits), scores.softmax(-1))


@given(SEEDS, st.integers(1, 60))
def test_equals_of_the_k_th_stay_as_in_transformers(seed: int, top_k: int) -> None:
    logits = logits_of(seed).round()
    scores = warped(logits, TopKLogitsWarper(top_k))
    assert torch.equal(Sampler(top_k=top_k).keeps(logits), scores.isfinite())


def warped(logits: torch.Tensor, *warpers: Callable[[None, torch.Tensor], torch.Tensor]) -> torch.Tensor:
    scores = logits.double()[None]
    for warp in warpers:
        scores = warp(None, scores)
    return scores[0]


def test_top_k_comes_before_top_p() -> None:
    logits = torch.tensor([0.5, 0.3, 0.15, 0.05]).log()
    assert Sampler(top_p=0.6).keeps(logits).tolist() == [True, True, False, False]
    assert Sampler(top_k=2, top_p=0.6).keeps(logits).tolist() == [True, False, False, False]  # 0.5 of 0.8 is 0.625


def test_equals() -> None:
    """Greedy takes the first, top-k keeps all that equal the k-th, top-p as many as it needs."""
    logits = torch.tensor([0.0, 2, 1, 1, 1, 2])
    assert Sampler(0.0).probas(logits).tolist() == [0, 1, 0, 0, 0, 0]
    assert Sampler(top_k=3).keeps(logits).tolist() == [False, True, True, True, True, True]
    assert Sampler(top_p=0.4).keeps(torch.zeros(5)).tolist() == [True, True, False, False, False]
    assert Sampler(top_p=0.5).keeps(torch.zeros(4)).tolist() == [True, True, False, False]
    for v, top_p, kept in ((10, 0.8, 8), (20, 0.5, 10)):
        assert Sampler(top_p=top_p).keeps(torch.zeros(v)).tolist() == [k < kept for k in range(v)]


def test_tokens_that_are_ruled_out_stay_so() -> None:
    logits = torch.tensor([-math.inf, 1.0, -math.inf, 0.0])
    for sampler in (Sampler(), Sampler(5.0), Sampler(1.0, 3), Sampler(1.0, 0, 1 - 1e-16)):
        assert sampler.probas(logits)[[0, 2]].tolist() == [0, 0]
        assert set(draw(sampler.probas(logits), 1000, 1).tolist()) == {1, 3}


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ({"temperature": -0.1}, "A temperature of -0.1 cannot be used; give a finite number, 0 (greedy) or more."),
        ({"temperature": math.inf}, "A temperature of inf cannot be used; give a finite number"),
        ({"temperature": math.nan}, "A temperature of nan cannot be used; give a finite number"),
        ({"top_k": -1}, "A top-k of -1 keeps no token; use 1 or more, or 0 for all."),
        ({"top_p": 0.0}, "A top-p of 0.0 is no mass to keep; use more than 0 and at most 1 (all)."),
        ({"top_p": 1.01}, "A top-p of 1.01 is no mass to keep"),
        ({"top_p": math.nan}, "A top-p of nan is no mass to keep"),
    ],
)
def test_settings_that_mean_nothing(given: dict[str, float], says: str) -> None:
    with pytest.raises(GptlossError) as caught:
        Sampler(**given)  # type: ignore[arg-type]
    assert str(caught.value).startswith(says)


def test_a_sampler_cannot_be_changed() -> None:
    with pytest.raises(dataclasses.FrozenInstanceError):
        Sampler().top_k = 3  # type: ignore[misc]


# --- draws ---


def test_ten_thousand_draws_are_as_frequent_as_probable() -> None:
    """Chi-square with 8 degrees of freedom: more than 26.1 happens once in a thousand."""
    probas = Sampler(2.0).probas(NINE)
    expected = 10_000 * probas
    for seed in (1, 2, 3):
        counts = draw(probas, 10_000, seed).bincount(minlength=9)
        assert ((counts - expected) ** 2 / expected).sum() < 26.1
        assert ((counts - expected) ** 2 / expected).sum() > 0.5  # nor are they dealt out


def test_draws_follow_from_the_seed_alone() -> None:
    probas = Sampler().probas(logits_of(1, v=50_257))
    torch.manual_seed(5)
    before = torch.get_rng_state()
    one = draw(probas, 10_000, 123)
    assert one.shape == (10_000,)
    assert torch.equal(draw(probas, 10_000, 123), one)
    assert not torch.equal(draw(probas, 10_000, 124), one)
    generator = torch.Generator().manual_seed(123)
    assert torch.equal(draw(probas, 10_000, generator), one)
    assert not torch.equal(draw(probas, 10_000, generator), one)
    assert torch.equal(torch.get_rng_state(), before)


@pytest.mark.parametrize("seed", [-1, 2**63, 10**30])
def test_a_seed_that_cannot_be_used(seed: int, tiny: LanguageModel) -> None:
    most = "9,223,372,036,854,775,807"  # 2^63 - 1
    with pytest.raises(GptlossError, match=f"^The seed {seed} cannot be used; use a whole number from 0 to {most}.$"):
        draw(torch.ones(2) / 2, 1, seed)
    with pytest.raises(GptlossError, match=f"The seed {seed}"):
        generate(tiny, "a", seed=seed)


def test_a_text_ends_with_the_first_end_token(tiny: LanguageModel) -> None:
    made = tuple(islice(generate(tiny, "a", seed=1), 8))
    ending: Any = copy(tiny)
    ending.info = replace(tiny.info, eos_ids=(made[4].token.id,))
    assert len(tuple(until_end(ending, made))) == 5
    assert tuple(until_end(tiny, made)) == made


def test_draws_one_by_one_are_those_of_the_books_loop() -> None:
    """Chapter 5.3: 1,000 draws after `torch.manual_seed(123)`."""
    logits = torch.tensor([4.51, 0.89, -1.90, 6.75, 1.63, -1.62, -1.89, 6.28, 1.79])
    counts = torch.bincount(draw_one_by_one(logits.softmax(-1), 1000, 123), minlength=9)
    assert counts.tolist() == [73, 0, 0, 582, 2, 0, 0, 343, 0]
