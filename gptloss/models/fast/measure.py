"""How fast and how exact each kernel is for a matrix of some shape, on this machine."""

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any, cast

import torch
from jaxtyping import Float
from torch import Tensor

from gptloss.models.fast.kernels import PRODUCTS, Kernel, available, packs_bfloat16, reorder, use_threads
from gptloss.models.fast.shape import Shape

# Fewer rows are left to F.linear: a generated token is no quicker, and the lecture's six keep the book's digits.
MANY = 8
# Rows that are tried; each stands for what lies between it and the next.
SIZES = (MANY, 64, 256)
# Columns of a large head that are tried: all cost the same.
COLUMNS = 4_096
# Rows and columns of which the error is taken.
CHECKED = 128
# The best of this many calls counts. A kernel that is far behind after the first few drops out.
ROUNDS, FIRST, FAR = 8, 3, 1.2


@dataclass(frozen=True)
class Measured:
    """Multiplications and additions a second, and the root mean square error of a product, of numbers of size 1."""

    speed: float
    error: float


# For each kernel and number of rows.
Figures = Mapping[Kernel, Mapping[int, Measured]]


def figures_as_json(found: Figures) -> dict[str, Any]:
    """Figures as plain data."""
    return {
        kernel: {str(size): [entry.speed, entry.error] for size, entry in sizes.items()}
        for kernel, sizes in found.items()
    }


def figures_from_json(stored: Any) -> Figures:
    """Figures from plain data, of the kernels that are here.

    Raises `ValueError`, `KeyError` or `TypeError` if the data is not whole.
    """
    found = {
        cast(Kernel, kernel): {size: Measured(*map(float, sizes[str(size)])) for size in SIZES}
        for kernel, sizes in stored.items()
        if kernel in available()
    }
    if "torch" not in found:
        raise ValueError(f"only {list(found)}")
    return found


def figures(shape: Shape) -> Figures:
    """Measure every kernel that is here, in turn, so that none has the quiet moments for itself. Takes about 0.5 s.

    On one thread, in seconds in which it computed: what else the machine does meanwhile hardly counts in them.
    """
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    use_threads(1)
    try:
        return _figures(shape)
    finally:
        torch.set_num_threads(threads)
        use_threads(threads)


@torch.no_grad()
def _figures(shape: Shape) -> Figures:
    weight = sample(min(shape.e, COLUMNS), shape.d, shape.turned)
    ways = {
        kernel: partial(_way, kernel, reorder(weight) if kernel == "packed" else weight) for kernel in available()
    }
    found: dict[Kernel, dict[int, Measured]] = {kernel: {} for kernel in ways}
    for size in SIZES:
        x = torch.randn(size, shape.d, generator=torch.Generator().manual_seed(size))
        seconds = _race({kernel: partial(way, x) for kernel, way in ways.items()})
        for kernel, way in ways.items():
            error = _error(way(x), x, weight)
            found[kernel][size] = Measured(round(2 * size * weight.numel() / seconds[kernel], -6), error)
    return found


def bfloat16_gain() -> float:
    """How many times as fast a product is in bfloat16 as the fastest in float32; below 1 it is slower. On one thread.

    Processors without bfloat16 imitate it, 6 to 25 times slower than float32.
    """
    shape = Shape(768, 3072)
    fastest = max(sizes[SIZES[1]].speed for sizes in figures(shape).values())
    x, weight = torch.randn(SIZES[1], shape.d).bfloat16(), sample(shape.e, shape.d, False).bfloat16()
    kernel: Kernel = "packed" if packs_bfloat16() else "torch"
    given = reorder(weight) if kernel == "packed" else weight
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        (seconds,) = _race({kernel: partial(_way, kernel, given, x)}).values()
    finally:
        torch.set_num_threads(threads)
    return 2 * len(x) * weight.numel() / seconds / fastest


def sample(e: int, d: int, turned: bool) -> Float[Tensor, "e d"]:
    """A matrix of random numbers of size 1, in the order in memory that is asked for."""
    weight = torch.randn(d if turned else e, e if turned else d, generator=torch.Generator().manual_seed(0))
    return weight.T if turned else weight


def _way(kernel: Kernel, weight: Tensor, x: Tensor) -> Tensor:
    return PRODUCTS[kernel](x, weight, None)


def _race(ways: dict[Kernel, Callable[[], Any]]) -> dict[Kernel, float]:
    """The least CPU seconds of each."""
    for way in ways.values():
        way()
    best = dict.fromkeys(ways, float("inf"))
    for turn in range(ROUNDS):
        for kernel, way in ways.items():
            if turn < FIRST or best[kernel] < FAR * min(best.values()):
                start = time.thread_time()
                way()
                best[kernel] = min(best[kernel], time.thread_time() - start)
    return best


def _error(y: Float[Tensor, "n e"], x: Float[Tensor, "n d"], weight: Float[Tensor, "e d"]) -> float:
    exact = x[:CHECKED].double() @ weight[:CHECKED].double().T
    difference = y[:CHECKED, :CHECKED] - exact
    return float(f"{(difference.square().mean() / exact.square().mean()).sqrt().item():.3g}")
