"""Mistakes of precision: logarithms of rounded probabilities, products that vanish, an entropy cut short."""

import math
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float

from gptloss.lessons.pitfalls.case import Comparison, Lab, Outcome, loss
from gptloss.lessons.pitfalls.means import LOSS
from gptloss.numbers import position_name
from gptloss.scoring.batch import CHUNK, ScoredBatch, ids_of, logits_by_chunks

# Of how many tokens a programming interface usually gives the log-probabilities.
TOP = 10
POINTS = 120


def rounded(lab: Lab) -> Comparison:
    """The logarithm of a softmax that has 16 bits, and of the product of all probabilities."""
    batch = lab.batch
    right = loss("log_softmax", "loss = -log_softmax(logits).gather(targets).mean()", batch.loss)
    half = loss("log of a softmax in float16", "loss = -softmax(logits.half()).log()…mean()", _half(batch))
    products = [
        _of_product(batch, dtype, f"-log of the product in {name}", f"loss = -log(target_probas{code}.prod()) / n")
        for dtype, name, code in (
            (torch.float16, "float16", ".half()"),
            (torch.float32, "float32", ""),
        )
    ]
    return Comparison(LOSS, right, (half, *products))


def _half(batch: ScoredBatch) -> float | None:
    ids, logs = ids_of(batch.targets), []
    for start, logits in logits_by_chunks(batch.model, batch.hidden):
        probas = torch.softmax(logits.half(), -1)
        logs.append(probas.gather(-1, ids[start : start + CHUNK, None])[:, 0].log())
    value = -torch.cat(logs).double().mean().item()
    return value if math.isfinite(value) else None


def _of_product(batch: ScoredBatch, dtype: torch.dtype, name: str, code: str) -> Outcome:
    product = batch.target_probas.to(dtype).prod().item()
    return loss(name, code, -math.log(product) / len(batch) if product else None)


def top_entropy(lab: Lab) -> Comparison:
    """The entropy at the chosen position from its ten likeliest tokens: a lower bound."""
    curve = entropy_curve(lab.batch, *lab.at)
    tail = curve.logs[:TOP] - np.logaddexp.reduce(curve.logs[:TOP])
    text = f"{curve.entropy:.4f}"
    right = Outcome(f"all {len(curve.logs):,} tokens", "-(p * log_p).sum()", curve.entropy, text)
    part = curve.at(TOP)
    renormalised = float(-(np.exp(tail) * tail).sum())
    return Comparison(
        f"Entropy at {position_name(*lab.at)}, nats",
        right,
        (
            Outcome(f"the {TOP} likeliest", f"-(p * log_p)[top_{TOP}].sum()", part, f"{part:.4f}"),
            Outcome(
                f"these {TOP}, renormalised",
                "q = p[top] / p[top].sum(); -(q * log(q)).sum()",
                renormalised,
                f"{renormalised:.4f}",
            ),
        ),
    )


@dataclass(frozen=True, eq=False)
class EntropyCurve:
    """-p ln p added up from the likeliest token on: `logs` are ln p, likeliest first, in float64."""

    logs: Float[np.ndarray, " v"]

    @property
    def entropy(self) -> float:
        """The sum over all tokens, in nats."""
        return self.at(len(self.logs))

    def at(self, k: int) -> float:
        """The sum over the k likeliest tokens, in nats: never more than the entropy."""
        return float(self._sums[k - 1])

    @property
    def _sums(self) -> Float[np.ndarray, " v"]:
        return np.cumsum(-np.exp(self.logs) * np.where(np.isfinite(self.logs), self.logs, 0.0))

    def points(self) -> tuple[list[int], list[float]]:
        """Some k, evenly spaced in their logarithm, and the sum up to each."""
        ks = np.unique(np.geomspace(1, len(self.logs), POINTS).round().astype(int))
        return ks.tolist(), self._sums[ks - 1].tolist()


def entropy_curve(batch: ScoredBatch, i: int, j: int) -> EntropyCurve:
    """The curve at (i, j)."""
    logs = batch.logits_at(i, j).double().log_softmax(-1)
    return EntropyCurve(np.sort(logs.numpy())[::-1])
