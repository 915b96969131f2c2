"""The settings of "Perplexity and pitfalls"."""

from dataclasses import dataclass
from typing import Literal

from gptloss.lessons.examples import Example
from gptloss.lessons.pitfalls.keys import KEYS
from views.visit.fields.edits import Branches, Edit, EditKind, Examples, Named
from views.visit.fields.kinds import Decimal, OneOf, Switch, Whole, setting

MOST_EXAMPLES, MOST_BRANCHES = 24, 6
EXAMPLES = (Example(1, 0.9), Example(1, 0.6), Example(0, 0.2), Example(0, 0.7))
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
    truth: int = setting(1, OneOf("y", (1, 0)), "the class of the example")
    chance: float = setting(0.8, Decimal("p", 0.001, 0.999), "the probability that the model gives to class 1")
    examples: tuple[Example, ...] = setting(
        EXAMPLES, Examples("example", MOST_EXAMPLES), "class and probability of each example"
    )
    half_sign: bool = setting(False, Switch("halfsign"), "whether only the first term of the mean is negated")
    edit: Edit | None = setting(None, EditKind("edit"), "the change of the text that is tried", of_text=True)
    branches: tuple[Named, ...] = setting(
        (), Branches("branch", MOST_BRANCHES), "changes that are kept, each with its name", of_text=True
    )
