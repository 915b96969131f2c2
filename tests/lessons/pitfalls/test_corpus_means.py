"""Means that are not the loss."""

import math

import pytest

from gptloss.corpus.conventions import Plan
from gptloss.corpus.tally import CorpusLoss
from gptloss.lessons.pitfalls.corpus_means import wrong_means


def loss_of(*windows: tuple[int, float]) -> CorpusLoss:
    """A result with these windows: tokens, and the mean loss of each, in nats."""
    tokens, sums = [count for count, _ in windows], [-count * loss for count, loss in windows]
    plan = Plan("book", 16, 16, False)
    return CorpusLoss(plan, sum(tokens), 0, 0, sum(sums), (), tuple(tokens), tuple(sums), (), (), ())


def test_equal_windows_in_whole_batches_have_the_loss_as_their_mean_of_means() -> None:
    result = loss_of((10, 1.0), (10, 2.0), (10, 3.0), (10, 6.0))
    assert wrong_means(result, 2).batch_means == pytest.approx(result.loss) == pytest.approx(3)


def test_a_short_last_batch_counts_too_much() -> None:
    result = loss_of((10, 1.0), (10, 1.0), (10, 4.0))
    assert result.loss == pytest.approx(2)
    assert wrong_means(result, 2).batch_means == pytest.approx(2.5)


def test_the_mean_of_perplexities_is_above_the_perplexity() -> None:
    result = loss_of((10, 1.0), (10, 3.0))
    assert wrong_means(result, 2).perplexities == pytest.approx(math.log((math.e + math.e**3) / 2))
    assert wrong_means(result, 2).perplexities > result.loss


def test_the_perplexities_of_hard_windows_overflow_nothing() -> None:
    assert wrong_means(loss_of((10, 1000.0), (10, 1000.0)), 2).perplexities == pytest.approx(1000)
