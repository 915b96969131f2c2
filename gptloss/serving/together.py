"""Short texts of many visitors in one forward pass: it reads the weights once for all of them.

Whoever comes first computes for all who are waiting then; those who come meanwhile wait for the next pass, which one
of them computes. So nobody waits for company, and a single visitor is as quick as without this.
"""

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from threading import Lock
from weakref import WeakKeyDictionary

import torch

from gptloss.errors import GptlossError
from gptloss.scoring import recent
from gptloss.scoring.batch import ScoredBatch
from gptloss.scoring.rows import Row
from gptloss.scoring.score import score_rows
from gptloss.serving.models import LoadedModel

# Tokens in a pass. Of this many a pass is bound by what it computes, and no longer by the weights it reads.
MOST_TOKENS = 256


@dataclass(eq=False)
class _Request:
    """Rows that wait, and what came of them."""

    rows: Sequence[Row]
    found: ScoredBatch | None = None
    error: GptlossError | None = None

    @property
    def tokens(self) -> int:
        return sum(len(row.targets) for row in self.rows)

    @property
    def done(self) -> bool:
        return self.found is not None or self.error is not None


@dataclass(eq=False)
class _Desk:
    """The requests to one model. `turn` is held by the thread that computes, `lock` guards the line."""

    waiting: deque[_Request] = field(default_factory=deque)
    turn: Lock = field(default_factory=Lock)
    lock: Lock = field(default_factory=Lock)

    def next(self) -> list[_Request]:
        """Those who are served together: the first in the line, and as many more as fit."""
        taken: list[_Request] = []
        tokens = 0
        with self.lock:
            while self.waiting and (not taken or tokens + self.waiting[0].tokens <= MOST_TOKENS):
                taken.append(self.waiting.popleft())
                tokens += taken[-1].tokens
        return taken


_desks: WeakKeyDictionary[LoadedModel, _Desk] = WeakKeyDictionary()
_all = Lock()


def fits(rows: Sequence[Row]) -> bool:
    """Whether the rows are short enough to share a pass."""
    return sum(len(row.targets) for row in rows) <= recent.SHORT


def score_together(owner: LoadedModel, rows: Sequence[Row]) -> ScoredBatch:
    """Score the rows as `score_rows` does, with those of others who wait. Raises `GptlossError` as that does."""
    with _all:
        desk = _desks.setdefault(owner, _Desk())
    request = _Request(rows)
    with desk.lock:
        desk.waiting.append(request)
    while not request.done:
        with desk.turn:
            if not request.done:
                _serve(owner, desk.next())
    if request.error is not None:
        raise request.error
    assert request.found is not None
    return request.found


def _serve(owner: LoadedModel, requests: list[_Request]) -> None:
    """Score all of these. If one of them cannot be, each is scored by itself."""
    try:
        if len(requests) > 1:
            rows = [row for request in requests for row in request.rows]
            parts = _split(score_rows(owner.model, rows, short=True), [request.rows for request in requests])
            for request, part in zip(requests, parts, strict=True):
                request.found = part
            return
    except GptlossError:
        pass  # one of several: below it is told apart
    for request in requests:
        try:
            request.found = score_rows(owner.model, request.rows)
        except GptlossError as error:
            request.error = error


def _split(batch: ScoredBatch, rows: list[Sequence[Row]]) -> list[ScoredBatch]:
    """The batch of each request, with its logits kept."""
    lengths = [sum(len(row.targets) for row in some) for some in rows]
    columns = [
        torch.split(column, lengths)
        for column in (
            batch.hidden,
            batch.logits,
            batch.normalisers,
            batch.ranks,
            batch.entropies,
            batch.argmax_ids,
            batch.top_ids,
            batch.top_logits,
        )
    ]
    logits = recent.kept(batch.hidden)
    parts = []
    for n, some in enumerate(rows):
        hidden, *others = (column[n].clone() for column in columns)
        part = ScoredBatch(batch.model, tuple(some), hidden, *others)
        if logits is not None:
            recent.keep(hidden, torch.split(logits, lengths)[n].clone())
        parts.append(part)
    return parts
