"""A distribution before and after sampling has reshaped it: temperature, top-k, top-p."""

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

from jaxtyping import Bool, Float
from torch import Tensor

from gptloss.prediction.distribution import Distribution
from gptloss.prediction.sampling import Sampler


@dataclass(frozen=True, eq=False)
class SampledDistribution:
    """The choice of a next token: V logits, what each token is called, how one is sampled, which one really came."""

    logits: Float[Tensor, " v"]
    label: Callable[[int], str]
    sampler: Sampler
    target: int | None = None

    @cached_property
    def before(self) -> Distribution:
        """The model's own distribution: temperature 1, all tokens."""
        return Distribution(self.logits)

    @cached_property
    def heated(self) -> Distribution:
        """The distribution after the temperature, before anything is cut off; at temperature 0 the model's own."""
        return Distribution(self.logits.double() / (self.sampler.temperature or 1))

    @cached_property
    def keeps(self) -> Bool[Tensor, " v"]:
        """Which tokens are not cut off."""
        return self.sampler.keeps(self.logits)

    @cached_property
    def kept(self) -> int:
        """How many tokens are not cut off."""
        return int(self.keeps.sum())

    @cached_property
    def after(self) -> Float[Tensor, " v"]:
        """ln of the probabilities that are sampled from, in float64; minus infinity for what is cut off."""
        return self.heated.log_probas.masked_fill(~self.keeps, -math.inf).log_softmax(-1)

    @property
    def said(self) -> str:
        """What sampling does to the distribution, in a few words."""
        v = len(self.logits)
        if self.sampler.greedy:
            return "greedy, always the first choice"
        if self.kept < v:
            return f"renormalised over {self.kept:,} of {v:,} tokens"
        return f"all {v:,} tokens, temperature {self.sampler.temperature:g}"
