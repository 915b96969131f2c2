"""What a visitor asks of a model, by value: equal questions have one answer, which all visitors share."""

from typing import NamedTuple

from gptloss.hosting import in_force

# Tokens of a row that a page shows at most. No text has so many characters a token, so a longer one need not be cut
# into tokens to be refused: 10 MB take 27 s.
MOST_TOKENS, CHARACTERS = in_force().text, 32
MOST_CHARACTERS = CHARACTERS * MOST_TOKENS


class Question(NamedTuple):
    """The model by name, the rows of input and target text, and whether each row begins with the start token.

    `targets=None` asks for the inputs shifted by one token.
    """

    model: str
    inputs: tuple[str, ...]
    targets: tuple[str, ...] | None
    bos: bool = False
