"""The settings of "Temperature and sampling"."""

from dataclasses import dataclass
from typing import Literal

from views.visit.fields.kinds import Decimal, OneOf, Whole, setting

Source = Literal["text", "book"]
HOTTEST = 5.0
LARGEST_SEED = 2**31 - 1
# Tokens that the page makes.
MOST_MADE = 100
DRAWS = (10, 100, 1_000, 10_000)


@dataclass(frozen=True)
class SamplingFields:
    """How a token is sampled, and how many are."""

    temperature: float = setting(0.5, Decimal("temperature", 0, HOTTEST), "what divides the logits; 0 is greedy")
    top_k: int = setting(0, Whole("top_k", 0, 1_000_000), "sample from so many likeliest tokens; 0 for all")
    top_p: float = setting(
        1.0, Decimal("top_p", 0.01, 1), "sample from the likeliest tokens that have this share together"
    )
    seed: int = setting(123, Whole("seed", 0, LARGEST_SEED), "the seed of the draws")
    made: int = setting(0, Whole("made", 0, MOST_MADE), "how many tokens the text goes on for", of_text=True)
    source: Source = setting("text", OneOf("from", Source), "a position of the text, or the book's nine words")
    draws: int = setting(1_000, OneOf("draws", DRAWS), "how often a token is drawn")
