"""Standard output, which may be full, closed, or read by somebody who has seen enough."""

import os
import sys

from gptloss.errors import GptlossError


def check() -> None:
    """Print characters that the console lacks, such as `·`, as escapes. Raises `GptlossError` if it is closed."""
    if sys.stdout is None:
        raise GptlossError("Standard output is closed; send it to a file or to another program.")
    sys.stdout.reconfigure(errors="backslashreplace")  # type: ignore[union-attr]


def write(text: str) -> None:
    """Print at once, without ending the line.

    Raises `GptlossError` if it cannot be written, and `BrokenPipeError` if its reader has left; what is printed after
    that is dropped.
    """
    try:
        print(text, end="", flush=True)
    except OSError as error:
        _drop()
        if isinstance(error, BrokenPipeError):
            raise
        reason = error.strerror or error
        raise GptlossError(
            f"Standard output cannot be written ({reason}); make room, or send it elsewhere."
        ) from None


def _drop() -> None:
    """Drop what is left in the buffer; Python would try to write it once more at the end."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
