"""One position's distribution, against torch in float64 and against laws."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from gptloss import ScoredBatch
from gptloss.prediction.distribution import Distribution, log_spaced_ranks, softmax_latex
from gptloss.prediction.sampling import Sampler

SEEDS = st.integers(0, 2**32 - 1)


def logits(seed: int, v: int = 300, scale: float = 3.0) -> torch.Tensor:
    return scale * torch.randn(v, generator=torch.Generator().manual_seed(seed))


@given(SEEDS, st.floats(0.01, 60), st.integers(0, 299))
def test_one_token_against_float64(seed: int, scale: float, id: int) -> None:
    line = logits(seed, scale=scale)
    here, exact = Distribution(line), line.double().log_softmax(-1)
    assert here.logit(id) == line[id].item()
    assert here.log_proba(id) == pytest.approx(exact[id].item(), abs=1e-12)
    entropy = torch.distributions.Categorical(logits=line.double()).entropy().item()
    assert here.entropy == pytest.approx(entropy, abs=1e-9)
    assert here.effective_choices == pytest.approx(math.exp(entropy), rel=1e-9)
    assert here.surprisal(id) == -here.log_proba(id)
    assert here.excess(id) == pytest.approx(-exact[id].item() - entropy, abs=1e-9)
    assert here.rank(id) == 1 + int((line > line[id]).sum())


@given(SEEDS, st.floats(0.01, 20), st.lists(st.floats(0.001, 0.999), min_size=1, max_size=5))
def test_holders_by_sorting(seed: int, scale: float, shares: list[float]) -> None:
    line = logits(seed, scale=scale)
    here = Distribution(line)
    probas = sorted(line.double().softmax(-1).tolist(), reverse=True)
    for share, count in zip(shares, here.holders(shares), strict=True):
        assert math.fsum(probas[:count]) >= share - 1e-9
        assert math.fsum(probas[: count - 1]) < share + 1e-9
        assert here.share(np.array([count]))[0] == pytest.approx(math.fsum(probas[:count]), abs=1e-12)


@given(SEEDS, st.integers(1, 400))
def test_the_likeliest_by_sorting(seed: int, k: int) -> None:
    line = logits(seed).mul(2).round()  # with ties
    here = Distribution(line)
    wanted = sorted(range(300), key=lambda id: (-line[id].item(), id))
    assert list(here.likeliest(k)) == wanted[:k]
    assert [here.place(id) for id in wanted] == list(range(1, 301))
    assert all(here.rank(id) <= here.place(id) for id in range(300))


@pytest.mark.parametrize("v", [1, 2, 20, 256, 50257])
def test_uniform_logits_leave_v_choices(v: int) -> None:
    here = Distribution(torch.full((v,), -7.25))
    assert here.effective_choices == pytest.approx(v, rel=1e-9)
    assert here.excess(v - 1) == pytest.approx(0, abs=1e-9)
    assert here.holders([0.5, 1.0]) == (math.ceil(v / 2), v)
    assert here.likeliest(3) == tuple(range(min(3, v)))
    assert (here.rank(v - 1), here.place(v - 1)) == (1, v)


@given(SEEDS, st.integers(-64, 64))
def test_shifting_all_logits_changes_nothing(seed: int, shift: int) -> None:
    line = logits(seed).mul(1024).round() / 1024  # so that the sums are exact
    here, there = Distribution(line), Distribution(line + shift)
    torch.testing.assert_close(here.log_probas, there.log_probas, atol=1e-12, rtol=0)
    assert here.entropy == pytest.approx(there.entropy, abs=1e-12)
    assert here.likeliest(20) == there.likeliest(20)
    assert here.holders() == there.holders()


def test_a_certain_distribution() -> None:
    here = Distribution(torch.tensor([-torch.inf, 0.0, -torch.inf]))
    assert here.entropy == 0
    assert here.effective_choices == 1
    assert here.holders() == (1, 1, 1)
    assert here.rank(1) == 1
    assert here.rank(0) == 2


def test_top_p_cuts_what_top_k_left() -> None:
    here = Distribution(torch.tensor([0.4, 0.3, 0.2, 0.1]).log())
    assert here.cuts() == (4, 4)
    assert here.cuts(top_k=2) == (2, 4)
    assert here.cuts(top_p=0.7) == (4, 2)
    assert here.cuts(top_p=0.71) == (4, 3)
    assert here.cuts(top_k=2, top_p=0.57) == (2, 1)  # 0.4 of 0.7 is 0.571
    assert here.cuts(top_k=9, top_p=1e-9) == (4, 1)


# Nearer to 1 than the rounding of a sum, a cut is where the last digit says.
TOP_PS = st.floats(0.05, 1 - 1e-9) | st.just(1.0)


@given(SEEDS, st.integers(0, 40), TOP_PS, st.floats(0, 5), st.booleans())
def test_the_cuts_are_the_samplers(seed: int, top_k: int, top_p: float, scale: float, equals: bool) -> None:
    line = logits(seed, scale=scale)
    line = line.round() if equals else line
    kept = int(Sampler(top_k=top_k, top_p=top_p).keeps(line).sum())
    assert min(Distribution(line).cuts(top_k, top_p)) == kept


@pytest.mark.parametrize("v", [4, 10, 20, 256])
def test_any_tenth_of_equal_tokens_is_cut_as_the_sampler_cuts(v: int) -> None:
    line = torch.zeros(v)
    for tenths in range(1, 10):
        kept = int(Sampler(top_p=tenths / 10).keeps(line).sum())
        assert Distribution(line).cuts(top_p=tenths / 10) == (v, kept) == (v, -(-v * tenths // 10))


def test_top_k_leaves_all_that_equal_the_last() -> None:
    here = Distribution(torch.tensor([2.0, 1.0, 1.0, 1.0, 0.0]))
    assert here.cuts(top_k=2) == (4, 5)
    assert here.cuts(top_k=1) == (1, 5)
    assert here.cuts(top_k=2, top_p=0.8) == (4, 3)  # of 0.474, 0.175, 0.175 and 0.175


@pytest.mark.parametrize("v", [1, 2, 50, 256, 50257])
def test_ranks_run_from_first_to_last(v: int) -> None:
    ranks = log_spaced_ranks(v, 200)
    assert len(ranks) <= 200
    assert (ranks[0], ranks[-1]) == (1, v)
    assert (np.diff(ranks) > 0).all()


def test_a_distribution_of_the_lecture(lecture: ScoredBatch) -> None:
    here = Distribution(lecture.logits_at(1, 2))
    assert here.surprisal(6100) == pytest.approx(10.3796, abs=5e-5)
    assert here.rank(6100) == 7247
    assert here.likeliest(1) == (339,)
    half, most, nearly = here.holders()
    assert 1 < half < most < nearly < 50257


def test_softmax_of_one_token_is_written_out(lecture: ScoredBatch) -> None:
    here = Distribution(lecture.logits_at(1, 2))
    line = lecture.logits_at(1, 2).double()
    latex = softmax_latex(here, 6100)
    assert rf"e^{{{line[6100]:.4f} - {line.max():.4f}}}" in latex
    assert f"{(line - line.max()).exp().sum():,.1f}".replace(",", "{,}") in latex
    assert r"3.106 \cdot 10^{-5}" in latex
    assert "50257" in latex


def test_softmax_of_huge_logits_does_not_overflow() -> None:
    latex = softmax_latex(Distribution(torch.tensor([3e4, -3e4, 0.0])), 1)
    assert r"e^{-30000.0000 - 30000.0000}" in latex
    assert "inf" not in latex
    assert r"\cdot 10^{-26058}" in latex


def test_softmax_of_negative_largest_has_a_bracket() -> None:
    assert r"e^{-3.0000 - (-1.0000)}" in softmax_latex(Distribution(torch.tensor([-1.0, -3.0])), 1)
