"""The settings that every page shares: the model, the rows, the chosen position, the units."""

from dataclasses import dataclass

from gptloss.models import DEFAULT_MODEL
from gptloss.numbers import Units
from views.visit.fields.kinds import At, Model, OneOf, Switch, TextRows, Whole, setting

STEPS = 7

LECTURE_INPUTS = ("every effort moves", "I really like")
LECTURE_TARGETS = (" effort moves you", " really like chocolate")


@dataclass(frozen=True)
class TextFields:
    """The model, the rows, and what is chosen in them."""

    model: str = setting(DEFAULT_MODEL, Model("model"), "the model that reads the text")
    inputs: tuple[str, ...] = setting(LECTURE_INPUTS, TextRows("input"), "the input of each row", of_text=True)
    targets: tuple[str, ...] | None = setting(
        LECTURE_TARGETS,
        TextRows("target"),
        "the target of each row; without any, the inputs shifted by one token",
        of_text=True,
    )
    at: tuple[int, int] = setting((1, 1), At("at"), "the chosen position", of_text=True)
    units: Units = setting("nats", OneOf("units", Units), "the units of logs and losses")
    step: int = setting(0, Whole("step", 0, STEPS), "the step that is explained; 0 for none")
    bos: bool = setting(False, Switch("bos"), "whether each row begins with the model's start token")


def joined(given: str, target: str) -> str:
    """An input and what its target has after it; the input alone if the target does not overlap it."""
    shared = overlap(given[1:], target)
    return given + target[shared:] if shared else given


def overlap(end: str, start: str) -> int:
    """How many of the last characters of `end` are the first ones of `start`, at most; in time linear in the length.

    Source: Knuth, Morris and Pratt, *Fast Pattern Matching in Strings*, 1977.
    """
    fallback = [0]
    for letter in start[1 : len(end)]:
        length = fallback[-1]
        while length and start[length] != letter:
            length = fallback[length - 1]
        fallback.append(length + (start[length] == letter))
    length = 0
    for letter in end[-len(start) :] if start else "":
        while length and (length == len(start) or start[length] != letter):
            length = fallback[length - 1]
        length += start[length] == letter
    return length
