"""Products of matrices by oneDNN, a part of PyTorch; and whether they are used on this machine.

Tried once a process: the operations must be there (they are private to PyTorch), agree with `F.linear` and be quicker
by 15 %. GPTLOSS_PACKED=0 says no beforehand, GPTLOSS_PACKED=1 leaves only the speed untried.
"""

import os
import time
from collections.abc import Callable
from functools import cache
from typing import Any

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from gptloss.errors import GptlossError

VARIABLE = "GPTLOSS_PACKED"
# How much quicker than F.linear counts: nobody's answer should hang on a measurement.
QUICKER = 1.15
ROUNDS = 3
# What oneDNN does to a product before it writes it down: nothing, or GELU as GPT-2 has it.
NOTHING: tuple[Any, ...] = ("none", [], "")
GELU: tuple[Any, ...] = ("gelu", [], "tanh")


@cache
def available() -> bool:
    """Whether oneDNN is used on this machine. Raises `GptlossError` for a GPTLOSS_PACKED that is not 0 or 1."""
    told = os.environ.get(VARIABLE, "")
    if told not in ("", "0", "1"):
        raise GptlossError(f"{VARIABLE} is {told!r}; use 0 for never and 1 for always, or leave it out.")
    return told != "0" and _agrees() and (told == "1" or _ratio() > QUICKER)


def has_bfloat16() -> bool:
    """Whether oneDNN is used, and this processor multiplies in bfloat16."""
    return available() and bool(torch.ops.mkldnn._is_mkldnn_bf16_supported())


def dense(weight: Float[Tensor, "e d"]) -> Float[Tensor, "e d"]:
    """The weight as a matrix, whatever its order."""
    return weight.to_dense() if weight.is_mkldnn else weight


def reorder(weight: Float[Tensor, "e d"]) -> Float[Tensor, "e d"]:
    """A copy of a weight in the order in which oneDNN multiplies quickest; it knows nothing but that."""
    return torch.ops.mkldnn._reorder_linear_weight(weight)


def product(
    x: Float[Tensor, "*n d"], weight: Float[Tensor, "e d"], bias: Float[Tensor, " e"] | None, after: Any = NOTHING
) -> Float[Tensor, "*n e"]:
    """`F.linear` by oneDNN, of a weight in either order. It has no gradient."""
    return torch.ops.mkldnn._linear_pointwise(x, weight, bias, *after)


def _sample() -> tuple[Tensor, Tensor, Tensor]:
    """16 rows, a matrix as large as a sixth of GPT-2's head, and a bias. The caller's random state is left alone."""
    x, b = (torch.randn(*shape, generator=torch.Generator().manual_seed(0)) for shape in ((16, 768), (8192,)))
    return x, torch.linspace(-0.04, 0.04, 8192 * 768).view(8192, 768), b


@torch.no_grad()
def _agrees() -> bool:
    """Whether the operations are there and give what `F.linear` gives, with the weight in either order."""
    x, w, b = _sample()
    try:
        packed = reorder(w)
        found = [product(x, weight, b) for weight in (w, packed)] + [product(x, packed, b, GELU)]
    except (AttributeError, RuntimeError, TypeError):  # another build of PyTorch, another machine
        return False
    y = F.linear(x, w, b)
    wanted = [y, y, F.gelu(y, approximate="tanh")]
    return all(torch.allclose(a, b, atol=1e-5, rtol=1e-5) for a, b in zip(found, wanted, strict=True))


@torch.no_grad()
def _ratio() -> float:
    """How much longer `F.linear` takes: the best of some milliseconds each, in turn."""
    x, w, b = _sample()
    ways: list[Callable[[], Tensor]] = [lambda: F.linear(x, w, b), lambda: product(x, w, b)]
    times = [[_seconds(way) for way in ways] for _ in range(ROUNDS)]
    theirs, ours = (min(column) for column in zip(*times, strict=True))
    return theirs / ours


def _seconds(work: Callable[[], Tensor]) -> float:
    start = time.thread_time()
    work()
    return time.thread_time() - start
