"""What a visitor asks of a model, by value: equal questions have one answer, which all visitors share."""

from typing import NamedTuple


class Question(NamedTuple):
    """The model by name, the rows of input and target text, and whether each row begins with the start token.

    `targets=None` asks for the inputs shifted by one token.
    """

    model: str
    inputs: tuple[str, ...]
    targets: tuple[str, ...] | None
    bos: bool = False
