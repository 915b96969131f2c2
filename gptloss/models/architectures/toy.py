"""The two smallest honest models, over bytes: one knows nothing, one knows which letter follows which."""

from functools import cache

import torch
from jaxtyping import Float, Int
from torch import Tensor

from gptloss.models.architectures.reader import Recomputed
from gptloss.models.base import ModelInfo, Reader
from gptloss.tokens import BYTES, SAMPLE, ByteTokenizer


class Uniform:
    """Every token is as likely as every other, so the loss of any text is ln V and the perplexity is V."""

    def __init__(self, info: ModelInfo, dtype: torch.dtype = torch.float32) -> None:
        self.info = info
        self.tokenizer = ByteTokenizer()
        self._dtype = dtype

    def double(self) -> "Uniform":
        """The same in float64."""
        return Uniform(self.info, torch.float64)

    def hidden(self, ids: Int[Tensor, "b t"]) -> Float[Tensor, "b t 1"]:
        return torch.zeros(*ids.shape, 1, dtype=self._dtype)

    def head(self, hidden: Float[Tensor, "n 1"]) -> Float[Tensor, "n v"]:
        return hidden.expand(-1, self.info.vocab_size)

    def reader(self) -> Reader:
        return Recomputed(self)


class Bigram:
    """P(next byte | this byte), counted in the sample text, with one added to every count (Laplace)."""

    def __init__(self, info: ModelInfo, dtype: torch.dtype = torch.float32) -> None:
        self.info = info
        self.tokenizer = ByteTokenizer()
        self.log_probas = _log_probas().to(dtype)

    def double(self) -> "Bigram":
        """The same in float64."""
        return Bigram(self.info, torch.float64)

    def hidden(self, ids: Int[Tensor, "b t"]) -> Float[Tensor, "b t v"]:
        return self.log_probas[ids]

    def head(self, hidden: Float[Tensor, "n v"]) -> Float[Tensor, "n v"]:
        return hidden

    def reader(self) -> Reader:
        return Recomputed(self)


@cache
def _log_probas() -> Float[Tensor, "v v"]:
    text = torch.frombuffer(bytearray(SAMPLE.read_bytes()), dtype=torch.uint8).long()
    pairs = text[:-1] * BYTES + text[1:]
    counts = 1 + torch.bincount(pairs, minlength=BYTES * BYTES).view(BYTES, BYTES).double()
    return (counts / counts.sum(-1, keepdim=True)).log()
