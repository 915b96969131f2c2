"""From logits to the next token: temperature, top-k, top-p, a draw; and a text continued token by token."""

import operator
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from math import inf

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from gptloss import measures
from gptloss.errors import GptlossError
from gptloss.models.base import LanguageModel
from gptloss.prediction.distribution import fewest, largest
from gptloss.scoring.predictions import Prediction, predictions
from gptloss.scoring.rows import TextOrIds, start_token, tokens_of
from gptloss.scoring.score import TOP
from gptloss.tokens import Token

SEEDS = 2**63


@dataclass(frozen=True)
class Sampler:
    """How a token is chosen from logits: they are divided by `temperature`, then cut by `top_k`, then by `top_p`.

    `temperature` 0 is greedy: all mass is on the largest logit, the first of equals. `top_k` keeps the k largest
    logits and all that equal the k-th, 0 keeps all. `top_p` keeps the smallest set of likeliest tokens whose mass
    reaches p, at least one, 1 keeps all; of equals the lower id is first. What is kept is renormalised. The order is
    transformers'; the book's top-k before the temperature gives the same, because temperature keeps ranks. Raises
    `GptlossError` for a temperature below 0 or not finite, a `top_k` below 0, and a `top_p` that is not in (0, 1].

    Source: chapter 5.3 of *Build a Large Language Model (From Scratch)*; top-p: Holtzman et al. 2020.
    """

    temperature: float = 1.0
    top_k: int = 0
    top_p: float = 1.0

    def __post_init__(self) -> None:
        if not 0 <= self.temperature < inf:
            raise GptlossError(
                f"A temperature of {self.temperature} cannot be used; give a finite number, 0 (greedy) or more."
            )
        if self.top_k < 0:
            raise GptlossError(f"A top-k of {self.top_k} keeps no token; use 1 or more, or 0 for all.")
        if not 0 < self.top_p <= 1:
            raise GptlossError(f"A top-p of {self.top_p} is no mass to keep; use more than 0 and at most 1 (all).")

    @property
    def greedy(self) -> bool:
        """Whether the first choice is always taken."""
        return self.temperature == 0

    def keeps(self, logits: Float[Tensor, " v"]) -> Bool[Tensor, " v"]:
        """Which tokens are not cut off."""
        if self.greedy:
            return torch.arange(len(logits)) == logits.argmax()
        kept = largest(logits, self.top_k)
        return kept if self.top_p == 1 else _top_p(self._softmax(logits, kept), self.top_p)

    def probas(self, logits: Float[Tensor, " v"]) -> Float[Tensor, " v"]:
        """The distribution that is drawn from, in float64; it sums to 1."""
        kept = self.keeps(logits)
        return kept.double() if self.greedy else self._softmax(logits, kept)

    def _softmax(self, logits: Float[Tensor, " v"], kept: Bool[Tensor, " v"]) -> Float[Tensor, " v"]:
        below = logits.double() - logits.max()  # so that no temperature makes it infinite
        return (below / self.temperature).masked_fill(~kept, -inf).softmax(-1)


def _top_p(probas: Float[Tensor, " v"], p: float) -> Bool[Tensor, " v"]:
    best = probas.sort(descending=True, stable=True)
    count = fewest(best.values.cumsum(-1).numpy(), p)
    return torch.zeros_like(probas, dtype=torch.bool).scatter(-1, best.indices[:count], True)


def draw(probas: Float[Tensor, " v"], n: int, seed: int | torch.Generator) -> Int[Tensor, " n"]:
    """n ids drawn with these probabilities, each anew from all.

    The same seed gives the same ids; a generator goes on from where it is. PyTorch's own is never used. Raises
    `GptlossError` for a seed that is not 0 to 2^63 - 1.
    """
    return torch.multinomial(probas, n, replacement=True, generator=_generator(seed))


def draw_one_by_one(probas: Float[Tensor, " v"], n: int, seed: int | torch.Generator) -> Int[Tensor, " n"]:
    """The same, but each id is drawn by a call of its own, as in the book's loop: other ids, of the same probability.

    For a small vocabulary: each call makes V random numbers, which takes 2 ms for 50,000 tokens.

    Source: `print_sampled_tokens` in chapter 5.3 of *Build a Large Language Model (From Scratch)*.
    """
    generator = _generator(seed)
    return torch.cat([torch.multinomial(probas, 1, generator=generator) for _ in range(n)])


def _generator(seed: int | torch.Generator) -> torch.Generator:
    if isinstance(seed, torch.Generator):
        return seed
    if not 0 <= seed < SEEDS:
        raise GptlossError(f"The seed {seed} cannot be used; use a whole number from 0 to {SEEDS - 1:,}.")
    return torch.Generator().manual_seed(operator.index(seed))


@dataclass(frozen=True)
class SampledToken:
    """One generated token. `proba` is what it was drawn with; all the rest is the model's own, at temperature 1.

    `log_proba` and `entropy` are in nats, `rank` 1 is the first choice, `top` has the ten likeliest tokens.
    """

    token: Token
    proba: float
    log_proba: float
    rank: int
    entropy: float
    top: tuple[Prediction, ...]


def generate(
    model: LanguageModel,
    prompt: TextOrIds,
    sampler: Sampler = Sampler(),
    *,
    seed: int | torch.Generator = 123,
    bos: bool = False,
) -> Iterator[SampledToken]:
    """Continue a text or a list of ids, token by token, without end; each token is made when it is asked for.

    The same seed gives the same tokens; a generator goes on from where it is. `bos=True` puts the model's start
    token in front, and then the prompt may be empty. The model reads each token once. When its context is full it
    reads, as in the book, the last `info.context_length` tokens anew at every step; so it does with a prompt that is
    longer. Raises `GptlossError` for an empty prompt, a start token that the model does not have, and a seed that
    is not 0 to 2^63 - 1.
    """
    before = (start_token(model),) if bos else ()
    if not len(prompt) and not bos:
        raise GptlossError("The prompt is empty; type some text, or ask for the start token.")
    tokens = tokens_of(model.tokenizer, prompt, "The prompt") if len(prompt) else ()
    return _steps(model, [token.id for token in before + tokens], sampler, _generator(seed))


def until_end(model: LanguageModel, steps: Iterable[SampledToken]) -> Iterator[SampledToken]:
    """The tokens up to and with the first that ends a text (`info.eos_ids`), if one comes."""
    for step in steps:
        yield step
        if step.token.id in model.info.eos_ids:
            return


def _steps(
    model: LanguageModel, ids: Sequence[int], sampler: Sampler, generator: torch.Generator
) -> Iterator[SampledToken]:
    window = deque(ids, model.info.context_length)
    reader, unread = model.reader(), list(window)
    while True:
        logits = model.head(reader.read(torch.tensor(unread))[-1:])[0]
        probas = sampler.probas(logits)
        id = int(probas.argmax() if sampler.greedy else draw(probas, 1, generator))
        yield _step(model, logits, id, probas[id].item())
        window.append(id)
        unread = [id]
        if reader.length == window.maxlen:
            reader, unread = model.reader(), list(window)


def _step(model: LanguageModel, logits: Float[Tensor, " v"], id: int, proba: float) -> SampledToken:
    line, chosen = logits[None], torch.tensor([id])
    normaliser, entropy = measures.normalisers(line)
    values, ids = measures.likeliest(line, TOP)
    return SampledToken(
        token=model.tokenizer.token(id),
        proba=proba,
        log_proba=(measures.target_logits(line, chosen) - normaliser).item(),
        rank=int(measures.target_ranks(line, chosen)),
        entropy=entropy.item(),
        top=predictions(model.tokenizer, ids[0], values[0], normaliser[0]),
    )
