"""What if another token stood here, or had another probability: what every position of the row gains or loses."""

import math
from dataclasses import dataclass, replace

from jaxtyping import Float
from torch import Tensor

from gptloss.errors import GptlossError
from gptloss.numbers import position_name, proba_text
from gptloss.scoring.batch import ScoredBatch
from gptloss.scoring.rows import Row
from gptloss.scoring.score import score_rows
from gptloss.tokens import Token


@dataclass(frozen=True, eq=False)
class Branch:
    """A scored batch with one position changed: `targets` and `log_probas` (nats, float64) are the new ones."""

    batch: ScoredBatch
    at: tuple[int, int]
    what: str
    targets: tuple[Token, ...]
    log_probas: Float[Tensor, " n"]

    @property
    def changes(self) -> Float[Tensor, " n"]:
        """What each target costs more than before, in nats; below 0 it costs less. 0 before the changed position."""
        return self.batch.log_probas.double() - self.log_probas

    @property
    def loss(self) -> float:
        """The loss of the changed batch, in nats per token."""
        return -self.log_probas.mean().item()

    @property
    def change(self) -> float:
        """What the loss gains: the sum of all changes, divided by the number of targets."""
        return self.loss - self.batch.loss

    @property
    def touched(self) -> range:
        """The numbers k, from 0, of the positions from the changed one to the end of its row."""
        i, j = self.at
        length = next(len(row.targets) for row in self.batch.rows if row.number == i)
        start = self.batch.index(i, j)
        return range(start, start + length - j + 1)


def moved(batch: ScoredBatch, i: int, j: int, proba: float) -> Branch:
    """The target of (i, j) has the probability `proba`; no other position sees it.

    Raises `GptlossError` for a probability that is not above 0 and at most 1.
    """
    if not 0 < proba <= 1:
        raise GptlossError(f"A probability of {proba:g} has no logarithm to add up; use more than 0 and at most 1.")
    logs = batch.log_probas.double().clone()
    logs[batch.index(i, j)] = math.log(proba)
    what = f"{position_name(i, j)} = {proba_text(math.log(proba))}"
    return Branch(batch, (i, j), what, batch.targets, logs)


def forced(batch: ScoredBatch, i: int, j: int, token: Token) -> Branch:
    """Another token is the target of (i, j), and what comes after it reads it instead.

    Where the next input is another token than the target, as in rows that are no text, only this position changes.
    The positions before it stay as they are, because a model does not look ahead.
    """
    row = next(row for row in batch.rows if row.number == i)
    changed, start = _with_token(row, j, token), batch.index(i, 1)
    stride = max(1, batch.model.info.context_length // 2)
    again = score_rows(batch.model, [changed], stride)
    logs = batch.log_probas.double().clone()
    logs[start + j - 1 : start + len(row.targets)] = again.log_probas[j - 1 :].double()
    targets = (*batch.targets[:start], *changed.targets, *batch.targets[start + len(row.targets) :])
    what = f"{row.targets[j - 1].label} → {token.label}"
    return Branch(batch, (i, j), what, targets, logs)


def _with_token(row: Row, j: int, token: Token) -> Row:
    inputs, targets = list(row.inputs), list(row.targets)
    if j < len(inputs) and inputs[j] == targets[j - 1]:
        inputs[j] = token
    targets[j - 1] = token
    return replace(row, inputs=tuple(inputs), targets=tuple(targets))
