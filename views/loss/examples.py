"""The examples that are one click away."""

from dataclasses import dataclass

from views.visit.fields.text import LECTURE_INPUTS, LECTURE_TARGETS


@dataclass(frozen=True)
class Preset:
    """A named example; `targets=None` shifts the inputs by one."""

    name: str
    why: str
    inputs: tuple[str, ...]
    targets: tuple[str, ...] | None = None


PRESETS = (
    Preset("Lecture", "The two sentences of the book's chapter 5.1.", LECTURE_INPUTS, LECTURE_TARGETS),
    Preset(
        "Predictable",
        "Text whose next token a trained model is sure of; an untrained one is not.",
        (
            "Monday, Tuesday, Wednesday, Thursday, Friday, Saturday, Sunday",
            "one, two, three, four, five, six, seven, eight",
        ),
    ),
    Preset("Emoji", "One emoji is several tokens, each a part of its bytes.", ("I 💙 green tea",)),
    Preset(
        "German and Japanese",
        "GPT-2's vocabulary was made for English: other languages need more tokens.",
        ("Aller Anfang ist schwer", "猫が好きです"),
    ),
)
