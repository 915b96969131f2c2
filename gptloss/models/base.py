"""What gptloss asks of a language model. Loads no torch: a list of models costs nothing."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Protocol, runtime_checkable

from gptloss.tokens import Tokenizer

if TYPE_CHECKING:
    from jaxtyping import Float, Int
    from torch import Tensor


@dataclass(frozen=True)
class ModelInfo:
    """What is known of a model before it is loaded.

    `context_length` is the number of tokens it can read at once, `parameters` the number of its weights, `size`
    its bytes on the disk; `weights` says where the weights come from, in a few words. `bos_id` is the token that a
    text may be started with, None if the model knows none; it is put there only when asked for, and `bos_source` says
    who states it. `eos_ids` are the tokens that end a text.
    """

    name: str
    title: str
    weights: str
    vocab_size: int
    context_length: int
    parameters: int
    size: int = 0
    architecture: str = ""
    licence: str = ""
    source: str = ""
    bos_id: int | None = None
    bos_source: str = ""
    eos_ids: tuple[int, ...] = ()

    def as_json(self) -> dict[str, str | int]:
        """What results say of the model that gave them."""
        return {
            "name": self.name,
            "vocab_size": self.vocab_size,
            "context_length": self.context_length,
            "parameters": self.parameters,
        }


@runtime_checkable
class Reader(Protocol):
    """Reads one text piece by piece with a model, and remembers what it has read."""

    @property
    def length(self) -> int:
        """How many tokens it has read."""

    def read(self, ids: 'Int[Tensor, " t"]') -> 'Float[Tensor, "t d"]':
        """Final hidden states of these tokens, which follow those read before.

        Within 1e-5 of what `LanguageModel.hidden` gives for the whole text. Raises `GptlossError` for no token, and
        its child `TooLongError` for more than `info.context_length` in all.
        """


@runtime_checkable
class LanguageModel(Protocol):
    """A causal language model, in two halves: text to hidden states, hidden states to logits.

    Stateless: the same ids give the same numbers. Causal: changing a token leaves the positions before it
    alone. The halves are apart because the logits of one token are V numbers (201 kB for GPT-2) and its
    hidden state only d (3 kB): keep the second, make the first when asked.

    A model whose numbers depend on the length of the longest row it reads has `moves = True`, which others need not
    have: its rows of different lengths are read one by one.
    """

    @property
    def info(self) -> ModelInfo:
        """Name and sizes."""

    @property
    def tokenizer(self) -> Tokenizer:
        """The tokenizer whose ids the model reads."""

    def hidden(self, ids: 'Int[Tensor, "b t"]') -> 'Float[Tensor, "b t d"]':
        """Final hidden states; t is at most `info.context_length`."""

    def head(self, hidden: 'Float[Tensor, "n d"]') -> 'Float[Tensor, "n v"]':
        """Logits over the vocabulary."""

    def reader(self) -> Reader:
        """A new reader, which has read nothing. Readers do not disturb each other or the model."""


@dataclass(frozen=True)
class Progress:
    """How far a pull is: what it does now, and how many of how many bytes; `total` is 0 while unknown."""

    doing: str
    done: int = 0
    total: int = 0


Report = Callable[[Progress], None]


def _always() -> bool:
    return True


@dataclass(frozen=True)
class Files:
    """The files that a model's numbers come from; none of what is only computed."""

    weights: tuple[Path, ...] = ()
    tokenizer: tuple[Path, ...] = ()
    config: tuple[Path, ...] = ()


@dataclass(frozen=True)
class Entry:
    """A model that can be asked for by name.

    `tokenizer` and `load` raise `NotHereError` while `here()` is false; then `pull` fetches the model and `remove`
    takes it off the disk again, False if nothing was there. Both are None for a model that is not fetched. `source`
    says where the one that is here came from, if that is not always `info.source`. `files` raises `GptlossError` for
    one that is not here.
    """

    info: ModelInfo
    tokenizer: Callable[[], Tokenizer]
    load: Callable[[], LanguageModel]
    here: Callable[[], bool] = _always
    pull: Callable[[Report], None] | None = None
    remove: Callable[[], bool] | None = None
    source: Callable[[], str] | None = None
    files: Callable[[], Files] = Files
