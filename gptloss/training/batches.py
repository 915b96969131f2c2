"""The text of a run as windows of tokens, in batches: the book's data loader."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Int
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from gptloss.errors import GptlossError
from gptloss.tokens import Tokenizer
from gptloss.training.recipe import Recipe

# Inputs and targets.
Batch = Sequence[Tensor]


@dataclass(frozen=True)
class Windows(Dataset[Batch]):
    """Windows of t tokens that follow each other, with the targets: the same tokens, shifted by one."""

    ids: Int[Tensor, " n"]
    t: int

    def __len__(self) -> int:
        return max(0, (len(self.ids) - 1) // self.t)

    def __getitem__(self, index: int) -> Batch:
        start = index * self.t
        return self.ids[start : start + self.t], self.ids[start + 1 : start + self.t + 1]


@dataclass(frozen=True)
class Parts:
    """The training part and the validation part of a text, in batches; the first one is shuffled at every epoch."""

    training: "DataLoader[Batch]"
    validation: "DataLoader[Batch]"
    training_ids: Int[Tensor, " n"]
    validation_ids: Int[Tensor, " m"]

    @property
    def batches(self) -> int:
        """Batches, and so steps, in an epoch."""
        return len(self.training)


def parts(text: str, recipe: Recipe, tokenizer: Tokenizer) -> Parts:
    """Cut a text as the recipe says: first by characters, as the book does, then into tokens and windows.

    A last training batch that is not full is left out, as in the book. Raises `GptlossError` for a text too short to
    fill one batch and one window for validation.
    """
    cut = int(recipe.split * len(text))
    training, validation = (_ids(part, tokenizer) for part in (text[:cut], text[cut:]))
    windows = Windows(training, recipe.context_length), Windows(validation, recipe.context_length)
    needs = recipe.batch_size * recipe.context_length + 1
    if len(windows[0]) < recipe.batch_size:
        raise GptlossError(
            f"The training part has {len(training):,} tokens, and one batch of {recipe.batch_size} windows of"
            f" {recipe.context_length} needs {needs:,}; take a longer text, or a smaller batch or context."
        )
    if not len(windows[1]):
        raise GptlossError(
            f"The validation part has {len(validation):,} tokens, and one window needs {recipe.context_length + 1};"
            " take a longer text, a shorter context or a smaller split."
        )
    return Parts(
        DataLoader(windows[0], recipe.batch_size, shuffle=True, drop_last=True),
        DataLoader(windows[1], recipe.batch_size),
        training,
        validation,
    )


def _ids(text: str, tokenizer: Tokenizer) -> Int[Tensor, " n"]:
    return torch.tensor([token.id for token in tokenizer.encode(text)], dtype=torch.long)
