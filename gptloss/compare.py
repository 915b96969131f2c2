"""Two scored rows side by side: where their tokens end together, and what the text between cost each of them.

Tokenizers cut the same text differently. Between two places where both have a cut the text is the same, so the
summed losses of the tokens in between can be subtracted.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from difflib import SequenceMatcher
from itertools import accumulate, pairwise

from gptloss.scoring import ScoredBatch
from gptloss.tokens import Tokenizer


@dataclass(frozen=True)
class Piece:
    """One target token in its row: its place j, the byte it starts and ends at, its label and its loss in nats."""

    j: int
    start: int
    stop: int
    label: str
    loss: float


@dataclass(frozen=True)
class Span:
    """A stretch of the first row, in bytes, and what it cost each of two rows, in nats.

    Where the second row has other tokens in its place, the label says both: `tea→car`.
    """

    start: int
    stop: int
    label: str
    losses: tuple[float, float]

    @property
    def difference(self) -> float:
        """How much more the first paid, in nats."""
        return self.losses[0] - self.losses[1]


def pieces(batch: ScoredBatch, i: int) -> tuple[Piece, ...]:
    """The target tokens of row i, from where they start in the row's text, for inputs shifted by one.

    A first token that only is input comes before them. Empty for a row that was not scored.
    """
    row = next((row for row in batch.rows if row.number == i), None)
    if row is None:
        return ()
    only_read = 0 if row.starts else len(row.inputs[0].raw)
    ends = list(accumulate((len(token.raw) for token in row.targets), initial=only_read))
    first = batch.index(i, 1)
    losses = (-batch.log_probas[first : first + len(row.targets)]).tolist()
    return tuple(
        Piece(j, start, stop, token.label, loss)
        for j, (start, stop, token, loss) in enumerate(zip(ends, ends[1:], row.targets, losses, strict=False), 1)
    )


def spans_of_text(one: tuple[Piece, ...], other: tuple[Piece, ...]) -> tuple[Span, ...]:
    """The same text under two models: a span ends wherever tokens of both end."""
    first, second = _paid_by(one), _paid_by(other)
    cuts = sorted(first.keys() & second.keys())
    starting = {piece.start: piece for piece in one}
    return tuple(
        Span(start, stop, _label(starting, start, stop), (first[stop] - first[start], second[stop] - second[start]))
        for start, stop in pairwise(cuts)
    )


def spans_of_tokens(one: tuple[Piece, ...], other: tuple[Piece, ...]) -> tuple[Span, ...]:
    """Two texts under one model: a span for each token that both have, and for each stretch that was exchanged."""
    same = SequenceMatcher(None, [p.label for p in one], [p.label for p in other], autojunk=False)
    spans: list[Span] = []
    for kind, a, b, c, d in same.get_opcodes():
        if kind == "equal":
            pairs = zip(one[a:b], other[c:d], strict=True)
            spans += [Span(p.start, p.stop, p.label, (p.loss, q.loss)) for p, q in pairs]
        elif kind == "replace":
            labels = ["".join(piece.label for piece in part) for part in (one[a:b], other[c:d])]
            losses = sum(p.loss for p in one[a:b]), sum(p.loss for p in other[c:d])
            spans.append(Span(one[a].start, one[b - 1].stop, "→".join(labels), losses))
    return tuple(spans)


def widest(spans: Sequence[Span]) -> Span | None:
    """The span on which the two differ most; None if there is none."""
    return max(spans, key=lambda span: abs(span.difference), default=None)


def piece_at(row: tuple[Piece, ...], byte: int) -> Piece | None:
    """The token that holds this byte of the text, or None if the byte is not scored."""
    return next((piece for piece in row if piece.start <= byte < piece.stop), None)


def same_vocabulary(one: Tokenizer, other: Tokenizer) -> bool:
    """Whether every id stands for the same bytes, so that two distributions are over the same things."""
    return one is other or (
        one.vocab_size == other.vocab_size and all(one.token(id) == other.token(id) for id in range(one.vocab_size))
    )


def _paid_by(row: tuple[Piece, ...]) -> dict[int, float]:
    """What all tokens up to a cut cost together, for each cut."""
    starts = {row[0].start: 0.0} if row else {}
    return starts | dict(zip([piece.stop for piece in row], accumulate(piece.loss for piece in row), strict=True))


def _label(starting: Mapping[int, Piece], start: int, stop: int) -> str:
    label = ""
    while start < stop:
        label, start = label + starting[start].label, starting[start].stop
    return label
