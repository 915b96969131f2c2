"""The head of a model whose output layer is its token embedding."""

import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn


class Tied(nn.Module):
    """The embedding, turned: logits from the same matrix that tokens are looked up in. It has no parameters."""

    bias: Tensor | None = None

    def __init__(self, embedding: nn.Embedding) -> None:
        super().__init__()
        self._embedding = (embedding,)  # in a tuple it is not a part of this module

    @property
    def weight(self) -> Float[Tensor, "v d"]:
        return self._embedding[0].weight

    def forward(self, x: Float[Tensor, "*n d"]) -> Float[Tensor, "*n v"]:
        return F.linear(x, self.weight)
