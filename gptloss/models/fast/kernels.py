"""Four ways to multiply by a weight matrix in float32 on a CPU. They add the same products in other orders.

torch      `F.linear`: what PyTorch takes by itself, MKL in most of its builds
onednn     oneDNN, a part of PyTorch, on the matrix as it is
packed     oneDNN on a copy in its own order
openblas   the BLAS of numpy, on the same memory
"""

from collections.abc import Callable
from functools import cache
from typing import Any, Literal, get_args

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

Kernel = Literal["torch", "onednn", "packed", "openblas"]
KERNELS: tuple[Kernel, ...] = get_args(Kernel)

# What oneDNN does to a product before it writes it down: nothing, or GELU as GPT-2 has it.
NOTHING: tuple[Any, ...] = ("none", [], "")
GELU: tuple[Any, ...] = ("gelu", [], "tanh")

Bias = Float[Tensor, " e"] | None
Product = Callable[[Tensor, Tensor, Bias], Tensor]


def reorder(weight: Float[Tensor, "e d"]) -> Float[Tensor, "e d"]:
    """A copy of a weight in the order in which oneDNN multiplies quickest; nothing else can be done with it."""
    return torch.ops.mkldnn._reorder_linear_weight(weight)


def dense(weight: Float[Tensor, "e d"]) -> Float[Tensor, "e d"]:
    """The weight as a matrix, whatever its order."""
    return weight.to_dense() if weight.is_mkldnn else weight


def onednn(
    x: Float[Tensor, "*n d"], weight: Float[Tensor, "e d"], bias: Bias, after: Any = NOTHING
) -> Float[Tensor, "*n e"]:
    """`F.linear` by oneDNN, of a weight in either order. It has no gradient."""
    return torch.ops.mkldnn._linear_pointwise(x, weight, bias, *after)


def openblas(x: Float[Tensor, "*n d"], weight: Float[Tensor, "e d"], bias: Bias) -> Float[Tensor, "*n e"]:
    """`F.linear` by numpy, which reads and writes the memory of the tensors. It has no gradient."""
    rows = x.detach().reshape(-1, x.shape[-1]).numpy()
    y = torch.from_numpy(rows @ weight.detach().numpy().T)
    return (y if bias is None else y.add_(bias)).view(*x.shape[:-1], -1)


PRODUCTS: dict[Kernel, Product] = {"torch": F.linear, "onednn": onednn, "packed": onednn, "openblas": openblas}


@cache
def available() -> tuple[Kernel, ...]:
    """The kernels that this machine and this PyTorch have; `torch` is always one of them."""
    return tuple(kernel for kernel in KERNELS if _runs(kernel))


def _runs(kernel: Kernel) -> bool:
    """Whether the kernel is there and multiplies: oneDNN's operations are private to PyTorch."""
    x, weight = torch.eye(8), torch.arange(64.0).view(8, 8)
    try:
        y = PRODUCTS[kernel](x, reorder(weight) if kernel == "packed" else weight, torch.ones(8))
    except (AttributeError, RuntimeError, TypeError):  # another build of PyTorch, another machine
        return False
    return (kernel != "openblas" or _blas() is not None) and torch.equal(y, weight.T + 1)


@cache
def _blas() -> Any:
    """The OpenBLAS that numpy has loaded, None if numpy has another one."""
    import numpy  # noqa: F401  # has it loaded
    from threadpoolctl import ThreadpoolController

    found = ThreadpoolController().select(internal_api="openblas")
    return found if found.lib_controllers else None


def use_threads(count: int) -> None:
    """Make numpy's OpenBLAS compute on this many threads too; it has threads of its own."""
    if _blas() is not None:
        _blas().limit(limits=count)


@cache
def packs_bfloat16() -> bool:
    """Whether oneDNN multiplies by a matrix of bfloat16 in its own order here."""
    try:
        reorder(torch.zeros(8, 8, dtype=torch.bfloat16))
    except (AttributeError, RuntimeError, TypeError):
        return False
    return bool(torch.ops.mkldnn._is_mkldnn_bf16_supported())
