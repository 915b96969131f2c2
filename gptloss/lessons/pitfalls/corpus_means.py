"""Means that are not the loss, computed from the same windows as the loss."""

import math
from dataclasses import dataclass
from statistics import fmean

from gptloss.corpus.tally import CorpusLoss


@dataclass(frozen=True)
class WrongMeans:
    """What two popular shortcuts give for the loss of windows, in nats per token.

    `batch_means` is the mean of the means of batches, as the book's `calc_loss_loader` has it; it equals the loss
    only if all windows have the same number of tokens. `perplexities` is the log of the mean of the windows'
    perplexities, as the metric in `evaluate` has it; the exponential is convex, so hard windows count for more.
    """

    batch_means: float
    perplexities: float


def wrong_means(result: CorpusLoss, batch: int) -> WrongMeans:
    """The shortcuts for a text whose windows are read in batches of `batch`."""
    sums = zip(result.window_log_likelihoods, result.window_tokens, strict=True)
    losses = [-total / tokens for total, tokens in sums]
    means = [fmean(losses[start : start + batch]) for start in range(0, len(losses), batch)]
    return WrongMeans(fmean(means), log_mean_exp(losses))


def log_mean_exp(values: list[float]) -> float:
    """The log of the mean of e^value. The largest is taken out first, because e^710 is no float."""
    most = max(values)
    return most + math.log(fmean(math.exp(value - most) for value in values))
