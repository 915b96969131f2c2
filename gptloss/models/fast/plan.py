"""Which kernel multiplies which matrix: measured once on a machine, and the same in every later process.

For each shape of a matrix and for few, some and many rows, it is the quickest of the kernels that are about as exact
as `F.linear`, if it is quicker than that by a margin. What was measured is kept in the cache folder, a file for each
processor and version of the libraries, because other kernels give other last digits: a run today and one tomorrow are
to print the same. It counts for any number of threads. Where it cannot be kept nothing is measured, and everything is
left to `F.linear`.

GPTLOSS_KERNEL=torch, onednn, packed or openblas takes that one for every matrix, without measuring.
"""

import os
from collections.abc import Iterable, Mapping
from typing import cast

from gptloss.errors import GptlossError
from gptloss.models.fast import record
from gptloss.models.fast.kernels import KERNELS, Kernel, available
from gptloss.models.fast.measure import MANY, SIZES, Figures
from gptloss.models.fast.shape import Shape

VARIABLE = "GPTLOSS_KERNEL"
# What a product may be off by, root mean square, of numbers of size 1: accuracy counts before speed. F.linear is off
# by 2.5e-7 to 3.6e-7 on the processors that were tried; oneDNN by up to 5.8e-7, where it adds thousands in one chain.
EXACT = 4e-7
# A kernel must be this much quicker to be worth other last digits and, for a while, a second copy of the weights.
QUICKER = 1.05

# Pairs of a number of rows and the kernel from there on; fewer rows than the first are left to F.linear.
Choice = tuple[tuple[int, Kernel], ...]
Kernels = Mapping[Shape, Choice]
PACKED: Choice = ((MANY, "packed"),)


def kernels(shapes: Iterable[Shape], pack: bool = False) -> dict[Shape, Choice]:
    """The kernels for matrices of these shapes; with `pack`, also on copies in oneDNN's order.

    Raises `GptlossError` for a GPTLOSS_KERNEL that is no kernel, or one that this machine does not have.
    """
    asked = told()
    if asked:
        taken = asked != "torch" and (pack or asked != "packed")
        return dict.fromkeys(shapes, ((MANY, asked),)) if taken else {}
    wanted = sorted({shape for shape in shapes if shape.is_large})
    found = record.measured(wanted)
    return {shape: choice for shape in wanted if (choice := choose(found.get(shape, {}), pack))}


def told() -> Kernel | None:
    """The kernel that GPTLOSS_KERNEL asks for, None if it says nothing. Raises `GptlossError` for a wrong one."""
    return checked(asked) if (asked := os.environ.get(VARIABLE, "")) else None


def checked(asked: str) -> Kernel:
    """The name of a kernel. Raises `GptlossError` for one that is none, or that this machine does not have."""
    if asked not in KERNELS:
        raise GptlossError(f"There is no kernel {asked!r}; use {', '.join(KERNELS)}, or leave it out ({VARIABLE}).")
    if asked not in available():
        raise GptlossError(f"This machine does not have the kernel {asked!r}; use {', '.join(available())}.")
    return asked


def choose(found: Figures, pack: bool) -> Choice:
    """The kernel for each number of rows, from speeds and errors; empty if `F.linear` is the choice throughout."""
    if not found:
        return ()
    plain = {size: _best(found, size) for size in SIZES}
    many = SIZES[-1]
    if pack and _is_exact(found, "packed", many) and _is_quicker(found, "packed", plain[many], many):
        return PACKED
    return _merged(plain)


def _is_exact(found: Figures, kernel: Kernel, size: int) -> bool:
    return kernel in found and found[kernel][size].error <= max(EXACT, found["torch"][size].error)


def _is_quicker(found: Figures, kernel: Kernel, other: Kernel, size: int) -> bool:
    return found[kernel][size].speed > QUICKER * found[other][size].speed


def _best(found: Figures, size: int) -> Kernel:
    """Of those that leave the weights as they are."""
    exact = [kernel for kernel in found if kernel != "packed" and _is_exact(found, kernel, size)]
    best = max(exact, key=lambda kernel: found[kernel][size].speed)
    return best if _is_quicker(found, best, "torch", size) else "torch"


def _merged(choice: dict[int, Kernel]) -> Choice:
    """The same without what the size before has already, and without `torch` at the beginning."""
    before = ("torch", *choice.values())
    return tuple(
        (size, kernel) for (size, kernel), last in zip(choice.items(), before, strict=False) if kernel != last
    )


def kernels_as_json(chosen: Kernels) -> dict[str, dict[str, str]]:
    """Kernels as plain data: for each shape, from how many rows on which one."""
    return {str(shape): {str(size): kernel for size, kernel in choice} for shape, choice in sorted(chosen.items())}


def kernels_from_json(stored: Mapping[str, Mapping[str, str]]) -> dict[Shape, Choice]:
    """Kernels from plain data. Raises `GptlossError` for one that this machine does not have."""
    missing = {kernel for choice in stored.values() for kernel in choice.values()} - set(available())
    if missing:
        raise GptlossError(
            f"This machine does not have the kernel {min(missing)!r}; it has {', '.join(available())}."
        )
    return {
        Shape.named(name): tuple((int(size), cast(Kernel, kernel)) for size, kernel in choice.items())
        for name, choice in stored.items()
    }
