"""Means that are not the loss: of probabilities, of perplexities, of means."""

import math
from collections.abc import Iterable, Sequence
from statistics import fmean

import torch

from gptloss.lessons.pitfalls.case import Comparison, Lab, loss, perplexity
from gptloss.lessons.pitfalls.corpus_means import log_mean_exp
from gptloss.numbers import counted
from gptloss.scoring.batch import ScoredBatch

LOSS, PERPLEXITY = "Loss, nats per token", "Perplexity"


def losses_of(batch: ScoredBatch) -> list[float]:
    """-ln p of each target, in nats."""
    values: list[float] = (-batch.log_probas.double()).tolist()
    return values


def rows_of(batch: ScoredBatch) -> list[list[float]]:
    """The losses of each row."""
    parts = torch.split(-batch.log_probas.double(), [len(row.targets) for row in batch.rows])
    return [part.tolist() for part in parts]


def token_perplexities(lab: Lab) -> Comparison:
    """The mean of e^loss of each token, instead of e^(mean loss)."""
    losses = losses_of(lab.batch)
    right = perplexity("e to the mean loss", "perplexity = torch.exp(losses.mean())", fmean(losses))
    wrong = perplexity("mean of e to each loss", "perplexity = torch.exp(losses).mean()", log_mean_exp(losses))
    return Comparison(PERPLEXITY, right, (wrong,))


def row_perplexities(lab: Lab) -> Comparison:
    """The mean of the rows' perplexities."""
    right = perplexity("all tokens at once", "perplexity = torch.exp(losses.mean())", fmean(losses_of(lab.batch)))
    by_row = [fmean(row) for row in rows_of(lab.batch)]
    wrong = perplexity(
        f"mean over {counted(len(by_row), 'row')}",
        "perplexity = mean(torch.exp(row.mean()) for row in rows)",
        log_mean_exp(by_row),
    )
    return Comparison(PERPLEXITY, right, (wrong,))


def log_of_mean(lab: Lab) -> Comparison:
    """-ln of the mean probability."""
    losses = losses_of(lab.batch)
    right = loss("mean of the logs", "loss = -torch.log(target_probas).mean()", fmean(losses))
    log = log_mean_exp([-value for value in losses])
    wrong = loss("log of the mean", "loss = -torch.log(target_probas.mean())", -log)
    return Comparison(LOSS, right, (wrong,))


def means_of_means(lab: Lab) -> Comparison:
    """The mean of the means of batches that are not equally large, and the same over rows."""
    losses, rows = losses_of(lab.batch), rows_of(lab.batch)
    right = loss("weighted by tokens", "loss = sum_of_losses / number_of_tokens", fmean(losses))
    size = max(1, 2 * len(losses) // 3)
    batches = [losses[:size], losses[size:]] if size < len(losses) else [losses]
    wrong = loss(
        f"batches of {' and '.join(str(len(batch)) for batch in batches)}",
        "loss = mean(batch.mean() for batch in batches)",
        _mean_of_means(batches),
    )
    steps = loss(
        f"gradient accumulation over {counted(len(rows), 'row')}",
        "(row_loss.mean() / number_of_rows).backward()",
        _mean_of_means(rows),
    )
    return Comparison(LOSS, right, (wrong, steps))


def wrong_base(lab: Lab) -> Comparison:
    """2 to the power of a loss in nats."""
    nats = fmean(losses_of(lab.batch))
    right = perplexity("e to the nats", "perplexity = torch.exp(loss)", nats)
    wrong = perplexity("2 to the nats", "perplexity = 2 ** loss", nats * math.log(2))
    return Comparison(PERPLEXITY, right, (wrong,))


def _mean_of_means(parts: Iterable[Sequence[float]]) -> float:
    return fmean(fmean(part) for part in parts)
