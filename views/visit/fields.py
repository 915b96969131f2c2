"""The fields of `Settings` that stand in a link as one word: their names there, and what is allowed."""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, get_args

from gptloss.corpus.conventions import Convention
from gptloss.numbers import Units
from views.visit.settings import (
    DRAWS,
    FEWEST_SHOWN,
    HOTTEST,
    LARGEST_SEED,
    LARGEST_SPLIT,
    MOST_MADE,
    MOST_SHOWN,
    SMALLEST_SPLIT,
    STEPS,
    Colour,
    Comparing,
    Data,
    Source,
    View,
)


@dataclass(frozen=True)
class Plain:
    """A field that stands in a link as one word: what it is called there, how it is read, what is allowed.

    `read` gives None for a word that is no good.
    """

    field: str
    name: str
    read: Callable[[str], Any]
    allowed: str
    write: Callable[[Any], str] = str


def _choice(field: str, name: str, values: Sequence[Any], allowed: str = "") -> Plain:
    words = {str(value): value for value in values}
    return Plain(field, name, words.get, allowed or " or ".join(words))


def _whole(field: str, name: str, low: int, high: int) -> Plain:
    def read(word: str) -> int | None:
        good = re.fullmatch("[0-9]{1,10}", word, re.ASCII) and low <= int(word) <= high
        return int(word) if good else None

    return Plain(field, name, read, f"{low:,} to {high:,}")


def _decimal(field: str, name: str, low: float, high: float) -> Plain:
    def read(word: str) -> float | None:
        good = re.fullmatch(r"[0-9]{1,3}(\.[0-9]{1,9})?", word, re.ASCII) and low <= float(word) <= high
        return float(word) if good else None

    return Plain(field, name, read, f"{low:g} to {high:g}", _written)


def _written(value: float) -> str:
    """As short as it can be, and never with an exponent."""
    return f"{value:.9f}".rstrip("0").rstrip(".")


def _switch(field: str, name: str) -> Plain:
    return Plain(field, name, {"0": False, "1": True}.get, "0 or 1", lambda on: str(int(on)))


PLAIN = (
    _choice("units", "units", get_args(Units)),
    _whole("step", "step", 0, STEPS),
    _switch("bos", "bos"),
    _choice("comparing", "compare", get_args(Comparing)),
    _whole("shown", "show", FEWEST_SHOWN, MOST_SHOWN),
    _choice("view", "view", get_args(View)),
    _whole("token", "token", 0, 10_000_000),
    _choice("colour", "colour", get_args(Colour)),
    _switch("figures", "figures"),
    _decimal("temperature", "temperature", 0, HOTTEST),
    _whole("top_k", "top_k", 0, 1_000_000),
    _decimal("top_p", "top_p", 0.01, 1),
    _whole("seed", "seed", 0, LARGEST_SEED),
    _whole("made", "made", 0, MOST_MADE),
    _choice("source", "from", get_args(Source)),
    _choice("draws", "draws", DRAWS),
    _choice("data", "data", get_args(Data)),
    _decimal("split", "split", SMALLEST_SPLIT, LARGEST_SPLIT),
    _choice("convention", "convention", get_args(Convention)),
    _whole("window", "window", 2, 1_000_000),
    _whole("stride", "stride", 1, 1_000_000),
    _switch("start", "start"),
    _whole("look", "look", 1, 10_000_000),
)
