"""The settings of "One gradient step"."""

from dataclasses import dataclass
from typing import Literal

from views.visit.fields.kinds import Decimal, OneOf, setting

Optimizer = Literal["sgd", "adamw"]
LOWEST_RATE, HIGHEST_RATE = 1e-6, 1.0


@dataclass(frozen=True)
class GradientFields:
    """How a step is taken."""

    optimizer: Optimizer = setting("sgd", OneOf("optimizer", Optimizer), "what turns a gradient into a step")
    rate: float = setting(0.01, Decimal("rate", LOWEST_RATE, HIGHEST_RATE), "the learning rate of a step")
