"""A scored text as a reader sees it: its words, its sentences and its totals.

Tokens are bytes, and a token may hold half a character, so places in the text are counted in bytes.
"""

import math
import re
from bisect import bisect_right
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import accumulate, groupby

import torch
from jaxtyping import Float, Int
from torch import Tensor

from gptloss import measures
from gptloss.errors import GptlossError
from gptloss.scoring.batch import ScoredBatch
from gptloss.tokens import Token, text_of

# From the first choice to the last: the classes of GLTR (Gehrmann et al. 2019), and one more.
RANK_CLASSES = ("1", "2 to 10", "11 to 100", "101 to 1,000", "over 1,000")
_LAST_RANKS = torch.tensor([1, 10, 100, 1_000])

_WORD = re.compile(r"\S+")
_BREAK = re.compile(r"(?<![.!?…])[.!?…]++[\"'”’)\]»]*+(?=\s)|[。！？]++[”’」』）]*+|\n\s*\n")
_INK = re.compile(r"\S")
# A full stop after one of these, or after an initial, ends no sentence.
_SHORT = re.compile(r"(?:\b(?:mrs?|ms|dr|prof|st|vs|e\.g|i\.e|fig)|\b(?-i:[A-HJ-Z]))\.$", re.IGNORECASE)
_SHORT_LETTERS = 6

Spans = list[tuple[int, int]]


@dataclass(frozen=True)
class Stretch:
    """A part of a scored text: its bytes, its first and last place in the flattened list, its loss in nats.

    The loss is the sum over its tokens.
    """

    raw: bytes
    first: int
    last: int
    loss: float

    @property
    def text(self) -> str:
        """The bytes as text; half a character becomes U+FFFD."""
        return self.raw.decode("utf-8", "replace")

    @property
    def tokens(self) -> int:
        """How many tokens it has."""
        return self.last - self.first + 1

    @property
    def mean(self) -> float:
        """Its loss per token, in nats."""
        return self.loss / self.tokens


@dataclass(frozen=True)
class Totals:
    """A text in a few numbers: the loss in nats per token, and what it is divided by. Counts are of what was scored.

    `word_perplexity` is None where it cannot be said: in a text of blanks, and past e^709, which no float64 holds.
    """

    loss: float
    perplexity: float
    bits_per_byte: float
    word_perplexity: float | None
    tokens: int
    bytes: int
    words: int

    @property
    def word_loss(self) -> float | None:
        """The loss per word, in nats; None in a text of blanks."""
        return self.loss * self.tokens / self.words if self.words else None


def words(batch: ScoredBatch) -> tuple[Stretch, ...]:
    """The words, each with the tokens whose first byte that is no blank lies in it; a word is what blanks separate.

    Tokens of blanks count with the word after them, at the end of a row with the last one. So every token is in
    exactly one word. A word without a token of its own is part of the one before; a row of blanks is one word.
    """
    return _stretches(batch, _word_spans)


def sentences(batch: ScoredBatch) -> tuple[Stretch, ...]:
    """The sentences, with their tokens as in `words`.

    One ends with `.`, `!`, `?` or `…` before a blank, unless a small letter follows or the full stop belongs to an
    initial or a title (`Mrs.`); with `。`, `！` or `？`; and at an empty line.
    """
    return _stretches(batch, _sentence_spans)


def totals(batch: ScoredBatch) -> Totals:
    """Loss, perplexity, bits per byte and word perplexity, with what each is spread over.

    The word perplexity is e^(all nats / words): it can be compared between models, as bits per byte can.
    """
    nats = batch.loss * len(batch)
    count = sum(len(_word_spans(raw)) for raw in _rows(batch))
    return Totals(
        loss=batch.loss,
        perplexity=batch.perplexity,
        bits_per_byte=batch.bits_per_byte,
        word_perplexity=_perplexity(nats / count) if count else None,
        tokens=len(batch),
        bytes=batch.target_bytes,
        words=count,
    )


def running_mean(losses: Float[Tensor, " n"]) -> Float[Tensor, " n"]:
    """The mean of the first 1, 2, ... n losses, in float64; the last one is the loss of the text."""
    return losses.double().cumsum(0) / torch.arange(1, len(losses) + 1)


def rank_counts(ranks: Int[Tensor, " n"]) -> tuple[int, ...]:
    """How many ranks are in each of `RANK_CLASSES`."""
    places = torch.bucketize(ranks, _LAST_RANKS)
    return tuple(torch.bincount(places, minlength=len(RANK_CLASSES)).tolist())


def costliest(losses: Float[Tensor, " n"], most: int = 10) -> tuple[int, ...]:
    """The places of the highest losses, highest first; of equal ones the earlier."""
    return tuple(losses.argsort(descending=True, stable=True)[:most].tolist())


def around(batch: ScoredBatch, k: int, size: int = 24) -> tuple[str, str]:
    """What stands before and after token k in its row: `size` characters of each, or fewer, to end between words."""
    i, j = batch.positions[k]
    row = next(row for row in batch.rows if row.number == i)
    before = text_of(row.inputs[row.starts : j][-size - 1 :])
    after = text_of(row.targets[j : j + size + 1])
    return _shortened(before[::-1], size)[::-1], _shortened(after, size)


def _shortened(text: str, size: int) -> str:
    if len(text) <= size:
        return text
    words = re.match(r".*\S(?=\s)", text[: size + 1], re.DOTALL)
    return (words[0] if words else text[:size]) + "…"


def _perplexity(loss: float) -> float | None:
    try:
        return measures.perplexity(loss)
    except GptlossError:
        return None


def _rows(batch: ScoredBatch) -> list[bytes]:
    return [b"".join(token.raw for token in row.targets) for row in batch.rows]


def _stretches(batch: ScoredBatch, spans_of: Callable[[bytes], Spans]) -> tuple[Stretch, ...]:
    losses = (-batch.log_probas.double()).tolist()
    made: list[Stretch] = []
    for row, raw in zip(batch.rows, _rows(batch), strict=True):
        spans = spans_of(raw) or [(0, len(raw))]
        groups = _owned(row.targets, spans)
        ends = [*(span for span, _ in groups[1:]), len(spans)]
        for (span, count), end in zip(groups, ends, strict=True):
            first = made[-1].last + 1 if made else 0
            loss = math.fsum(losses[first : first + count])
            made.append(Stretch(raw[spans[span][0] : spans[end - 1][1]], first, first + count - 1, loss))
    return tuple(made)


def _owned(tokens: Sequence[Token], spans: Spans) -> list[tuple[int, int]]:
    """(span, how many tokens it has) in order: a token goes to the first span that ends after the token begins."""
    stops = [stop for _, stop in spans[:-1]]
    begins = accumulate((len(token.raw) for token in tokens[:-1]), initial=0)
    return [(span, sum(1 for _ in group)) for span, group in groupby(bisect_right(stops, b) for b in begins)]


def _word_spans(raw: bytes) -> Spans:
    text = _lossless(raw)
    return _in_bytes(text, [match.span() for match in _WORD.finditer(text)])


def _sentence_spans(raw: bytes) -> Spans:
    text = _lossless(raw)
    spans: Spans = []
    start = _INK.search(text)
    for match in _BREAK.finditer(text):
        if start and start.start() < match.end() and _ends_sentence(text, match):
            spans.append((start.start(), match.start() if match[0].isspace() else match.end()))
            start = _INK.search(text, match.end())
    if start:
        spans.append((start.start(), len(text.rstrip())))
    return _in_bytes(text, spans)


def _ends_sentence(text: str, match: re.Match[str]) -> bool:
    if match[0].isspace() or match[0][0] in "。！？":
        return True
    after = _INK.search(text, match.end())
    before = text[max(0, match.end() - _SHORT_LETTERS) : match.end()]
    return not (after and after[0].islower()) and not _SHORT.search(before)


def _lossless(raw: bytes) -> str:
    """Bytes that are no whole character become one lone surrogate each, which is no blank."""
    return raw.decode("utf-8", "surrogateescape")


def _in_bytes(text: str, spans: Spans) -> Spans:
    """Places in characters as places in bytes."""
    made: Spans = []
    at = size = 0
    for start, stop in spans:
        first = size + len(text[at:start].encode("utf-8", "surrogateescape"))
        at, size = stop, first + len(text[start:stop].encode("utf-8", "surrogateescape"))
        made.append((first, size))
    return made
