"""Is a loss good? Where it stands between 0 and a blind guess, and why random weights are worse than guessing."""

import math
from dataclasses import dataclass
from functools import cached_property

from gptloss import measures
from gptloss.numbers import Units, in_units, perplexity_text
from gptloss.scoring.batch import CHUNK, ScoredBatch

# So near to a blind guess, in nats per token, nothing of the text was known.
NEAR = 0.05
# Shares of a blind guess's loss that are saved, and how good that is.
SOME, MUCH = 0.2, 0.6
# Below this perplexity the model is nearly certain of every token.
CERTAIN = 1.05


@dataclass(frozen=True)
class Standing:
    """A loss in nats per token, and the size of the vocabulary that the model chose from."""

    loss: float
    v: int

    @property
    def guess(self) -> float:
        """ln V: what a blind guess costs, which gives each token 1/V."""
        return measures.uniform_loss(self.v)

    @property
    def skill(self) -> float:
        """(ln V - loss) / ln V: the share of a blind guess's loss that is saved; below 0, worse than that."""
        return (self.guess - self.loss) / self.guess if self.guess else 0.0

    def question(self, units: Units) -> str:
        return f"Is {in_units(self.loss, units):.2f} good?"

    def answer(self, units: Units) -> str:
        """A sentence or two, for any loss."""
        guess, away = f"{in_units(self.guess, units):.2f}", in_units(abs(self.guess - self.loss), units)
        if abs(self.guess - self.loss) < NEAR:
            return f"No. A blind guess costs {guess}, nearly the same: the model knows nothing of this text."
        if self.loss > self.guess:
            return f"No. A blind guess costs {guess}, which is {away:.2f} less: the model bets on the wrong tokens."
        saved = f"It saves {self.skill:.0%} of the {guess} that a blind guess costs"
        choices = f"as unsure as among {choices_text(self.loss)} tokens instead of {self.v:,}"
        if math.exp(self.loss) < CERTAIN:
            return f"It is nearly perfect: {saved.lower()}. So sure is a model only of what it has read before."
        if self.skill < SOME:
            return f"Hardly. {saved}: {choices}."
        return f"{'Partly' if self.skill < MUCH else 'Yes'}. {saved}: {choices}."


def choices_text(loss: float) -> str:
    """The perplexity as a number of equally likely choices: a whole one where it is large."""
    if loss < math.log(100):
        return f"{math.exp(loss):.2f}"
    return f"{int(math.exp(loss)):,}" if loss < math.log(1e6) else perplexity_text(loss)


@dataclass(frozen=True, eq=False)
class Spread:
    """How far the logits of a scored text lie from each other.

    Logits that are drawn at random, independently of the target, with variance s^2, cost ln V + s^2/2 on average:
    ln of the mean of e^z is s^2/2 for normal z, and the target's own logit is 0 on average.
    """

    batch: ScoredBatch

    @property
    def positions(self) -> int:
        """How many positions are measured: the first ones of a long text."""
        return min(len(self.batch), CHUNK)

    @cached_property
    def variance(self) -> float:
        """s^2: the variance of the V logits at a position, averaged over the positions."""
        logits = self.batch.logits_of(range(self.positions))
        return logits.double().var(-1, correction=0).mean().item()

    @property
    def expected(self) -> float:
        """ln V + s^2/2, in nats: what such logits cost if they know nothing of the target."""
        return measures.uniform_loss(self.batch.model.info.vocab_size) + self.variance / 2
