"""What gptloss asks of a language model."""

from dataclasses import dataclass
from typing import Protocol, runtime_checkable

from jaxtyping import Float, Int
from torch import Tensor

from gptloss.tokens import Tokenizer


@dataclass(frozen=True)
class ModelInfo:
    """What there is to say about a model.

    `context_length` is the number of tokens it can read at once, `parameters` the number of its weights.
    """

    name: str
    vocab_size: int
    context_length: int
    parameters: int


@runtime_checkable
class LanguageModel(Protocol):
    """A causal language model, in two halves: text to hidden states, hidden states to logits.

    Stateless: the same ids give the same numbers. Causal: changing a token leaves the positions before it
    alone. The halves are apart because the logits of one token are V numbers (201 kB for GPT-2) and its
    hidden state only d (3 kB): keep the second, make the first when asked.
    """

    @property
    def info(self) -> ModelInfo:
        """Name, sizes."""

    @property
    def tokenizer(self) -> Tokenizer:
        """The tokenizer whose ids the model reads."""

    def hidden(self, ids: Int[Tensor, "b t"]) -> Float[Tensor, "b t d"]:
        """Final hidden states; t is at most `info.context_length`."""

    def head(self, hidden: Float[Tensor, "n d"]) -> Float[Tensor, "n v"]:
        """Logits over the vocabulary."""
