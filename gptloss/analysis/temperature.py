"""The loss of a text at other temperatures: each logit is divided by T before the softmax.

As a function of b = 1/T the mean loss is convex, mean(logsumexp(b z) - b z_target), and its slope is
mean(E_b[z] - z_target): the best temperature is where the expected logit equals the target's, on average. At
b = 0, an infinite temperature, every token gets 1/V.

Source: temperature scaling, C. Guo et al., *On Calibration of Modern Neural Networks*, 2017.
"""

import math
from bisect import bisect_right
from collections.abc import Generator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import TypeVar

import torch
from jaxtyping import Float, Int
from torch import Tensor

from gptloss.errors import GptlossError
from gptloss.measures import uniform_loss
from gptloss.scoring.batch import CHUNK, ScoredBatch
from gptloss.scoring.score import OnScored

# From 0.1 to 10, evenly spaced in their logarithm; the middle one is 1.
TEMPERATURES = tuple(10 ** (k / 12 - 1) for k in range(25))
# Rows of V logits worked on together: they stay in the processor's cache.
BLOCK = 8
# Where the slope is smaller than this, the loss is at its minimum.
FLAT = 1e-9
# The minimum of a text up to this long is found to the last digit; of a longer one to about seven.
SMALL = 256
# Within this relative distance of the minimum a parabola fits the curve.
NEAR = 1e-3
# At b = COLD all that is left of a softmax are the largest logits.
COLD = 1e30

T = TypeVar("T")
# Yields how many tokens are done, and returns the result.
Work = Generator[int, None, T]


@dataclass(frozen=True)
class Point:
    """The mean loss at b = 1/T, in nats, with its first and second derivative by b."""

    b: float
    loss: float
    slope: float
    curvature: float


@dataclass(frozen=True)
class TemperatureCurve:
    """The mean loss of a text, in nats per token, at each temperature, and where it is smallest.

    `best` is `math.inf` if no temperature is better than a blind guess, and 0 if every target is the model's first
    choice; `best_loss` is the limit there. `loss` is the loss as it is, at T = 1; `blind` is ln V.
    """

    points: tuple[Point, ...]
    best: float
    best_loss: float
    loss: float
    blind: float

    @property
    def temperatures(self) -> tuple[float, ...]:
        """From 0.1 to 10, evenly spaced in their logarithm."""
        return tuple(1 / point.b for point in self.points)

    @property
    def losses(self) -> tuple[float, ...]:
        """The mean loss at each of the temperatures, in nats."""
        return tuple(point.loss for point in self.points)

    @property
    def flat(self) -> bool:
        """Whether the temperature changes nothing, because all logits are equal."""
        return max(self.losses) - min(self.losses) < FLAT

    def at(self, temperature: float) -> float:
        """The loss at a temperature from 0.1 to 10, in nats; between the points by interpolation, within 1e-5.

        Raises `GptlossError` outside that range.
        """
        if not TEMPERATURES[0] <= temperature <= TEMPERATURES[-1]:
            raise GptlossError(f"The curve runs from T = 0.1 to 10, not to {temperature:g}.")
        b, rising = 1 / temperature, self.points[::-1]
        k = min(bisect_right(rising, b, key=lambda point: point.b), len(rising) - 1)
        return _between(rising[k - 1], rising[k], b)


def temperature_curve(batch: ScoredBatch, report: OnScored = lambda done, total: None) -> TemperatureCurve:
    """The loss of the scored text at 25 temperatures from 0.1 to 10, and the temperature where it is smallest.

    The logits are made again, 128 positions at a time, for all temperatures at once. `report(done, total)` is
    called after each time with numbers of tokens.
    """
    work = curve_parts(batch)
    while True:
        try:
            report(next(work), len(batch))
        except StopIteration as end:
            return end.value


def curve_parts(batch: ScoredBatch) -> Work[TemperatureCurve]:
    """The same in parts, so that the caller may pause; each part gives how many tokens are done."""
    start, *rising = yield from _points(batch, [0.0, *(1 / t for t in reversed(TEMPERATURES))])
    best = yield from _best(batch, [start, *rising])
    return TemperatureCurve(
        points=tuple(reversed(rising)),
        best=math.inf if best.b == 0 else 0.0 if best.b == COLD else 1 / best.b,
        best_loss=best.loss,
        loss=rising[len(rising) // 2].loss,
        blind=uniform_loss(batch.model.info.vocab_size),
    )


def _best(batch: ScoredBatch, rising: list[Point]) -> Work[Point]:
    """The minimum: at b = 0, at no b, or where the slope changes its sign."""
    if rising[0].slope >= 0:
        return rising[0]
    if bool((batch.ranks == 1).all()):
        return (yield from _points(batch, [COLD]))[0]
    while rising[-1].slope < 0:  # a target that is second by a hair
        further = yield from _points(batch, [rising[-1].b * 2**k for k in range(1, 9)])
        rising = [rising[-1], *further]
    low, high = next((low, high) for low, high in pairwise(rising) if high.slope >= 0)
    return (yield from _newton(batch, low, high))


def _newton(batch: ScoredBatch, low: Point, high: Point) -> Work[Point]:
    """The minimum between two points, from the interpolation's; each step is one more look at the logits."""
    b = _lowest_between(low, high)
    while True:
        (point,) = yield from _points(batch, [b], exact=True)
        if abs(point.slope) < FLAT or point.curvature <= 0:
            return point
        low, high = (point, high) if point.slope < 0 else (low, point)
        b = point.b - point.slope / point.curvature
        if len(batch) > SMALL and abs(b - point.b) < NEAR * b:
            return Point(b, point.loss - point.slope**2 / (2 * point.curvature), 0.0, point.curvature)
        if not low.b < b < high.b:
            b = (low.b + high.b) / 2
        if not low.b < b < high.b:  # no float is left between them
            return point


def _points(batch: ScoredBatch, bs: Sequence[float], exact: bool = False) -> Work[list[Point]]:
    """The mean loss and its derivatives at each b; `exact` computes in float64."""
    totals = torch.zeros(len(bs), 3, dtype=torch.float64)
    for start in range(0, len(batch), CHUNK):
        totals += _chunk_sums(batch, start, bs, exact)
        yield min(start + CHUNK, len(batch))
    return [Point(b, *mean) for b, mean in zip(bs, (totals / len(batch)).tolist(), strict=True)]


def _chunk_sums(batch: ScoredBatch, start: int, bs: Sequence[float], exact: bool) -> Float[Tensor, "b 3"]:
    logits = batch.logits_of(range(start, start + CHUNK))
    ids = torch.tensor([token.id for token in batch.targets[start : start + CHUNK]])
    blocks = [slice(row, row + BLOCK) for row in range(0, len(ids), BLOCK)]
    return torch.stack([_sums(logits[block], ids[block], bs, exact) for block in blocks]).sum(0)


def _sums(
    logits: Float[Tensor, "n v"], ids: Int[Tensor, " n"], bs: Sequence[float], exact: bool
) -> Float[Tensor, "b 3"]:
    """Loss, slope and curvature at each b, summed over the rows."""
    logits = logits.double() if exact else logits
    z = logits - logits.amax(-1, keepdim=True)  # shifting all logits changes nothing
    target = z.gather(-1, ids[:, None])[:, 0].double()
    weights = torch.empty_like(z)
    sums = torch.zeros(len(bs), 3, dtype=torch.float64)
    for k, b in enumerate(bs):
        total = torch.mul(z, b, out=weights).exp_().sum(-1, dtype=torch.float64)
        mean = weights.mul_(z).sum(-1, dtype=torch.float64) / total
        sums[k, 0] = (total.log() - b * target).sum()
        sums[k, 1] = (mean - target).sum()
        sums[k, 2] = (weights.mul_(z).sum(-1, dtype=torch.float64) / total - mean**2).sum()
    return sums


def _between(low: Point, high: Point, b: float) -> float:
    """The loss at b, by the polynomial of degree 5 through two points that has their slopes and curvatures."""
    width = high.b - low.b
    x = (b - low.b) / width
    return _side(low, x, width) + _side(high, 1 - x, -width)


def _side(point: Point, x: float, width: float) -> float:
    """One point's part in that polynomial, at x of the way to the other (Hermite)."""
    return (1 - x) ** 3 * (
        (1 + 3 * x + 6 * x**2) * point.loss
        + x * (1 + 3 * x) * width * point.slope
        + x**2 / 2 * width**2 * point.curvature
    )


def _lowest_between(low: Point, high: Point) -> float:
    """The b where that polynomial is smallest, by halving thirds."""
    left, right = low.b, high.b
    while right - left > 1e-7 * right:
        third = (right - left) / 3
        if _between(low, high, left + third) < _between(low, high, right - third):
            right -= third
        else:
            left += third
    return (left + right) / 2
