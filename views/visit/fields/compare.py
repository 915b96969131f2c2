"""The settings of "Compare"."""

from dataclasses import dataclass
from typing import Literal

from views.visit.fields.kinds import At, Models, OneOf, Pair, TextRows, setting

Comparing = Literal["models", "texts"]
MOST_MODELS = 4
# The page opens with a plain paragraph under the lecture's sentences, or with two texts of which one is odd.
PARAGRAPH = (
    "Water covers most of the earth. When the sun warms the sea, some of the water turns into vapor and rises into"
    " the air. High above the ground it cools and forms clouds, and when the clouds grow heavy the water falls back"
    " to the ground as rain."
)
PAIR = (
    "She poured hot water over the tea leaves and waited for five minutes.",
    "She poured hot water over the car keys and waited for five minutes.",
)


@dataclass(frozen=True)
class CompareFields:
    """What is compared, and the chosen place in it."""

    comparing: Comparing = setting("models", OneOf("compare", Comparing), "models on one text, or two texts")
    others: tuple[str, ...] = setting(
        ("smollm2-135m",), Models("with", MOST_MODELS - 1), "the models beside the chosen one"
    )
    texts: tuple[str, ...] | None = setting(
        None, TextRows("text"), "the texts that the models read; without any, the rows and a paragraph", of_text=True
    )
    pair: tuple[str, str] = setting(PAIR, Pair("pair"), "the two texts that one model reads", of_text=True)
    spot: tuple[int, int] | None = setting(
        None, At("spot"), "the chosen line and token; without one, where they differ most", of_text=True
    )
