"""How a setting stands in a link: the word for it there, what is allowed, how it is read and written.

A setting is declared once, as a field of one of the classes beside this file:

    shown: int = setting(10, Whole("show", 5, 50), "how many of the likeliest tokens are shown")

Reading, writing and the table in the README come from that line; a constant with a name bounds the control too.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Generic, TypeVar, get_args

from gptloss.models.names import is_free_name, is_run

T = TypeVar("T")
Position = tuple[int, int]
# A position (i, j), or the id of a token.
Pin = Position | int

MAX_ROWS = 8


@dataclass
class Link:
    """The query of a link, the models that it may name, and a sentence for each value that could not be used."""

    query: Mapping[str, Sequence[str]]
    models: Sequence[str]
    any_model: bool
    notices: list[str] = field(default_factory=list)

    def last(self, word: str) -> str | None:
        """The value called `word`, if there is one."""
        values = self.query.get(word, ())
        if len(values) > 1:
            self.notices.append(f"The link names {word!r} {len(values)} times; the last one counts.")
        return values[-1] if values else None

    def knows(self, model: str) -> bool:
        """Whether the link may name this model; if not, a notice says which it may name."""
        if model in self.models or is_run(model) or (self.any_model and is_free_name(model)):
            return True
        self.notices.append(f"There is no model called {quote(model)} here. Models: {', '.join(self.models)}.")
        return False


@dataclass(frozen=True)
class Kind(Generic[T]):
    """What a setting is in a link, where it is called `word`.

    A setting that is `of_text` says something of the visitor's texts. Where they are too long for a link, it stays
    out of the link too.
    """

    word: str

    @property
    def allowed(self) -> str:
        """The values that are allowed, in words."""
        raise NotImplementedError

    def read(self, link: Link, default: T) -> T:
        """The value that the link names; the default, with a notice, for one that cannot be used."""
        raise NotImplementedError

    def write(self, value: T) -> str | list[str]:
        """The value as it stands in a link."""
        return str(value)

    def texts(self, value: T) -> Sequence[str]:
        """The texts of the visitor that the value holds; their length decides whether a link holds them."""
        return ()


def setting(default: T, kind: Kind[Any], means: str, *, of_text: bool = False) -> T:
    """Declare a field of the settings: its default, what it is in a link, and what it means."""
    declared: T = field(default=default, metadata={"kind": kind, "means": means, "of_text": of_text})
    return declared


@dataclass(frozen=True)
class _Word(Kind[T]):
    """A value that is one word."""

    def parse(self, word: str) -> T | None:
        """The value, or None for a word that cannot be used."""
        raise NotImplementedError

    def read(self, link: Link, default: T) -> T:
        word = link.last(self.word)
        if word is None:
            return default
        value = self.parse(word)
        if value is None:
            shown = "none" if default is None else self.write(default)
            link.notices.append(f"The link asks for {self.word} {quote(word)}; use {self.allowed}. Shown: {shown}.")
            return default
        return value


@dataclass(frozen=True)
class OneOf(_Word[Any]):
    """One of a few values; `literal` is a `Literal` type, or the values themselves."""

    literal: Any

    @property
    def values(self) -> tuple[Any, ...]:
        return self.literal if isinstance(self.literal, tuple) else get_args(self.literal)

    @property
    def allowed(self) -> str:
        return " or ".join(map(str, self.values))

    def parse(self, word: str) -> Any:
        return next((value for value in self.values if str(value) == word), None)


@dataclass(frozen=True)
class Whole(_Word[int]):
    """A whole number from `low` to `high`."""

    low: int
    high: int

    @property
    def allowed(self) -> str:
        return f"{self.low:,} to {self.high:,}"

    def parse(self, word: str) -> int | None:
        good = re.fullmatch("[0-9]{1,10}", word, re.ASCII) and self.low <= int(word) <= self.high
        return int(word) if good else None


@dataclass(frozen=True)
class Decimal(_Word[float]):
    """A number from `low` to `high`, written without an exponent."""

    low: float
    high: float

    @property
    def allowed(self) -> str:
        return f"{self.write(self.low)} to {self.write(self.high)}"

    def parse(self, word: str) -> float | None:
        good = re.fullmatch(r"[0-9]{1,3}(\.[0-9]{1,9})?", word, re.ASCII) and self.low <= float(word) <= self.high
        return float(word) if good else None

    def write(self, value: float) -> str:
        return f"{value:.9f}".rstrip("0").rstrip(".")


@dataclass(frozen=True)
class Switch(_Word[bool]):
    """On or off."""

    @property
    def allowed(self) -> str:
        return "0 or 1"

    def parse(self, word: str) -> bool | None:
        return {"0": False, "1": True}.get(word)

    def write(self, value: bool) -> str:
        return str(int(value))


@dataclass(frozen=True)
class Model(Kind[str]):
    """The name of a model; an empty one stands for none where that is the default."""

    @property
    def allowed(self) -> str:
        return "a model"

    def read(self, link: Link, default: str) -> str:
        name = link.last(self.word)
        if name is None or (not name and not default):
            return default
        return name if link.knows(name) else default


@dataclass(frozen=True)
class Models(Kind[tuple[str, ...]]):
    """Up to `most` models beside the chosen one; an empty word stands for none."""

    most: int

    @property
    def allowed(self) -> str:
        return f"up to {self.most} models"

    def read(self, link: Link, default: tuple[str, ...]) -> tuple[str, ...]:
        if self.word not in link.query:
            return default
        named = [name for name in link.query[self.word] if name]
        models = tuple(dict.fromkeys(filter(link.knows, named)))
        if len(models) > self.most:
            link.notices.append(f"The link compares with {len(models)} models; {self.most} fit beside the first.")
        return default if named and not models else models[: self.most]

    def write(self, value: tuple[str, ...]) -> list[str]:
        return list(value) or [""]


@dataclass(frozen=True)
class At(Kind[Position | None]):
    """A position, written 12 for p12: the row is the first digit."""

    @property
    def allowed(self) -> str:
        return "12 for p12"

    def read(self, link: Link, default: Position | None) -> Position | None:
        word = link.last(self.word)
        if word is None:
            return default
        position = parse_position(word)
        if position is None:
            link.notices.append(f"The link chooses the position {quote(word)}; write 12 for p12. Shown: p11.")
        return position or default

    def write(self, value: Position | None) -> str:
        assert value is not None, "only a chosen position is written"
        return position_word(value)


@dataclass(frozen=True)
class Pins(Kind[tuple[Pin, ...]]):
    """Up to `most` positions, as 12 for p12, or tokens, as t464 for token 464."""

    most: int

    @property
    def allowed(self) -> str:
        return f"up to {self.most} of 12 for p12 or t464 for token 464"

    def read(self, link: Link, default: tuple[Pin, ...]) -> tuple[Pin, ...]:
        pins: dict[Pin, None] = {}
        for word in link.query.get(self.word, ()):
            token = re.fullmatch("t([0-9]{1,8})", word, re.ASCII)
            pin = int(token[1]) if token else parse_position(word)
            if pin is None:
                link.notices.append(
                    f"The link pins {quote(word)}; write 12 for p12 or t464 for token 464. It is left out."
                )
            else:
                pins[pin] = None
        if len(pins) > self.most:
            link.notices.append(f"The link pins {len(pins)} positions or tokens; the first {self.most} are kept.")
        return tuple(pins)[: self.most]

    def write(self, value: tuple[Pin, ...]) -> list[str]:
        return [f"t{pin}" if isinstance(pin, int) else position_word(pin) for pin in value]


@dataclass(frozen=True)
class TextRows(Kind[tuple[str, ...] | None]):
    """Texts, one for each row; None stands for the page's own."""

    @property
    def allowed(self) -> str:
        return f"up to {MAX_ROWS} texts"

    def read(self, link: Link, default: tuple[str, ...] | None) -> tuple[str, ...] | None:
        texts = tuple(link.query.get(self.word, ()))
        if len(texts) > MAX_ROWS:
            link.notices.append(f"The link has {len(texts)} texts to compare; the page shows the first {MAX_ROWS}.")
        return texts[:MAX_ROWS] or default

    def write(self, value: tuple[str, ...] | None) -> list[str]:
        return list(value or ())

    def texts(self, value: tuple[str, ...] | None) -> Sequence[str]:
        return value or ()


@dataclass(frozen=True)
class Pair(Kind[tuple[str, str]]):
    """Two texts."""

    @property
    def allowed(self) -> str:
        return "two texts"

    def read(self, link: Link, default: tuple[str, str]) -> tuple[str, str]:
        pair = tuple(link.query.get(self.word, default))
        if len(pair) == 2:
            return pair[0], pair[1]
        link.notices.append(f"The link has {len(pair)} texts for a pair; two are needed. The page shows its own.")
        return default

    def write(self, value: tuple[str, str]) -> list[str]:
        return list(value)

    def texts(self, value: tuple[str, str]) -> Sequence[str]:
        return value


def parse_position(word: str) -> Position | None:
    """`12` -> (1, 2): the row is the first digit."""
    if re.fullmatch(rf"[1-{MAX_ROWS}][1-9][0-9]{{0,4}}", word, re.ASCII):
        return int(word[0]), int(word[1:])
    return None


def position_word(position: Position) -> str:
    """(1, 2) -> `12`."""
    return f"{position[0]}{position[1]}"


def quote(value: str) -> str:
    """A value of a link in a notice, cut where it is long."""
    return repr(value if len(value) <= 30 else f"{value[:29]}…")
