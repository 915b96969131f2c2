"""The settings of "Data set loss"."""

from dataclasses import dataclass
from typing import Literal

from gptloss.corpus.conventions import Convention
from views.visit.fields.kinds import Decimal, Model, OneOf, Switch, Whole, setting

# The book's text, a story that ships with gptloss, the visitor's files, what they pasted.
Data = Literal["verdict", "island", "files", "paste"]
# The share of a text that is for training.
SMALLEST_SPLIT, LARGEST_SPLIT = 0.5, 0.95


@dataclass(frozen=True)
class DatasetFields:
    """The text, how it is cut and read, and the window that is looked at."""

    data: Data = setting("verdict", OneOf("data", Data), "the text")
    split: float = setting(
        0.9, Decimal("split", SMALLEST_SPLIT, LARGEST_SPLIT), "the share of the characters that is for training"
    )
    convention: Convention = setting("book", OneOf("convention", Convention), "how windows are taken from the text")
    window: int = setting(256, Whole("window", 2, 1_000_000), "tokens in a window")
    stride: int = setting(128, Whole("stride", 1, 1_000_000), "tokens from one window to the next, if strided")
    start: bool | None = setting(
        None, Switch("start"), "whether the text begins with the start token; without it, as the convention says"
    )
    second: str = setting("", Model("second"), "a second model that reads the same text")
    look: int | None = setting(None, Whole("look", 1, 10_000_000), "the number of the window that is looked at")
