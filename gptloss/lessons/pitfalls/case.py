"""What a pitfall is: a right number and the wrong ones that people compute from the same rows."""

import math
import sys
from collections.abc import Callable
from dataclasses import dataclass

from gptloss.models import LanguageModel
from gptloss.numbers import perplexity_text
from gptloss.scoring.batch import ScoredBatch

# The logarithm of the largest float.
LARGEST = math.log(sys.float_info.max)


@dataclass(frozen=True)
class Lab:
    """What a mistake is made with: the scored rows, the chosen p_ij, and a model that has other tokens.

    `other` is needed by one case only, which compares the two.
    """

    batch: ScoredBatch
    at: tuple[int, int]
    other: LanguageModel


@dataclass(frozen=True)
class Outcome:
    """One way to compute a quantity: its name, the line of code, the number, and the number for the eye.

    The value is None where the computer has no number for it, such as the logarithm of 0.
    """

    name: str
    code: str
    value: float | None
    text: str


@dataclass(frozen=True)
class Comparison:
    """A quantity, the right way to compute it, and wrong ones, of which the first is the usual one."""

    quantity: str
    right: Outcome
    wrong: tuple[Outcome, ...]

    @property
    def agrees(self) -> bool:
        """Whether on these rows the usual mistake changes nothing that is seen."""
        return self.wrong[0].text == self.right.text


@dataclass(frozen=True)
class Source:
    """Where a mistake was met in public: an issue or a pull request, and what was seen there."""

    project: str
    number: int
    seen: str

    @property
    def name(self) -> str:
        return f"{self.project.partition('/')[2]} {self.number}"

    @property
    def address(self) -> str:
        return f"https://github.com/{self.project}/issues/{self.number}"


@dataclass(frozen=True)
class Pitfall:
    """A mistake: what it is called, why it is one, when it does not show, and where it was met.

    `compare` raises `GptlossError` for rows or models with which it cannot be made.
    """

    key: str
    title: str
    why: str
    unseen: str
    met: tuple[Source, ...]
    compare: Callable[[Lab], Comparison]


def loss(name: str, code: str, value: float | None) -> Outcome:
    """A loss in nats."""
    return Outcome(name, code, value, "no number" if value is None else f"{value:.4f}")


def perplexity(name: str, code: str, log: float) -> Outcome:
    """A perplexity, from its natural logarithm; past e^709 no float holds it, but its text is still true."""
    return Outcome(name, code, math.exp(log) if log < LARGEST else None, perplexity_text(log))
