"""Settings of "Perplexity and pitfalls" that are more than a word: a change of the text, named ones, examples."""

import re
from dataclasses import dataclass
from typing import NamedTuple

from gptloss.lessons.examples import Example
from views.visit.fields.kinds import Kind, Link, Position, parse_position, position_word, quote

LONGEST_NAME = 40
LOWEST, HIGHEST = 1e-9, 1.0
# Of an example: a probability of 0 or 1 has a loss without bound.
NEAREST = 0.0001


class Edit(NamedTuple):
    """A position, and the token that is forced there or the probability that its target is given."""

    at: Position
    token: int | None = None
    proba: float | None = None

    @property
    def word(self) -> str:
        """`12t464` or `12p0.25`."""
        return f"{position_word(self.at)}{f't{self.token}' if self.proba is None else f'p{self.proba:.6g}'}"


class Named(NamedTuple):
    """A change that is kept under a name."""

    name: str
    edit: Edit


@dataclass(frozen=True)
class EditKind(Kind[Edit | None]):
    """A change of one position; None for none."""

    @property
    def allowed(self) -> str:
        return "12t464 for token 464 at p12 or 12p0.25 for p12 = 0.25"

    def read(self, link: Link, default: Edit | None) -> Edit | None:
        word = link.last(self.word)
        if word is None:
            return default
        edit = parse_edit(word)
        if edit is None:
            link.notices.append(f"The link asks for {self.word} {quote(word)}; use {self.allowed}. Shown: none.")
        return edit

    def write(self, value: Edit | None) -> str:
        assert value is not None, "only a change is written"
        return value.word


@dataclass(frozen=True)
class Branches(Kind[tuple[Named, ...]]):
    """Up to `most` changes, each with its name after a blank."""

    most: int

    @property
    def allowed(self) -> str:
        return f"up to {self.most} of 12t464 and a name"

    def read(self, link: Link, default: tuple[Named, ...]) -> tuple[Named, ...]:
        found: list[Named] = []
        for word in link.query.get(self.word, ()):
            first, _, name = word.partition(" ")
            edit = parse_edit(first)
            if edit is None:
                link.notices.append(f"The link keeps {quote(word)}; write 12t464 and a name. It is left out.")
            else:
                found.append(Named(name[:LONGEST_NAME] or first, edit))
        if len(found) > self.most:
            link.notices.append(f"The link keeps {len(found)} changes; the first {self.most} are shown.")
        return tuple(found[: self.most])

    def write(self, value: tuple[Named, ...]) -> list[str]:
        return [f"{kept.edit.word} {kept.name}" for kept in value]

    def texts(self, value: tuple[Named, ...]) -> list[str]:
        return [kept.name for kept in value]


@dataclass(frozen=True)
class Examples(Kind[tuple[Example, ...]]):
    """One to `most` examples of two classes."""

    most: int

    @property
    def allowed(self) -> str:
        return f"up to {self.most} of 1:0.9 for y = 1, p = 0.9"

    def read(self, link: Link, default: tuple[Example, ...]) -> tuple[Example, ...]:
        if self.word not in link.query:
            return default
        found = []
        for word in link.query[self.word]:
            good = re.fullmatch(r"([01]):(0?\.[0-9]{1,6})", word, re.ASCII)
            if good and NEAREST <= float(good[2]) <= 1 - NEAREST:
                found.append(Example(int(good[1]), float(good[2])))
            else:
                link.notices.append(f"The link has the example {quote(word)}; write 1:0.9. It is left out.")
        if len(found) > self.most:
            link.notices.append(f"The link has {len(found)} examples; the first {self.most} are kept.")
        return tuple(found[: self.most]) or default

    def write(self, value: tuple[Example, ...]) -> list[str]:
        return [f"{y}:{p:.6f}".rstrip("0") for y, p in value]


def parse_edit(word: str) -> Edit | None:
    """`12t464` and `12p0.25`; None for anything else."""
    found = re.fullmatch(r"([0-9]{2,6})(?:t([0-9]{1,8})|p([0-9.e-]{1,12}))", word, re.ASCII)
    at = parse_position(found[1]) if found else None
    if found is None or at is None:
        return None
    if found[2]:
        return Edit(at, token=int(found[2]))
    try:
        proba = float(found[3])
    except ValueError:
        return None
    return Edit(at, proba=proba) if LOWEST <= proba <= HIGHEST else None
