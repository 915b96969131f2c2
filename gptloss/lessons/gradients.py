"""The gradient of the loss at the logits, (softmax - one-hot) / N, with its numbers.

Source: chapter 5 of *Build a Large Language Model (From Scratch)* trains by it; the formula is in Bishop,
*Pattern Recognition and Machine Learning*, 2006, equation 4.109.
"""

import math
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from gptloss.numbers import latex_number, position_name, proba_text
from gptloss.scoring.batch import ScoredBatch
from gptloss.tokens import Token


@dataclass(frozen=True)
class Push:
    """How a gradient step pushes the logit of one token: by minus `gradient`, so that below 0 it goes up."""

    token: Token
    gradient: float
    is_target: bool


def logit_gradient(batch: ScoredBatch, i: int, j: int) -> Float[Tensor, " v"]:
    """The derivative of the mean loss of the batch with respect to each of the V logits at (i, j), in float64.

    It is p/N for every token, and (p - 1)/N for the target; so all of them add up to 0.
    """
    gradient = batch.distribution(i, j).double()
    gradient /= gradient.sum()
    gradient[batch.targets[batch.index(i, j)].id] -= 1
    return gradient / len(batch)


def pushes(batch: ScoredBatch, i: int, j: int, k: int = 8) -> tuple[Push, ...]:
    """The target, then the k other tokens that are pushed down hardest, which are the likeliest ones."""
    gradient = logit_gradient(batch, i, j)
    target = batch.targets[batch.index(i, j)]
    others = [p.token for p in batch.top(i, j, k + 1) if p.token != target][:k]
    return tuple(Push(token, gradient[token.id].item(), token == target) for token in (target, *others))


def gradient_latex(batch: ScoredBatch, i: int, j: int) -> str:
    """The formula at the target of (i, j), with the numbers of the batch."""
    at = position_name(i, j)[1:]
    proba = latex_number(proba_text(batch.log_probas[batch.index(i, j)].item()))
    value = logit_gradient(batch, i, j)[batch.targets[batch.index(i, j)].id].item()
    return (
        rf"\begin{{aligned}}\frac{{\partial\,\text{{loss}}}}{{\partial z_{{{at}}}}} &= \frac{{p_{{{at}}} - 1}}{{N}}"
        rf" \\ &= \frac{{{proba} - 1}}{{{len(batch)}}} = {value:.4f}\end{{aligned}}"
    )


@dataclass(frozen=True)
class LogitCurve:
    """-ln p of a target as a function of its logit, all other logits staying as they are.

    `logit` and `loss` are where it stands; `others` is ln of the sum of e^z over the other tokens.
    """

    logit: float
    others: float

    @property
    def loss(self) -> float:
        """-ln p at the logit, in nats."""
        return self.at(self.logit)

    @property
    def slope(self) -> float:
        """The slope of the curve at the logit: p - 1."""
        return math.exp(-self.loss) - 1

    def at(self, logit: float) -> float:
        """-ln p at another logit, in nats: ln(1 + e^(others - z))."""
        gap = self.others - logit
        return gap + math.log1p(math.exp(-gap)) if gap > 0 else math.log1p(math.exp(gap))

    def tangent(self, logit: float) -> float:
        """The line that touches the curve where it stands."""
        return self.loss + self.slope * (logit - self.logit)


def logit_curve(batch: ScoredBatch, i: int, j: int) -> LogitCurve:
    """The curve of the target of (i, j)."""
    at, line = batch.index(i, j), batch.logits_at(i, j).double()
    target = batch.targets[at].id
    others = torch.cat([line[:target], line[target + 1 :]])
    return LogitCurve(line[target].item(), torch.logsumexp(others, 0).item())
