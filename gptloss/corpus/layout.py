"""Where the parts of a text, its tokens and its windows lie in it."""

from dataclasses import dataclass
from functools import cached_property, lru_cache

import numpy as np
from numpy.typing import NDArray

from gptloss.corpus.conventions import Plan, Window, windows
from gptloss.corpus.job import PARTS, Job, Texts
from gptloss.corpus.text import encoded, split
from gptloss.models import find


@dataclass(frozen=True, eq=False)
class DocumentPart:
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

    pieces: tuple[DocumentPart, ...]

    @cached_property
    def by_part(self) -> dict[tuple[str, int], DocumentPart]:
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
            pieces.append(DocumentPart(part, k, text, begins, begins + places[ends]))
            begins += len(text)
    return Layout(tuple(pieces))


@lru_cache(maxsize=16)
def tokens_to_score(job: Job) -> int:
    """How many tokens a run scores. Raises `GptlossError` as the tokenizer does."""
    return layout(job.model, job.texts, job.split).scored(job.plan)


def _characters(text: str) -> NDArray[np.int64]:
    """How many characters of the text end within its first 0, 1, ... bytes."""
    raw = np.frombuffer(text.encode("utf-8"), np.uint8)
    begins = (raw & 0xC0) != 0x80
    before = np.cumsum(begins)
    # a byte ends a character if the next one begins one
    ended = before - np.append(~begins[1:], False)
    return np.append(0, ended)
