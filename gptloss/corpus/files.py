"""The texts of a run: what each is, the parts it is scored in, and what their tokens add up to."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from gptloss.corpus.conventions import Plan
from gptloss.corpus.scoring import ScoredWindow
from gptloss.corpus.tally import CorpusLoss
from gptloss.corpus.text import pieces_of, split
from gptloss.models.hashes import sha256

WHOLE, TRAINING, VALIDATION = "text", "training", "validation"


@dataclass(frozen=True)
class Text:
    """A file to score, what to call it, its size in bytes and its SHA-256."""

    name: str
    path: Path
    bytes: int
    sha256: str

    @classmethod
    def of(cls, name: str, path: Path) -> "Text":
        """A file as it is now. Raises `GptlossError` if it cannot be read."""
        checksum = sha256(path)
        return cls(name, path, path.stat().st_size, checksum)

    def parts(self, fraction: float | None) -> Iterator[tuple[str, Iterator[str]]]:
        """(name, pieces) of what is scored by itself: nothing is read across."""
        if fraction is None:
            return iter([(WHOLE, pieces_of(self.path, self.name))])
        return zip((TRAINING, VALIDATION), split(self.path, fraction, self.name), strict=True)


@dataclass
class Sums:
    """What the scored windows of a part of one text add up to; ln p in nats."""

    windows: int = 0
    tokens: int = 0
    words: int = 0
    bytes: int = 0
    log_likelihood: float = 0.0

    def add(self, window: ScoredWindow) -> None:
        """Count a window's targets."""
        self.windows += 1
        self.tokens += len(window.log_probas)
        self.words += window.words
        self.bytes += window.bytes
        self.log_likelihood += window.log_probas.double().sum().item()

    def result(self, plan: Plan) -> CorpusLoss | None:
        """The means of these sums, without the numbers of single windows; None if nothing is scored."""
        if not self.tokens:
            return None
        return CorpusLoss(plan, self.tokens, self.words, self.bytes, self.log_likelihood, (), (), (), (), (), ())


@dataclass(frozen=True)
class Skipped:
    """A part of a text of which the convention scores nothing, and why."""

    text: str
    part: str
    reason: str

    @property
    def sentence(self) -> str:
        return f"{self.text}{'' if self.part == WHOLE else f', {self.part}'}: {self.reason}"
