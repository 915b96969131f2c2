"""What a model reaches that only counts: marks on the way from ln V down to 0."""

import math

import torch
from jaxtyping import Float, Int
from torch import Tensor

from gptloss.training.snapshot import Baselines


def baselines(training: Int[Tensor, " n"], validation: Int[Tensor, " m"], v: int) -> Baselines:
    """The three losses over the same targets: all tokens of the validation part but the first.

    The unigram adds one to every count (Laplace). The bigram mixes the counts after a token with the unigram as if
    that had been seen once there, p(b|a) = (n(ab) + p(b)) / (n(a) + 1) (MacKay and Peto 1995).
    """
    counts = torch.bincount(training, minlength=v).double()
    single = (counts + 1) / (len(training) + v)
    before, after = validation[:-1], validation[1:]
    return Baselines(math.log(v), _mean_loss(single[after]), _mean_loss(_bigram(training, before, after, single, v)))


def skill(loss: float, v: int) -> float:
    """The share of the way from a blind guess to certainty: 1 - loss / ln V; below 0 if it is worse."""
    return 1 - loss / math.log(v)


def _bigram(
    training: Int[Tensor, " n"],
    before: Int[Tensor, " m"],
    after: Int[Tensor, " m"],
    single: Float[Tensor, " v"],
    v: int,
) -> Float[Tensor, " m"]:
    pairs, counts = torch.unique(training[:-1] * v + training[1:], return_counts=True)
    wanted = before * v + after
    at = torch.searchsorted(pairs, wanted).clamp(max=len(pairs) - 1)
    seen = torch.where(pairs[at] == wanted, counts[at], 0)
    followed = torch.bincount(training[:-1], minlength=v)
    return (seen + single[after]) / (followed[before] + 1)


def _mean_loss(probas: Float[Tensor, " m"]) -> float:
    return -float(probas.log().mean())
