"""The settings of "Token probabilities"."""

from dataclasses import dataclass
from typing import Literal

from views.visit.fields.kinds import OneOf, Pin, Pins, Whole, setting

View = Literal["probas", "logits"]
# All probabilities in the order of the vocabulary, from most to least likely, or of the book's seven words.
Order = Literal["index", "rank", "seven"]
FEWEST_SHOWN, MOST_SHOWN = 5, 50
# Positions or tokens beside the chosen one.
MOST_PINS = 3


@dataclass(frozen=True)
class ProbabilitiesFields:
    """How the likeliest tokens are shown, and what stands beside them."""

    shown: int = setting(10, Whole("show", FEWEST_SHOWN, MOST_SHOWN), "how many of the likeliest tokens are shown")
    view: View = setting("probas", OneOf("view", View), "probabilities or logits")
    order: Order = setting("index", OneOf("order", Order), "how all probabilities are ordered")
    token: int | None = setting(None, Whole("token", 0, 10_000_000), "the id of the token that was searched for")
    pins: tuple[Pin, ...] = setting((), Pins("pin", MOST_PINS), "positions or tokens beside the chosen one")
