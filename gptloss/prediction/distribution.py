"""One position's whole distribution: what V logits say, about all tokens together and about each one."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from gptloss.numbers import latex_number, perplexity_text, proba_text

# So that twenty probabilities of 1/20 hold half of it in ten, whatever the last digit of their sum.
ROUNDING = 1e-12
# The shares of the probability that are asked for by name.
SHARES = (0.5, 0.9, 0.99)


@dataclass(frozen=True, eq=False)
class Distribution:
    """The softmax of V logits, worked out in float64. Logs are in nats; rank 1 is the first choice.

    Adding the same amount to all logits changes nothing here but `logit`.
    """

    logits: Float[Tensor, " v"]

    @cached_property
    def log_probas(self) -> Float[Tensor, " v"]:
        """ln p of every token: its logit minus the logsumexp of all."""
        return self.logits.double().log_softmax(-1)

    @cached_property
    def ordered(self) -> Float[np.ndarray, " v"]:
        """The same from the likeliest token to the least likely."""
        return np.sort(self.log_probas.numpy())[::-1]

    @cached_property
    def entropy(self) -> float:
        """-sum p ln p: the surprisal that the model itself expects on average, in nats (Shannon 1948)."""
        return -(self.log_probas.exp() * self.log_probas).nan_to_num(0.0).sum().item()  # 0 ln 0 = 0

    @property
    def effective_choices(self) -> float:
        """e^entropy: the number of equally likely tokens that would be as hard to choose between."""
        return math.exp(self.entropy)

    def __len__(self) -> int:
        """V."""
        return len(self.logits)

    def logit(self, id: int) -> float:
        """The token's score before the softmax."""
        return self.logits[id].item()

    def log_proba(self, id: int) -> float:
        """ln p of the token, in nats."""
        return self.log_probas[id].item()

    def surprisal(self, id: int) -> float:
        """-ln p, what the token costs if it comes, in nats."""
        return -self.log_proba(id)

    def excess(self, id: int) -> float:
        """Surprisal minus entropy, in nats: above 0, the token is a worse surprise than the model expected."""
        return self.surprisal(id) - self.entropy

    def rank(self, id: int) -> int:
        """1 + the number of strictly larger logits."""
        return 1 + int((self.logits > self.logits[id]).sum())

    def place(self, id: int) -> int:
        """The rank, but of equally likely tokens the smaller id goes first, so that no two share a place."""
        return self.rank(id) + int((self.logits[:id] == self.logits[id]).sum())

    def likeliest(self, k: int) -> tuple[int, ...]:
        """The ids of the k likeliest tokens, by their place; all V if there are fewer."""
        threshold = self.logits.topk(min(k, len(self))).values[-1]
        ids: Int[np.ndarray, " m"] = (self.logits >= threshold).nonzero()[:, 0].numpy()
        best = np.lexsort((ids, -self.logits[ids].double().numpy()))[:k]
        return tuple(ids[best].tolist())

    @cached_property
    def _held(self) -> Float[np.ndarray, " v"]:
        return np.exp(self.ordered).cumsum()

    def share(self, ranks: Int[np.ndarray, " n"]) -> Float[np.ndarray, " n"]:
        """How much of the probability the r likeliest tokens hold together, for each r from 1 to V."""
        return self._held[ranks - 1].clip(max=1.0)

    def holders(self, shares: Sequence[float] = SHARES) -> tuple[int, ...]:
        """How many of the likeliest tokens it takes to hold each share (0 to 1) of the probability."""
        return tuple(fewest(self._held, share) for share in shares)

    def cuts(self, top_k: int = 0, top_p: float = 1.0) -> tuple[int, int]:
        """How many tokens top-k leaves, and how many top-p leaves of those; V where it is off (0 and 1).

        Top-k leaves all that equal the k-th too. Top-p leaves the fewest of the likeliest tokens whose share of what
        top-k left is at least `top_p` (Holtzman et al. 2020).
        """
        left = int(largest(self.logits, top_k).sum())
        return left, len(self) if top_p >= 1 else fewest(self._held, top_p * self._held[left - 1])


def largest(logits: Float[Tensor, " v"], k: int) -> Bool[Tensor, " v"]:
    """Which are the k largest logits or equal the k-th; 0 is all.

    Source: transformers and chapter 5.3 of the book, which cut off what is smaller than the k-th.
    """
    if not 0 < k < len(logits):
        return torch.ones_like(logits, dtype=torch.bool)
    return logits >= logits.topk(k).values[-1]


def fewest(held: Float[np.ndarray, " v"], share: float) -> int:
    """How many of the likeliest tokens it takes to hold a share, from what the first, the first two, ... hold."""
    return min(1 + int(np.searchsorted(held, share * (1 - ROUNDING))), len(held))


def log_spaced_ranks(v: int, points: int) -> Int[np.ndarray, " n"]:
    """At most `points` ranks from 1 to V, evenly spaced in their logarithm."""
    return np.unique(np.geomspace(1, v, points).round().astype(int))


def softmax_latex(distribution: Distribution, id: int) -> str:
    """The softmax of one token with its numbers; the largest logit is taken off all, so that nothing overflows."""
    largest = distribution.logits.max().item()
    power = distribution.logit(id) - largest
    total = power - distribution.log_proba(id)
    shown = f"{largest:.4f}" if largest >= 0 else f"({largest:.4f})"
    below = latex_number(perplexity_text(total))
    return (
        rf"\begin{{aligned}} p &= \frac{{e^{{z - z_\text{{max}}}}}}"
        rf"{{\sum_{{v=1}}^{{{len(distribution)}}} e^{{z_v - z_\text{{max}}}}}}"
        rf" = \frac{{e^{{{distribution.logit(id):.4f} - {shown}}}}}{{{below}}}"
        rf" \\[1em] &= \frac{{{latex_number(proba_text(power, digits=3))}}}{{{below}}}"
        rf" = {latex_number(proba_text(distribution.log_proba(id), digits=3))} \end{{aligned}}"
    )
