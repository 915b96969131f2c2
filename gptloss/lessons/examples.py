"""An example of two classes. Loads no torch: a link names examples before the page has its title."""

from typing import NamedTuple


class Example(NamedTuple):
    """What is true, 1 or 0, and the probability that a model gave to 1, between 0 and 1."""

    y: int
    p: float
