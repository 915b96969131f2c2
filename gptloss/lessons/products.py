"""Why the logarithm: a product of probabilities leaves the floats, the sum of their logarithms stays."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch

# More factors than this are not tried: of probabilities below 0.99 the product is 0 in float32 long before.
MOST = 20_000


@dataclass(frozen=True)
class Product:
    """A product of probabilities as it grows: its natural logarithm after each factor, and what a float makes of it.

    `held` are the products in that float; from `lost_at` on they are 0.
    """

    logs: tuple[float, ...]
    held: tuple[float, ...]

    @property
    def lost_at(self) -> int | None:
        """After how many factors the float is 0; None if it never is."""
        return next((n for n, value in enumerate(self.held, 1) if value == 0), None)


def product(losses: Sequence[float], factors: int, dtype: torch.dtype = torch.float32) -> Product:
    """The probabilities e^-loss, multiplied in this precision one after the other, over and over, so many times.

    `losses` in nats. The logarithms are added in float64.
    """
    terms = torch.tensor(losses, dtype=torch.float64).repeat(-(-factors // len(losses)))[:factors]
    held = [1.0]
    for proba in (-terms).exp().to(dtype):
        held.append((proba * torch.tensor(held[-1], dtype=dtype)).item())
        if held[-1] == 0:
            break
    held += [0.0] * (factors + 1 - len(held))
    return Product(tuple((-terms.cumsum(0)).tolist()), tuple(held[1:]))


def lost_after(losses: Sequence[float], dtype: torch.dtype = torch.float32) -> int | None:
    """After how many tokens that cost so much their product is 0; None if that takes more than `MOST`."""
    return product(losses, MOST, dtype).lost_at
