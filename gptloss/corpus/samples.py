"""Texts that ship with gptloss: the book's, and a story written for it."""

from pathlib import Path

DATA = Path(__file__).parent.parent / "data"


def verdict() -> str:
    """*The Verdict* by Edith Wharton, 1908: the book's text, 20,479 characters, in the public domain."""
    return (DATA / "the-verdict.txt").read_text("utf-8")


def island() -> str:
    """*The Survey of Skerrin*, ten chapters of 21,135 characters in all, written for gptloss."""
    return (DATA / "island.txt").read_text("utf-8")


# By the names that pages give them.
BY_NAME = {"The Verdict": verdict(), "A story": island()}
