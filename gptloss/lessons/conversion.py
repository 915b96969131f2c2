"""One amount in four units: nats and bits per token, bits per byte, perplexity."""

import math
from dataclasses import dataclass

from gptloss.numbers import nats_to_bits


@dataclass(frozen=True)
class Amount:
    """A loss in nats per token, and how many bytes a token has on average, for bits per byte."""

    nats: float
    bytes_per_token: float

    @property
    def bits(self) -> float:
        """Bits per token: nats / ln 2."""
        return nats_to_bits(self.nats)

    @property
    def bits_per_byte(self) -> float:
        return self.bits / self.bytes_per_token

    @property
    def perplexity(self) -> float:
        """e^nats, which is 2^bits."""
        return math.exp(self.nats)


def from_bits(bits: float) -> float:
    """Nats of an amount in bits."""
    return bits * math.log(2)


def from_bits_per_byte(bits: float, bytes_per_token: float) -> float:
    """Nats per token of bits per byte."""
    return from_bits(bits * bytes_per_token)


def from_perplexity(perplexity: float) -> float:
    """Nats per token of a perplexity, which is 1 or more."""
    return math.log(perplexity)
