"""Temperature, top-k and top-p against torch in float64; the same text with and without a cache."""

import dataclasses
import itertools
import math
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from transformers import TemperatureLogitsWarper, TopKLogitsWarper, TopPLogitsWarper

from gptloss import GptlossError, load_model, score
from gptloss.models import LanguageModel, ModelInfo
from gptloss.models.architectures.gpt2 import GPT2, GPTConfig, untrained
from gptloss.models.architectures.llama import Llama, LlamaConfig, LlamaModel
from gptloss.models.architectures.reader import Recomputed
from gptloss.prediction.sampling import SampledToken, Sampler, draw, generate
from gptloss.tokens import ByteTokenizer, text_of
from tests.helpers.scoring import CONTINUED, PROMPT

SEEDS = st.integers(0, 2**32 - 1)
SAMPLERS = st.builds(
    Sampler, temperature=st.floats(0, 5), top_k=st.integers(0, 60), top_p=st.floats(0, 1, exclude_min=True)
)
# The book's nine words: closer, every, effort, forward, inches, moves, pizza, toward, you.
NINE = torch.tensor([4.51, 0.89, -1.90, 6.75, 1.63, -1.62, -1.89, 6.28, 1.79])


def logits_of(seed: int, v: int = 50, scale: float = 3.0) -> torch.Tensor:
    return scale * torch.randn(v, generator=torch.Generator().manual_seed(seed))


def steps(n: int, *given: object, **named: object) -> list[SampledToken]:
    return list(itertools.islice(generate(*given, **named), n))  # type: ignore[arg-type]


def ids(made: list[SampledToken]) -> list[int]:
    return [step.token.id for step in made]


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


@pytest.mark.parametrize("seed", [0, 2**63 - 1])
def test_the_smallest_and_the_largest_seed(small: LanguageModel, seed: int) -> None:
    assert steps(2, small, "a", seed=seed) == steps(2, small, "a", seed=seed)


# --- a text continued ---


def recomputed(
    model: LanguageModel, ids: list[int], n: int, sampler: Sampler, seed: int
) -> Iterator[tuple[int, float]]:
    """(id, ln p) of each token, as in the book: the last tokens that fit are read anew for every token."""
    generator = torch.Generator().manual_seed(seed)
    for _ in range(n):
        logits = model.head(model.hidden(torch.tensor([ids[-model.info.context_length :]]))[0, -1:])[0]
        probas = sampler.probas(logits)
        id = int(probas.argmax() if sampler.greedy else torch.multinomial(probas, 1, generator=generator))
        yield id, logits.double().log_softmax(-1)[id].item()
        ids = [*ids, id]


@pytest.fixture(scope="module")
def small() -> LanguageModel:
    """A GPT-2 over bytes, with random weights; context 16."""
    cfg = GPTConfig(256, 16, emb_dim=24, n_heads=3, n_layers=3)
    return GPT2(ModelInfo("small", "Small", "", 256, 16, 0), untrained(cfg), ByteTokenizer())


@pytest.fixture(scope="module")
def llama() -> LanguageModel:
    """A Llama over bytes, with random weights; context 16."""
    torch.manual_seed(0)
    cfg = LlamaConfig(256, 16, emb_dim=24, hidden_dim=40, n_heads=6, n_kv_groups=2, n_layers=3)
    return Llama(ModelInfo("llama", "Llama", "", 256, 16, 0), LlamaModel(cfg), ByteTokenizer())


@pytest.mark.parametrize("prompt", [[7], list(range(1, 13)), list(range(1, 17)), list(range(40))])
@pytest.mark.parametrize("sampler", [Sampler(0.0), Sampler(), Sampler(1.5, 40, 0.9)])
@pytest.mark.parametrize("kind", ["small", "llama"])
def test_the_cache_gives_what_reading_anew_gives(
    kind: str, sampler: Sampler, prompt: list[int], request: pytest.FixtureRequest
) -> None:
    """Before the context is full, across its end and long after it."""
    check_against_reading_anew(request.getfixturevalue(kind), prompt, sampler)


def test_the_cache_gives_what_reading_anew_gives_with_the_whole_vocabulary(tiny: LanguageModel) -> None:
    check_against_reading_anew(tiny, list(range(12)), Sampler(1.5, 400, 0.9))


def check_against_reading_anew(model: LanguageModel, prompt: list[int], sampler: Sampler) -> None:
    wanted = list(recomputed(model, prompt, 24, sampler, seed=9))
    made = steps(24, model, prompt, sampler, seed=9)
    assert ids(made) == [id for id, _ in wanted]
    assert [step.log_proba for step in made] == pytest.approx([log_proba for _, log_proba in wanted], abs=1e-5)


def test_each_token_is_read_once_until_the_context_is_full(
    small: LanguageModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    read: list[int] = []
    monkeypatch.setattr(type(small), "reader", lambda self: Recomputed(self))
    whole = Recomputed.read
    monkeypatch.setattr(Recomputed, "read", lambda self, ids: (read.append(len(ids)), whole(self, ids))[1])
    steps(9, small, list(range(12)))
    assert read == [12, 1, 1, 1, 1, 16, 16, 16, 16]


def test_the_untrained_model_continues_as_in_the_lecture(gpt2: LanguageModel) -> None:
    made = steps(10, gpt2, PROMPT, Sampler(temperature=0.0))
    assert text_of(step.token for step in made) == CONTINUED
    assert [step.proba for step in made] == [1.0] * 10
    assert {step.rank for step in made} == {1}


def test_the_numbers_of_a_step_are_the_models_own(tiny: LanguageModel) -> None:
    """Those that scoring the whole text gives, whatever the sampler."""
    made = steps(6, tiny, PROMPT, Sampler(3.0, top_k=5), seed=4)
    prompt = [token.id for token in tiny.tokenizer.encode(PROMPT)]
    batch = score(tiny, [*prompt, *ids(made)])
    for k, step in enumerate(made, len(prompt) - 1):
        assert step.token == batch.targets[k]
        assert type(step.token.id) is type(step.rank) is int
        assert type(step.proba) is type(step.log_proba) is type(step.entropy) is float
        assert step.log_proba == pytest.approx(batch.log_probas[k].item(), abs=1e-5)
        assert step.rank == batch.ranks[k] <= 5
        assert step.entropy == pytest.approx(batch.entropies[k].item(), abs=1e-5)
        assert step.proba == pytest.approx(Sampler(3.0, top_k=5).probas(batch.logits_at(1, k + 1))[step.token.id])
        assert len(step.top) == 10
        for ours, theirs in zip(step.top, batch.top(1, k + 1, 10), strict=True):
            assert (ours.token, ours.rank) == (theirs.token, theirs.rank)
            assert ours.log_proba == pytest.approx(theirs.log_proba, abs=1e-5)
            assert ours.proba == pytest.approx(theirs.proba, rel=1e-4)


def test_a_small_vocabulary_has_a_short_top() -> None:
    (step,) = steps(1, load_model("bigram"), "Th", Sampler(0.0))
    assert step.token.text == step.top[0].token.text == "e"
    assert math.exp(step.log_proba) == pytest.approx(step.top[0].proba)
    assert [prediction.rank for prediction in steps(1, load_model("uniform"), "Th")[0].top] == [1] * 10


def test_text_follows_from_the_seed_alone(small: LanguageModel) -> None:
    torch.manual_seed(5)
    before = torch.get_rng_state()
    one = steps(20, small, "a", seed=1)
    torch.manual_seed(6)
    assert steps(20, small, "a", seed=1) == one
    assert steps(20, small, "a", seed=torch.Generator().manual_seed(1)) == one
    assert ids(steps(20, small, "a", seed=2)) != ids(one)
    assert steps(20, small, "a") == steps(20, small, "a", seed=123)
    torch.manual_seed(5)
    steps(20, small, "a")
    assert torch.equal(torch.get_rng_state(), before)


def test_two_texts_at_once_do_not_disturb_each_other(small: LanguageModel) -> None:
    one, other = generate(small, "a", seed=1), generate(small, "b", seed=2)
    pairs = list(itertools.islice(zip(one, other, strict=False), 20))
    assert [pair[0] for pair in pairs] == steps(20, small, "a", seed=1)
    assert [pair[1] for pair in pairs] == steps(20, small, "b", seed=2)


def test_nothing_is_read_before_it_is_asked_for(small: LanguageModel, monkeypatch: pytest.MonkeyPatch) -> None:
    heads: list[int] = []
    head = type(small).head
    monkeypatch.setattr(type(small), "head", lambda self, hidden: (heads.append(1), head(self, hidden))[1])
    made = generate(small, "a")
    assert heads == []
    next(made)
    assert heads == [1]


def test_text_and_ids_are_the_same_prompt(tiny: LanguageModel) -> None:
    assert steps(3, tiny, PROMPT) == steps(3, tiny, [6109, 3626, 6100, 345])


@pytest.mark.parametrize("kind", [np.array, torch.tensor])
def test_an_array_of_ids_is_a_prompt(kind: Callable[[list[int]], Any], tiny: LanguageModel) -> None:
    assert steps(3, tiny, kind([6109, 3626, 6100, 345])) == steps(3, tiny, PROMPT)


def test_a_start_token_is_read_first(gpt2: LanguageModel) -> None:
    with_start = steps(3, gpt2, "a", bos=True)
    assert with_start == steps(3, gpt2, [50256, 64])
    assert steps(3, gpt2, "", bos=True) == steps(3, gpt2, [50256])


@pytest.mark.parametrize(
    ("prompt", "bos", "says"),
    [
        ("", False, "The prompt is empty"),
        ([], False, "The prompt is empty"),
        ([60_000], False, "The prompt: There is no token 60000"),
        ("a\ud83d", False, "The prompt: Character 2 of the text"),
        ("a", True, "tiny has no start token"),
    ],
)
def test_a_prompt_that_cannot_be_read(prompt: str | list[int], bos: bool, says: str, tiny: LanguageModel) -> None:
    """The mistake is told at once, not at the first token."""
    with pytest.raises(GptlossError, match=f"^{says}"):
        generate(tiny, prompt, bos=bos)
