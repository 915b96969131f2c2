import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from gptloss import GptlossError, measures

SEEDS = st.integers(0, 2**32 - 1)


def case(seed: int, n: int = 5, v: int = 400, scale: float = 3.0) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(seed)
    logits = scale * torch.randn(n, v, generator=generator)
    return logits, torch.randint(v, (n,), generator=generator)


@given(SEEDS, st.floats(0.01, 50))
def test_log_probas_ranks_and_entropies_against_float64(seed: int, scale: float) -> None:
    logits, targets = case(seed, scale=scale)
    digits = 1e-5 * max(1.0, scale)  # float32 has 7 digits, and a logit of 100 has used three of them
    exact = logits.double().log_softmax(-1)
    wanted = exact[torch.arange(5), targets]
    torch.testing.assert_close(measures.target_log_probas(logits, targets).double(), wanted, atol=digits, rtol=0)
    torch.testing.assert_close(
        measures.entropies(logits).double(), -(exact.exp() * exact).sum(-1), atol=2 * digits, rtol=0
    )
    larger = (logits > logits[torch.arange(5), targets][:, None]).sum(-1)
    assert measures.target_ranks(logits, targets).tolist() == (1 + larger).tolist()


@given(SEEDS, st.floats(-20, 20))
def test_shifting_all_logits_changes_nothing(seed: int, shift: float) -> None:
    logits, targets = case(seed)
    torch.testing.assert_close(
        measures.target_log_probas(logits + shift, targets),
        measures.target_log_probas(logits, targets),
        atol=2e-5,
        rtol=0,
    )


@pytest.mark.parametrize("v", [2, 256, 50257])
def test_uniform_logits_have_perplexity_v(v: int) -> None:
    logits, targets = torch.zeros(3, v), torch.tensor([0, 1, v - 1])
    loss = -measures.target_log_probas(logits, targets).mean().item()
    assert loss == pytest.approx(measures.uniform_loss(v), abs=1e-5)
    assert measures.perplexity(loss) == pytest.approx(v, rel=1e-5)
    torch.testing.assert_close(measures.entropies(logits), torch.full((3,), math.log(v)), atol=1e-4, rtol=0)
    assert measures.target_ranks(logits, targets).tolist() == [1, 1, 1]


def test_entropy_of_a_certain_distribution_is_zero() -> None:
    logits = torch.tensor([[0.0, -torch.inf, -torch.inf]])
    assert measures.entropies(logits).tolist() == [0.0]


def test_bits() -> None:
    assert measures.nats_to_bits(math.log(8)) == pytest.approx(3)


def test_a_loss_over_no_bytes_is_an_error_and_over_one_byte_is_its_bits() -> None:
    assert measures.bits_per_byte(math.log(8), 1) == pytest.approx(3)
    with pytest.raises(GptlossError, match="There are no bytes to spread the loss over"):
        measures.bits_per_byte(1.0, 0)


@given(SEEDS)
def test_what_equals_the_truth_costs_nothing_more(seed: int) -> None:
    logits, _ = case(seed)
    assert measures.kl_divergence(logits, logits).tolist() == [0.0] * 5


def test_perplexity_past_float64_is_an_error_not_infinity() -> None:
    with pytest.raises(GptlossError, match=r"^e\^812\.4 is larger than a float64 can hold; use the loss itself\.$"):
        measures.perplexity(812.37)


@given(SEEDS, st.sampled_from([1, 3, 10]), st.sampled_from([2, 9, 300, 2560, 2561, 5000]), st.booleans())
def test_likeliest_is_topk(seed: int, k: int, v: int, coarse: bool) -> None:
    logits, _ = case(seed, v=v)
    logits = logits.round() if coarse else logits  # many ties
    values, ids = measures.likeliest(logits, k)
    assert torch.equal(values, logits.topk(min(k, v)).values)
    assert torch.equal(logits.gather(-1, ids), values)
    assert all(len(set(row)) == len(row) for row in ids.tolist())


@given(SEEDS, st.floats(0.01, 50))
def test_normalisers_against_float64(seed: int, scale: float) -> None:
    logits, _ = case(seed, scale=scale, n=9)
    sums, _ = measures.normalisers(logits)
    torch.testing.assert_close(sums.double(), logits.double().logsumexp(-1), atol=1e-6 * max(1, scale), rtol=1e-6)


def test_of_equals_the_lower_id_comes_first() -> None:
    assert measures.likeliest(torch.zeros(2, 256), 10)[1].tolist() == [list(range(10))] * 2
