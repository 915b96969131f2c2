"""The settings of "Surprise in a text"."""

from dataclasses import dataclass
from typing import Literal

from views.visit.fields.kinds import OneOf, Switch, setting

Colour = Literal["loss", "probability", "rank", "entropy"]


@dataclass(frozen=True)
class SurpriseFields:
    """How the tokens of the text are shown."""

    colour: Colour = setting("loss", OneOf("colour", Colour), "what the colour of a token means")
    figures: bool = setting(False, Switch("figures"), "whether its number stands under each token")
