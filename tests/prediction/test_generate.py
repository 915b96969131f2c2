"""A text continued token by token."""

import itertools
import math
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest
import torch

from gptloss import GptlossError, load_model, score
from gptloss.models import LanguageModel, ModelInfo
from gptloss.models.architectures.gpt2 import GPT2, GPTConfig, untrained
from gptloss.models.architectures.llama import Llama, LlamaConfig, LlamaModel
from gptloss.models.architectures.reader import Recomputed
from gptloss.prediction.sampling import Sampler, generate
from gptloss.tokens import ByteTokenizer, text_of
from tests.helpers.sampling import ids, steps
from tests.helpers.scoring import CONTINUED, PROMPT


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


@pytest.mark.parametrize("seed", [0, 2**63 - 1])
def test_the_smallest_and_the_largest_seed(small: LanguageModel, seed: int) -> None:
    assert steps(2, small, "a", seed=seed) == steps(2, small, "a", seed=seed)
