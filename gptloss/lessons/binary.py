"""Binary cross-entropy: the loss of two classes, which is softmax cross-entropy with V = 2.

Source: Bishop, *Pattern Recognition and Machine Learning*, 2006, equation 4.90.
"""

import math
from collections.abc import Sequence

import torch
import torch.nn.functional as F

from gptloss.lessons.examples import Example


def binary_loss(y: int, p: float) -> float:
    """-(y ln p + (1 - y) ln(1 - p)), in nats."""
    return -(y * math.log(p) + (1 - y) * math.log1p(-p))


def mean_loss(examples: Sequence[Example]) -> float:
    """-1/N sum(y ln p + (1 - y) ln(1 - p)), in nats."""
    return math.fsum(binary_loss(y, p) for y, p in examples) / len(examples)


def half_negated(examples: Sequence[Example]) -> float:
    """The same with a forgotten bracket, -1/N sum(y ln p) + 1/N sum((1 - y) ln(1 - p)): it can fall below 0."""
    terms = (-y * math.log(p) + (1 - y) * math.log1p(-p) for y, p in examples)
    return math.fsum(terms) / len(examples)


def softmax_loss(examples: Sequence[Example]) -> float:
    """The mean by `F.cross_entropy` on two logits, 0 for class 0 and ln(p / (1 - p)) for class 1, in float64."""
    logits = torch.tensor([[0.0, math.log(p) - math.log1p(-p)] for _, p in examples], dtype=torch.float64)
    return F.cross_entropy(logits, torch.tensor([y for y, _ in examples])).item()


def sum_latex(examples: Sequence[Example], negated: bool) -> str:
    """The formula with the first examples' numbers; `negated`: with the bracket forgotten."""
    shown, n = examples[:3], len(examples)
    dots = r" + \dots" if n > len(shown) else ""
    if negated:
        signed = " ".join(rf"- \ln {p:g}" if y else rf"+ \ln(1-{p:g})" for y, p in shown)
        lines = (
            r"-\tfrac{1}{N}\textstyle\sum y\ln p \mathbin{\color{#d9591c}\mathbf{+}} \tfrac{1}{N}\sum (1-y)\ln(1-p)",
            rf"\quad = \tfrac{{1}}{{{n}}}\big({signed}{dots}\big)",
            rf"\quad = {half_negated(examples):.4f}",
        )
    else:
        terms = " + ".join(rf"\ln {p:g}" if y else rf"\ln(1-{p:g})" for y, p in shown)
        lines = (
            r"-\tfrac{1}{N}\textstyle\sum\big(y\ln p + (1-y)\ln(1-p)\big)",
            rf"\quad = -\tfrac{{1}}{{{n}}}\big({terms}{dots}\big)",
            rf"\quad = {mean_loss(examples):.4f}",
        )
    return r"\begin{{array}}{{l}}{}\end{{array}}".format(r" \\ ".join(lines))
