"""The shape of a weight matrix, by which kernels are chosen."""

from dataclasses import dataclass

from torch import Tensor

# Smaller matrices are left to F.linear: nothing is gained, and nothing need be measured.
LARGE = 1 << 17


@dataclass(frozen=True, order=True)
class Shape:
    """`d` numbers in, `e` out; `turned` if the matrix lies in memory the other way round, as a GPT-2 file has it."""

    d: int
    e: int
    turned: bool = False

    @classmethod
    def of(cls, weight: Tensor) -> "Shape":
        """That of the weight of a linear layer, [e, d], in any order."""
        e, d = weight.shape
        return cls(d, e, not weight.is_mkldnn and weight.stride(0) == 1 < e and weight.stride(1) != 1)

    @classmethod
    def named(cls, name: str) -> "Shape":
        """`768x3072`, or `768x3072t` for one that is turned. Raises `ValueError` for another name."""
        d, e = name.removesuffix("t").split("x")
        return cls(int(d), int(e), name.endswith("t"))

    def __str__(self) -> str:
        return f"{self.d}x{self.e}{'t' if self.turned else ''}"

    @property
    def is_large(self) -> bool:
        return self.d * self.e >= LARGE
