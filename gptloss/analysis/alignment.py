"""Two scored rows side by side: where their tokens end together, and what the text between cost each of them.

Tokenizers cut the same text differently. Between two places where both have a cut the text is the same, so the
summed losses of the tokens in between can be subtracted.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from difflib import SequenceMatcher
from itertools import accumulate, pairwise

from gptloss.scoring.batch import ScoredBatch
from gptloss.tokens import Tokenizer


@dataclass(frozen=True)
class AlignedToken:
    """One target token in its row: its place j, the byte it starts and ends at, its label and its loss in nats."""

    j: int
    start: int
    stop: int
    label: str
    loss: float


@dataclass(frozen=True)
class Span:
    """A stretch of text, in bytes, and what it cost each of two rows, in nats.

    `j` is the token of the first row that it begins with. Where the second row has other tokens in its place, the
    label says both: `tea→car`. Tokens that only one row has stand on one side of the arrow, and cost the other
    nothing; those that only the second has come before token `j`, and move all that follows on by their bytes.
    """

    start: int
    stop: int
    label: str
    losses: tuple[float, float]
    j: int = 1

    @property
    def difference(self) -> float:
        """How much more the first paid, in nats."""
        return self.losses[0] - self.losses[1]


def aligned_tokens(batch: ScoredBatch, i: int) -> tuple[AlignedToken, ...]:
    """The target tokens of row i, from where they start in the row's text, for inputs shifted by one.

    A first token that is only read stands before them. Empty for a row that was not scored.
    """
    row = next((row for row in batch.rows if row.number == i), None)
    if row is None:
        return ()
    only_read = 0 if row.starts else len(row.inputs[0].raw)
    ends = list(accumulate((len(token.raw) for token in row.targets), initial=only_read))
    first = batch.index(i, 1)
    losses = (-batch.log_probas[first : first + len(row.targets)]).tolist()
    return tuple(
        AlignedToken(j, start, stop, token.label, loss)
        for j, (start, stop, token, loss) in enumerate(zip(ends, ends[1:], row.targets, losses, strict=False), 1)
    )


def spans_of_text(one: tuple[AlignedToken, ...], other: tuple[AlignedToken, ...]) -> tuple[Span, ...]:
    """The same text under two models: a span ends wherever tokens of both end."""
    first, second = _paid_by(one), _paid_by(other)
    cuts = sorted(first.keys() & second.keys())
    starting = {piece.start: piece for piece in one}
    return tuple(
        Span(
            start,
            stop,
            _label(starting, start, stop),
            (first[stop] - first[start], second[stop] - second[start]),
            starting[start].j,
        )
        for start, stop in pairwise(cuts)
    )


def spans_of_tokens(one: tuple[AlignedToken, ...], other: tuple[AlignedToken, ...]) -> tuple[Span, ...]:
    """Two texts under one model: a span for each token that both have, and for each stretch that only one has.

    Their differences add up to the difference of the two summed losses.
    """
    spans: list[Span] = []
    at, start = 0, one[0].start if one else 0
    for mine, theirs in _aligned(one, other):
        stop = start + sum(piece.stop - piece.start for piece in mine or theirs)
        j = max(1, min(at + 1, len(one)))
        spans.append(Span(start, stop, _labels(mine, theirs), (_cost(mine), _cost(theirs)), j))
        at, start = at + len(mine), stop
    return tuple(spans)


@dataclass(frozen=True)
class Shared:
    """What every one of several runs scored: the numbers of the lines, their bytes, and the nats each run paid."""

    lines: tuple[int, ...]
    size: int
    nats: tuple[float, ...]


def shared(batches: Sequence[ScoredBatch]) -> Shared:
    """The same text under several models: of each line that all have, from their first common cut to their last."""
    common = set.intersection(*({row.number for row in batch.rows} for batch in batches))
    lines, size, nats = list[int](), 0, [0.0] * len(batches)
    for i in sorted(common):
        paid = [_paid_by(aligned_tokens(batch, i)) for batch in batches]
        cuts = set.intersection(*map(set, paid))
        if len(cuts) > 1:
            start, stop = min(cuts), max(cuts)
            lines.append(i)
            size += stop - start
            nats = [before + run[stop] - run[start] for before, run in zip(nats, paid, strict=True)]
    return Shared(tuple(lines), size, tuple(nats))


def widest(spans: Sequence[Span]) -> Span | None:
    """The span on which the two differ most; None if there is none."""
    return max(spans, key=lambda span: abs(span.difference), default=None)


def aligned_token_at(row: tuple[AlignedToken, ...], byte: int) -> AlignedToken | None:
    """The token that holds this byte of the text, or None if the byte is not scored."""
    return next((piece for piece in row if piece.start <= byte < piece.stop), None)


def same_vocabulary(one: Tokenizer, other: Tokenizer) -> bool:
    """Whether every id stands for the same bytes, so that two distributions are over the same things."""
    return one is other or (
        one.vocab_size == other.vocab_size and all(one.token(id) == other.token(id) for id in range(one.vocab_size))
    )


def _paid_by(row: tuple[AlignedToken, ...]) -> dict[int, float]:
    """What all tokens up to a cut cost together, for each cut."""
    starts = {row[0].start: 0.0} if row else {}
    return starts | dict(zip([piece.stop for piece in row], accumulate(piece.loss for piece in row), strict=True))


def _aligned(
    one: tuple[AlignedToken, ...], other: tuple[AlignedToken, ...]
) -> Iterator[tuple[tuple[AlignedToken, ...], tuple[AlignedToken, ...]]]:
    """All tokens of both rows: each that both have, and between these what stands in each other's place."""
    same = SequenceMatcher(None, [p.label for p in one], [p.label for p in other], autojunk=False)
    for kind, a, b, c, d in same.get_opcodes():
        if kind == "equal":
            yield from (((p,), (q,)) for p, q in zip(one[a:b], other[c:d], strict=True))
        else:
            yield one[a:b], other[c:d]


def _cost(row: tuple[AlignedToken, ...]) -> float:
    return sum(piece.loss for piece in row)


def _labels(one: tuple[AlignedToken, ...], other: tuple[AlignedToken, ...]) -> str:
    """`tea→car`, or the label that both have."""
    return "→".join(dict.fromkeys("".join(piece.label for piece in row) for row in (one, other)))


def _label(starting: Mapping[int, AlignedToken], start: int, stop: int) -> str:
    label = ""
    while start < stop:
        label, start = label + starting[start].label, starting[start].stop
    return label
