"""The loss of a text of any length: streamed, window by window, in constant memory.

    plan = conventions.plan("rolling", model.info)
    tally = Tally(plan)
    for scored in scored_windows(model, corpus_text.pieces_of(Path("book.txt")), plan):
        tally.add(scored)
    tally.snapshot().loss

The mean is weighted by tokens: a mean of the means of windows or of batches would be another number.
"""

import math
from array import array
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice

import torch
from jaxtyping import Float, Int
from torch import Tensor

from gptloss import measures
from gptloss.corpus.conventions import Plan, Window
from gptloss.corpus.head import log_probas
from gptloss.corpus.stream import Read, TooShortError, reads
from gptloss.errors import GptlossError
from gptloss.models.base import LanguageModel
from gptloss.scoring.states import hidden_together

__all__ = ["CorpusLoss", "ScoredWindow", "Tally", "TooShortError", "scored_windows"]

# Tokens of the windows that run together: fewer leave the machine idle, more take memory and gain nothing.
TOKENS = 512
# Losses are counted in so many bins of so many nats; the last one holds all that are higher, too.
BINS = 80
BIN = 0.25


@dataclass(frozen=True, eq=False)
class ScoredWindow:
    """A window, its scored targets and ln p of each, in nats; and the words and bytes of those targets.

    A word counts in the first window that scores a part of it.
    """

    window: Window
    ids: Int[Tensor, " t"]
    log_probas: Float[Tensor, " t"]
    words: int
    bytes: int


def scored_windows(
    model: LanguageModel, pieces: Iterable[str], plan: Plan, *, skip: int = 0
) -> Iterator[ScoredWindow]:
    """The windows of one text, scored, in order; a few run together.

    The text comes in pieces of any size and is never whole in memory, if its tokenizer allows; its tokens are those
    of the whole. The first `skip` windows are read and neither computed nor given. Raises `TooShortError` for a text
    of which nothing is scored, and `GptlossError` for a probability that is 0 or no number.
    """
    passed = 0
    for batch in batches(model, pieces, plan):
        if passed + len(batch) > skip:
            yield from score_batch(model, batch)[max(0, skip - passed) :]
        passed += len(batch)


def batches(model: LanguageModel, pieces: Iterable[str], plan: Plan) -> Iterator[list[Read]]:
    """The windows of a text, as many together as one forward pass takes. Raises `TooShortError`."""
    windows = reads(model, pieces, plan)
    while batch := list(islice(windows, max(1, TOKENS // plan.window))):
        yield batch


def score_batch(model: LanguageModel, batch: Sequence[Read]) -> list[ScoredWindow]:
    """One forward pass. Raises `GptlossError` for a probability that is 0 or no number."""
    return [_checked(model, scored) for scored in with_log_probas(batch, forward(model, batch))]


def with_log_probas(batch: Sequence[Read], log_probas: Float[Tensor, " n"]) -> list[ScoredWindow]:
    """The windows with the log-probabilities of their targets, which are given as one list of n."""
    parts = torch.split(log_probas, [read.window.scored for read in batch])
    return [
        ScoredWindow(read.window, torch.from_numpy(read.targets), part, read.words, read.bytes)
        for read, part in zip(batch, parts, strict=True)
    ]


@torch.no_grad()
def forward(model: LanguageModel, batch: Sequence[Read]) -> Float[Tensor, " n"]:
    """ln p of the targets of all windows, as one list; in float64 if the model computes in it, else in float32."""
    targets = torch.cat([torch.from_numpy(read.targets) for read in batch])
    return log_probas(model, _hidden(model, batch), targets)


def _hidden(model: LanguageModel, batch: Sequence[Read]) -> Float[Tensor, "n d"]:
    """The states that predict the targets."""
    hidden = hidden_together(model, [torch.from_numpy(read.ids) for read in batch])
    return torch.cat([states[-read.window.scored :] for read, states in zip(batch, hidden, strict=True)])


def _checked(model: LanguageModel, scored: ScoredWindow) -> ScoredWindow:
    """The window, if all its losses are numbers."""
    bad = (~scored.log_probas.isfinite()).nonzero()
    if not len(bad):
        return scored
    k = int(bad[0])
    token = model.tokenizer.token(int(scored.ids[k]))
    raise GptlossError(
        f"{model.info.name} gives {token.label!r}, token {scored.window.first + k + 1:,} of what it reads, the"
        f" log-probability {scored.log_probas[k].item()}, so the text has no loss; use another model."
    )


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
    """Adds scored windows up, of one text or of several."""

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
