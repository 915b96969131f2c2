"""A model whose weights are in the worker: it is asked as any other."""

import weakref
from collections import deque
from itertools import count
from typing import Any

import torch
from jaxtyping import Float, Int
from torch import Tensor

from gptloss.models import ModelInfo, find
from gptloss.models.fast.plan import Choice
from gptloss.models.fast.shape import Shape
from gptloss.serving.make_once import MakeOnceCache
from gptloss.serving.worker.client import WORKER
from gptloss.tokens import Tokenizer

# A request of so many tokens at most is short.
SHORT = 64
# Each model keeps the states of so many short inputs: at most 25 MB under GPT-2.
MOST_KEPT = 128
_numbers = count(1)
# Readers that nobody holds any more; the worker hears of them with the next request for a reader.
_left: deque[int] = deque()


class WorkerModel:
    """A `LanguageModel` that lets the worker compute. Raises `GptlossError` if the worker cannot load it."""

    def __init__(self, info: ModelInfo) -> None:
        self.info = info
        self.tokenizer: Tokenizer = find(info.name).tokenizer()
        known: dict[str, Any] = WORKER.ask("load", info)
        self.moves: bool = known["moves"]
        self.kernels: dict[Shape, Choice] = known["kernels"]
        self._states = MakeOnceCache[Tensor](MOST_KEPT)

    def hidden(self, ids: Int[Tensor, "b t"]) -> Float[Tensor, "b t d"]:
        """States of a short input are kept for a while: many visitors share an input and change only the target."""
        if ids.numel() > SHORT:
            return self._read(ids)
        return self._states.get(tuple(map(tuple, ids.tolist())), lambda: self._read(ids))

    def _read(self, ids: Int[Tensor, "b t"]) -> Float[Tensor, "b t d"]:
        return torch.from_numpy(WORKER.ask("hidden", self.info, ids.numpy()))

    def head(self, hidden: Float[Tensor, "n d"]) -> Float[Tensor, "n v"]:
        return torch.from_numpy(WORKER.ask("head", self.info, hidden.numpy()))

    def measured(self, hidden: Float[Tensor, "n d"], ids: Int[Tensor, " n"], logits: bool) -> tuple[Tensor, ...]:
        """What a scored batch keeps of n positions, and the logits if they are asked for."""
        columns = WORKER.ask("measure", self.info, hidden.numpy(), ids.numpy(), logits)
        return tuple(map(torch.from_numpy, columns))

    def target_log_probas(self, hidden: Float[Tensor, "n d"], targets: Int[Tensor, " n"]) -> Float[Tensor, " n"]:
        """ln p of each target, in nats: n numbers come back instead of n times V."""
        return torch.from_numpy(WORKER.ask("log_probas", self.info, hidden.numpy(), targets.numpy()))

    def reader(self) -> "WorkerReader":
        return WorkerReader(self.info)


class WorkerReader:
    """A `Reader` whose keys and values are in the worker. One that the worker has lost reads everything again."""

    def __init__(self, info: ModelInfo) -> None:
        self._info, self._number = info, next(_numbers)
        self._ids = torch.empty(0, dtype=torch.long)
        weakref.finalize(self, _left.append, self._number)

    @property
    def length(self) -> int:
        return len(self._ids)

    def read(self, ids: Int[Tensor, " t"]) -> Float[Tensor, "t d"]:
        left = [_left.popleft() for _ in range(len(_left))]
        states = WORKER.ask("read", self._info, self._number, self._ids.numpy(), ids.numpy(), left)
        self._ids = torch.cat([self._ids, ids])
        return torch.from_numpy(states)
