"""ln p of many targets from their states, a part of the vocabulary at a time: all logits take 200 kB a token.

by columns   a part of the vocabulary for all positions: the weights are read once, and the product is larger
by rows      all of the vocabulary for some positions: for a model of which nothing is known but `head`
"""

from collections.abc import Callable
from typing import Any

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from gptloss import measures
from gptloss.models.architectures.tied import Tied
from gptloss.models.base import LanguageModel
from gptloss.models.fast.layers import columns

LogProbas = Callable[[Tensor, Tensor], Tensor]
# Tokens of the vocabulary whose logits are made together: 8 MB for 512 positions.
COLUMNS = 4_096
# Positions whose logits are made together otherwise: 26 MB for GPT-2.
ROWS = 128
# Logits of which the exponentials are made together: 1 MB.
TOGETHER = 1 << 18


def log_probas(model: LanguageModel, hidden: Float[Tensor, "n d"], targets: Int[Tensor, " n"]) -> Float[Tensor, " n"]:
    """ln p of each target, in nats; in float64 if the model computes in it, else in float32."""
    elsewhere: LogProbas | None = getattr(model, "target_log_probas", None)  # of a model in another process
    if elsewhere is not None:
        return elsewhere(hidden, targets)
    layer = getattr(model, "output_layer", None)
    return _by_columns(layer, hidden, targets) if _is_linear(layer) else _by_rows(model, hidden, targets)


def _is_linear(layer: Any) -> bool:
    """Whether a part of the layer's weight gives the same part of its output."""
    return isinstance(layer, nn.Linear | Tied) and not layer.weight.is_mkldnn


def _by_columns(layer: Any, hidden: Float[Tensor, "n d"], targets: Int[Tensor, " n"]) -> Float[Tensor, " n"]:
    """The target's logit minus logsumexp of the logsumexp of each part of the vocabulary."""
    chosen = torch.empty(len(targets), dtype=torch.float64)
    normalisers = []
    for start in range(0, layer.weight.shape[0], COLUMNS):
        logits = columns(layer, hidden, start, start + COLUMNS)
        inside = ((targets >= start) & (targets < start + COLUMNS)).nonzero()[:, 0]
        chosen[inside] = logits[inside, targets[inside] - start].double()
        some = torch.split(logits, max(1, TOGETHER // logits.shape[-1]))
        normalisers.append(torch.cat([measures.logsumexp(rows) for rows in some]))
    return (chosen - torch.stack(normalisers).logsumexp(0)).to(hidden.dtype)


def _by_rows(model: LanguageModel, hidden: Float[Tensor, "n d"], targets: Int[Tensor, " n"]) -> Float[Tensor, " n"]:
    found = []
    for some, ids in zip(torch.split(hidden, ROWS), torch.split(targets, ROWS), strict=True):
        logits = model.head(some)
        size = max(1, TOGETHER // logits.shape[-1])
        for rows, wanted in zip(torch.split(logits, size), torch.split(ids, size), strict=True):
            exact = rows if rows.dtype == torch.float64 else rows.float()
            found.append(measures.target_log_probas(exact, wanted))
    return torch.cat(found)
