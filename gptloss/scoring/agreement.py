"""The loss once more, by PyTorch's own function: an independent route, to compare ours with."""

from collections.abc import Iterable

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from torch import Tensor

# Rows of logits that are brought to float64 together: 6 MB for GPT-2.
TOGETHER = 16
# From 1 to the next number in float32: the step between the digits that it has.
ULP = 2.0**-23


def cross_entropies(
    chunks: Iterable[tuple[int, Float[Tensor, "c v"]]], ids: Int[Tensor, " n"]
) -> tuple[float, float]:
    """`F.cross_entropy` of n targets, in nats per token: in float64, and in the logits' own precision.

    The logits come in chunks, each with the place of its first target.
    """
    exact, usual = 0.0, 0.0
    for start, logits in chunks:
        parts = (torch.split(part, TOGETHER) for part in (logits, ids[start : start + len(logits)]))
        for rows, targets in zip(*parts, strict=True):
            exact += F.cross_entropy(rows.double(), targets, reduction="sum").item()
            usual += F.cross_entropy(rows, targets, reduction="sum").item()
    return exact / len(ids), usual / len(ids)


def differ_by_rounding(loss: float, other: float, normalisers: Float[Tensor, " n"]) -> bool:
    """Whether two losses differ by no more than float32 rounds off a logit and a logsumexp."""
    return abs(loss - other) <= ULP * (1 + normalisers.abs().max().item())
