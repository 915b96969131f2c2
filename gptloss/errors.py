"""Errors written for the person who can mend them: what is wrong, the value, the way out."""

from typing import Any


class GptlossError(Exception):
    """A mistake that the reader of its one sentence can mend."""


class UnequalLengthsError(GptlossError):
    """An input and its target do not have the same number of tokens."""


class TooLongError(GptlossError):
    """A row has more tokens than the model can read at once.

    `limit` is the number of input tokens that fit.
    """

    def __init__(self, message: str, limit: int) -> None:
        super().__init__(message)
        self.limit = limit

    def __reduce__(self) -> tuple[Any, ...]:
        """Another process gets it whole, too."""
        return type(self), (str(self), self.limit)


class NotHereError(GptlossError):
    """A model has to be fetched before it can be used. `name` is what to pull."""

    def __init__(self, name: str) -> None:
        super().__init__(f"{name} is not on this machine; `gptloss models pull {name}` fetches it.")
        self.name = name

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (self.name,)
