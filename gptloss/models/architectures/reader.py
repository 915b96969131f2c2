"""Reads a text piece by piece, as generation does: keys and values are kept, so a new token costs one token."""

from collections.abc import Callable
from typing import Any

import torch
from jaxtyping import Float, Int
from torch import Tensor

from gptloss.errors import GptlossError, TooLongError
from gptloss.models.base import LanguageModel, ModelInfo

# Room for this many tokens at first; it doubles when it is full.
ROOM = 64


class KeyValues:
    """The keys and values of the tokens that one attention layer has read."""

    def __init__(self) -> None:
        self.length = 0
        self._room: Tensor | None = None

    def extend(
        self, key: Float[Tensor, "b h t k"], value: Float[Tensor, "b h t k"]
    ) -> tuple[Float[Tensor, "b h s k"], Float[Tensor, "b h s k"]]:
        """Add the keys and values of t tokens; give those of all s tokens read so far."""
        b, h, t, k = key.shape
        room = key.new_empty(2, b, h, 0, k) if self._room is None else self._room
        start, self.length = self.length, self.length + t
        if self.length > room.shape[3]:
            more = room.new_empty(2, b, h, max(ROOM, 2 * self.length) - start, k)
            room = torch.cat([room[:, :, :, :start], more], 3)
        room[0, :, :, start : self.length], room[1, :, :, start : self.length] = key, value
        self._room = room
        keys, values = room[:, :, :, : self.length]
        return keys, values


def causal(t: int, s: int) -> dict[str, Any]:
    """How the last t of s tokens look back, for `scaled_dot_product_attention`: each at itself and all before it."""
    if t == s:
        return {"is_causal": True}
    return {} if t == 1 else {"attn_mask": torch.ones(t, s, dtype=torch.bool).tril(s - t)}


class Cached:
    """A `Reader` for a model that has a cache: `hidden` reads tokens that follow those it was given before."""

    def __init__(self, info: ModelInfo, hidden: Callable[[Int[Tensor, "1 t"]], Float[Tensor, "1 t d"]]) -> None:
        self.length = 0
        self._info = info
        self._hidden = hidden

    def read(self, ids: Int[Tensor, " t"]) -> Float[Tensor, "t d"]:
        if not len(ids):
            raise GptlossError("There is no token to read; give at least one.")
        limit = self._info.context_length
        if self.length + len(ids) > limit:
            raise TooLongError(
                f"{self.length + len(ids):,} tokens are too long: {self._info.name} reads at most {limit:,} at once;"
                f" read the last {limit:,} with a new reader.",
                limit,
            )
        states = self._hidden(ids[None])[0]
        self.length += len(ids)
        return states


class Recomputed(Cached):
    """A `Reader` for a model without a cache: it reads everything anew each time."""

    def __init__(self, model: LanguageModel) -> None:
        super().__init__(model.info, self._anew)
        self._model = model
        self._ids = torch.empty(1, 0, dtype=torch.long)

    def _anew(self, ids: Int[Tensor, "1 t"]) -> Float[Tensor, "1 t d"]:
        self._ids = torch.cat([self._ids, ids], -1)
        return self._model.hidden(self._ids)[:, -ids.shape[1] :]
