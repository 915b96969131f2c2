"""The settings of "One gradient step"."""

from dataclasses import dataclass
from typing import Literal

from gptloss.training.recipe import HIGHEST_RATE, LOWEST_RATE
from views.visit.fields.kinds import Decimal, OneOf, setting

Optimizer = Literal["sgd", "adamw"]


@dataclass(frozen=True)
class GradientFields:
    """How a step is taken."""

    optimizer: Optimizer = setting("sgd", OneOf("optimizer", Optimizer), "what turns a gradient into a step")
    rate: float = setting(0.01, Decimal("rate", LOWEST_RATE, HIGHEST_RATE), "the learning rate of a step")
