"""The settings of "Perplexity and pitfalls"."""

from dataclasses import dataclass
from typing import Literal

from gptloss.lessons.pitfalls.keys import KEYS
from views.visit.fields.kinds import Decimal, OneOf, Switch, Whole, setting

Part = Literal["ruler", "pitfalls", "log", "classes", "whatif"]
# Questions of the quiz, counted from 0.
MOST_ASKED = 999
# The largest amount in the converter, in nats per token: a perplexity of 7.2e+10.
MOST_NATS = 25.0


@dataclass(frozen=True)
class PerplexityFields:
    """Which part of the page is shown, and what is tried there."""

    part: Part = setting("ruler", OneOf("part", Part), "the part of the page")
    amount: float | None = setting(None, Decimal("amount", 0.0, MOST_NATS), "nats per token in the converter")
    mistake: str = setting(
        "token-perplexities", OneOf("mistake", ("none", *KEYS)), "the mistake that is made in the calculation"
    )
    quiz: bool = setting(False, Switch("quiz"), "whether the mistakes are asked for")
    asked: int = setting(0, Whole("asked", 0, MOST_ASKED), "the number of the quiz question")
