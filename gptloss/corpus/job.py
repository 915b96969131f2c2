"""What is to be computed of which texts, by value: equal jobs have one result."""

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass, field

from gptloss.corpus.conventions import Plan
from gptloss.corpus.files import TRAINING, VALIDATION
from gptloss.corpus.run import Part
from gptloss.corpus.text import split

PARTS = (TRAINING, VALIDATION)


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
    def parts(self) -> Iterator[Part]:
        """What is scored, in order: the training parts of all documents, then their validation parts."""
        for n, name in enumerate(PARTS):
            for k, document in enumerate(self.texts.documents):
                yield Part(k, name, split(document.text, self.split)[n])
