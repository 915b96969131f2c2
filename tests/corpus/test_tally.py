"""What scored windows add up to."""

import math

import numpy as np
import pytest
import torch

from gptloss import GptlossError
from gptloss.corpus.conventions import Plan, Window
from gptloss.corpus.scoring import ScoredWindow
from gptloss.corpus.tally import Tally


def scored(start: int, first: int, *losses: float) -> ScoredWindow:
    """A window with these losses."""
    stop = first + len(losses) - 1
    return ScoredWindow(
        Window(start, stop, first), torch.zeros(len(losses), dtype=torch.long), -torch.tensor(losses), 2, 5
    )


def test_sums_and_means() -> None:
    tally = Tally(Plan("strided", 4, 2, False))
    assert tally.loss is None
    tally.add(scored(0, 1, 1.0, 2.0, 3.0))
    first = tally.snapshot()
    tally.add(scored(2, 4, 0.25, 25.0))
    result = tally.snapshot()
    assert tally.loss == result.loss == 31.25 / 5 == -result.log_likelihood / result.tokens_scored
    assert (result.window_starts, result.window_tokens) == ((0, 2), (3, 2))
    assert result.window_log_likelihoods == (-6.0, -25.25)
    assert result.position_counts == (1, 2, 2, 0)
    assert result.position_losses == (1.0, 2.25, 28.0, 0.0)
    assert {at: n for at, n in enumerate(result.histogram) if n} == {1: 1, 4: 1, 8: 1, 12: 1, 79: 1}
    assert (result.words, result.bytes) == (4, 10)
    assert result.perplexity == pytest.approx(math.exp(6.25))
    assert result.word_perplexity == pytest.approx(math.exp(31.25 / 4))
    assert result.byte_perplexity == pytest.approx(math.exp(31.25 / 10))
    assert result.bits_per_byte == pytest.approx(31.25 / 10 / math.log(2))
    assert (first.tokens_scored, first.loss, first.loss_stderr) == (3, 2.0, None), "a snapshot stays as it is"
    # two windows: 3 tokens cost 12.75 less than three means, 2 tokens 12.75 more than two; n / (n - 1) is 2
    assert result.loss_stderr == pytest.approx(math.sqrt(2 * (12.75**2 + 12.75**2)) / 5)


def test_the_first_and_the_last_bin_of_the_losses() -> None:
    tally = Tally(Plan("book", 6, 6, False))
    tally.add(scored(0, 1, 0.0, 0.24, 0.25, 19.74, 19.75, 1_000.0))
    assert {at: n for at, n in enumerate(tally.snapshot().histogram) if n} == {0: 2, 1: 1, 78: 1, 79: 2}


def test_sums_hold_what_float32_cannot() -> None:
    tally = Tally(Plan("book", 2, 2, False))
    tally.add(scored(0, 1, 2.0**24, 1.0))
    tally.add(scored(2, 3, 1.0))
    result = tally.snapshot()
    assert result.window_log_likelihoods == (-(2.0**24) - 1, -1.0)
    assert result.position_losses == (2.0**24 + 1, 1.0)
    assert result.log_likelihood == -(2.0**24) - 2


def test_the_standard_error_is_that_of_the_mean_for_equal_windows() -> None:
    draws = np.random.default_rng(0).gamma(2, 3, (400, 8)).astype(np.float32)
    tally = Tally(Plan("book", 8, 8, False))
    for losses in draws:
        tally.add(scored(0, 1, *losses.tolist()))
    means = draws.mean(1, dtype=np.float64)
    assert tally.snapshot().loss_stderr == pytest.approx(means.std(ddof=1) / math.sqrt(400), rel=1e-6)


def test_the_standard_error_foretells_how_the_loss_varies() -> None:
    """For windows of unequal length too: the spread of the losses of many corpora is what each one says of itself."""
    draws = np.random.default_rng(1)
    losses, said = [], []
    for _ in range(300):
        tally = Tally(Plan("strided", 20, 20, False))
        for size in draws.integers(2, 20, 40):
            level = draws.normal(5, 1)
            tally.add(scored(0, 1, *np.abs(draws.normal(level, 1, size)).tolist()))
        result = tally.snapshot()
        losses.append(result.loss)
        said.append(result.loss_stderr or 0.0)
    assert np.mean(said) == pytest.approx(np.std(losses), rel=0.12)


def test_perplexities_past_what_a_float_holds_are_none() -> None:
    tally = Tally(Plan("book", 2, 2, False))
    tally.add(scored(0, 1, 800.0, 800.0))
    assert (tally.snapshot().perplexity, tally.snapshot().word_perplexity) == (None, None)
    tally.words = 0
    assert tally.snapshot().word_perplexity is None
    with pytest.raises(GptlossError, match="Nothing is scored yet"):
        Tally(Plan("book", 2, 2, False)).snapshot()
