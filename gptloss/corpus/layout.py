"""What is to be computed of which text, and where its parts, its tokens and its windows lie in it."""

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cached_property, lru_cache

import numpy as np
from numpy.typing import NDArray

from gptloss.corpus.conventions import Plan, Window, windows
from gptloss.corpus.text import encoded, split
from gptloss.errors import GptlossError
from gptloss.models import find

PARTS = ("training", "validation")
MOST_WINDOWS = 20_000


@dataclass(frozen=True)
class Document:
    """A text with its name."""

    name: str
    text: str


@dataclass(frozen=True)
class Texts:
    """What is scored: one or more documents. Equal if the SHA-256 of their names and texts is."""

    digest: str
    documents: tuple[Document, ...] = field(compare=False)

    @property
    def characters(self) -> int:
        """How many there are in all."""
        return sum(len(document.text) for document in self.documents)


def texts_of(documents: tuple[Document, ...]) -> Texts:
    """Documents with their checksum."""
    digest = hashlib.sha256()
    for document in documents:
        for raw in (part.encode("utf-8", "surrogatepass") for part in (document.name, document.text)):
            digest.update(len(raw).to_bytes(8, "big") + raw)
    return Texts(digest.hexdigest(), documents)


@dataclass(frozen=True)
class Job:
    """What is to be computed, by value."""

    model: str
    texts: Texts
    plan: Plan
    split: float

    @property
    def pieces(self) -> Iterator[tuple[str, int, Iterator[str]]]:
        """(part, number of the document, its text in pieces): all training first, each document cut by itself."""
        for n, part in enumerate(PARTS):
            for k, document in enumerate(self.texts.documents):
                yield part, k, split(document.text, self.split)[n]


@dataclass(frozen=True, eq=False)
class Piece:
    """One part of one document as a model's tokens see it.

    `begins` is how many characters of all documents stand before it; token k ends at character `ends[k]` of them all.
    """

    part: str
    document: int
    text: str
    begins: int
    ends: NDArray[np.int64]

    def length(self, plan: Plan) -> int:
        """How many tokens the stream has: a start token counts."""
        return len(self.ends) + plan.bos

    def place(self, token: int, plan: Plan) -> int:
        """The character before which token `token` of the stream begins."""
        k = token - plan.bos
        return self.begins if k <= 0 else int(self.ends[k - 1])

    def between(self, window: Window, plan: Plan, read: bool = False) -> str:
        """The text of a window's targets; with `read`, of all its tokens."""
        first = window.start if read else window.first
        return self.text[self.place(first, plan) - self.begins : self.place(window.stop + 1, plan) - self.begins]


@dataclass(frozen=True, eq=False)
class Layout:
    """All parts of all documents, in the order of the text."""

    pieces: tuple[Piece, ...]

    @cached_property
    def by_part(self) -> dict[tuple[str, int], Piece]:
        """The pieces by part and document."""
        return {(piece.part, piece.document): piece for piece in self.pieces}

    def tokens(self, part: str) -> int:
        """How many a part has in all documents."""
        return sum(len(piece.ends) for piece in self.pieces if piece.part == part)

    def scored(self, plan: Plan) -> int:
        """How many tokens a run scores."""
        return sum(window.scored for piece in self.pieces for window in windows(plan, piece.length(plan)))


@lru_cache(maxsize=8)
def layout(model: str, texts: Texts, fraction: float) -> Layout:
    """The text cut in two, in the tokens of a model. Raises `GptlossError` as the tokenizer does."""
    tokenizer = find(model).tokenizer()
    pieces, begins = [], 0
    for k, document in enumerate(texts.documents):
        for part, parts in zip(PARTS, split(document.text, fraction), strict=True):
            text = "".join(parts)
            sizes = [len(token.raw) for tokens in encoded(tokenizer, [text]) for token in tokens]
            places = _characters(text)
            # a tokenizer that brings characters into a normal form spells a longer text
            ends = np.minimum(np.cumsum(sizes, dtype=np.int64), len(places) - 1)
            pieces.append(Piece(part, k, text, begins, begins + places[ends]))
            begins += len(text)
    return Layout(tuple(pieces))


@lru_cache(maxsize=16)
def scored(job: Job) -> int:
    """How many tokens a run scores. Raises `GptlossError` as the tokenizer does."""
    return layout(job.model, job.texts, job.split).scored(job.plan)


def check_windows(place: Layout, plan: Plan) -> None:
    """Raise `GptlossError` for more windows than the page can draw for everybody."""
    count = sum(map(place.tokens, PARTS)) // plan.stride
    if count > MOST_WINDOWS:
        raise GptlossError(
            f"That makes about {count:,} windows, and this page takes {MOST_WINDOWS:,}; choose a larger"
            f" {'stride' if plan.convention == 'strided' else 'window'}, or use `gptloss corpus`."
        )


def _characters(text: str) -> NDArray[np.int64]:
    """How many characters of the text end within its first 0, 1, ... bytes."""
    raw = np.frombuffer(text.encode("utf-8"), np.uint8)
    begins = (raw & 0xC0) != 0x80
    before = np.cumsum(begins)
    # a byte ends a character if the next one begins one
    ended = before - np.append(~begins[1:], False)
    return np.append(0, ended)
