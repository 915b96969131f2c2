"""What scored windows add up to: the loss of a text, in sums and in means."""

import math
from array import array
from dataclasses import dataclass

import torch

from gptloss import measures
from gptloss.corpus.conventions import Plan
from gptloss.corpus.scoring import ScoredWindow
from gptloss.errors import GptlossError

# Losses are counted in `BINS` bins of `BIN` nats; the last bin holds all higher ones too.
BINS = 80


BIN = 0.25


@dataclass(frozen=True, eq=False)
class CorpusLoss:
    """What texts cost under a convention, in sums and in means. Logs are natural: losses are in nats.

    `words` and `bytes` are of the scored tokens; a word is what stands between blanks, and lm-evaluation-harness has
    one more for blanks at the beginning of a text and one more for those at its end. Of each window there are its
    start in the stream, its tokens and its summed ln p. `position_counts[i]` and `position_losses[i]` are how many
    targets had i + 1 tokens before them in their window, and their summed loss. `histogram[i]` is how many losses are
    at least `BIN` * i and below the next bin; the last one is open.
    """

    plan: Plan
    tokens_scored: int
    words: int
    bytes: int
    log_likelihood: float
    window_starts: tuple[int, ...]
    window_tokens: tuple[int, ...]
    window_log_likelihoods: tuple[float, ...]
    position_counts: tuple[int, ...]
    position_losses: tuple[float, ...]
    histogram: tuple[int, ...]

    @property
    def loss(self) -> float:
        """The mean loss, in nats per token."""
        return -self.log_likelihood / self.tokens_scored

    @property
    def perplexity(self) -> float | None:
        """e^loss; None past e^709, which no float64 holds."""
        return _exp(self.loss)

    @property
    def word_perplexity(self) -> float | None:
        """e^(nats per word); None for a text of blanks, and past e^709."""
        return _exp(-self.log_likelihood / self.words) if self.words else None

    @property
    def byte_perplexity(self) -> float | None:
        """e^(nats per byte); None past e^709."""
        return _exp(-self.log_likelihood / self.bytes)

    @property
    def bits_per_byte(self) -> float:
        """The loss in bits, spread over the bytes: it can be compared between models with different tokens."""
        return measures.bits_per_byte(-self.log_likelihood, self.bytes)

    @property
    def loss_stderr(self) -> float | None:
        """The standard error of the loss, in nats per token, if windows are a sample; None for fewer than two.

        Of n windows with t tokens and a summed loss of y each, s^2 = n / (n - 1) * sum (y - loss * t)^2 / (sum t)^2:
        the ratio estimator (Cochran, *Sampling Techniques*, 1977, chapter 6).
        """
        n = len(self.window_tokens)
        if n < 2:
            return None
        pairs = zip(self.window_log_likelihoods, self.window_tokens, strict=True)
        squares = math.fsum((-sum_ - self.loss * tokens) ** 2 for sum_, tokens in pairs)
        return math.sqrt(n / (n - 1) * squares) / self.tokens_scored


class Tally:
    """Adds up scored windows of one text or of several."""

    def __init__(self, plan: Plan) -> None:
        self.plan = plan
        self.tokens = self.words = self.bytes = 0
        self.log_likelihood = 0.0
        self._starts, self._tokens, self._sums = array("q"), array("q"), array("d")
        self._counts = torch.zeros(plan.window, dtype=torch.long)
        self._losses = torch.zeros(plan.window, dtype=torch.double)
        self._histogram = torch.zeros(BINS, dtype=torch.long)

    def add(self, scored: ScoredWindow) -> None:
        """Count a window's targets."""
        losses = -scored.log_probas.double()
        log_likelihood = -losses.sum().item()
        self.tokens += len(losses)
        self.words += scored.words
        self.bytes += scored.bytes
        self.log_likelihood += log_likelihood
        self._starts.append(scored.window.start)
        self._tokens.append(len(losses))
        self._sums.append(log_likelihood)
        place = scored.window.first - scored.window.start - 1
        self._counts[place : place + len(losses)] += 1
        self._losses[place : place + len(losses)] += losses
        bins = (losses / BIN).long().clamp(0, BINS - 1)
        self._histogram += torch.bincount(bins, minlength=BINS)

    @property
    def loss(self) -> float | None:
        """The mean loss so far, in nats per token; None before the first window."""
        return -self.log_likelihood / self.tokens if self.tokens else None

    def snapshot(self) -> CorpusLoss:
        """The result so far, which stays as it is. Raises `GptlossError` before the first window."""
        if not self.tokens:
            raise GptlossError("Nothing is scored yet; add a window first.")
        return CorpusLoss(
            plan=self.plan,
            tokens_scored=self.tokens,
            words=self.words,
            bytes=self.bytes,
            log_likelihood=self.log_likelihood,
            window_starts=tuple(self._starts),
            window_tokens=tuple(self._tokens),
            window_log_likelihoods=tuple(self._sums),
            position_counts=tuple(self._counts.tolist()),
            position_losses=tuple(self._losses.tolist()),
            histogram=tuple(self._histogram.tolist()),
        )


def _exp(nats: float) -> float | None:
    try:
        return measures.perplexity(nats)
    except GptlossError:
        return None
