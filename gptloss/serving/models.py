"""Loaded models, shared by all visitors: two large ones at most, because a third may not fit into memory."""

import os
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

import torch
from jaxtyping import Float, Int
from torch import Tensor

from gptloss.hosting import has_worker
from gptloss.models import LanguageModel, ModelInfo, find, load_model
from gptloss.models.base import Reader
from gptloss.serving.make_once import MakeOnceCache
from gptloss.serving.worker.model import WorkerModel
from gptloss.tokens import Tokenizer

# Many visitors are served faster by one thread each than by all threads in turn.
torch.set_num_threads(1)

# A model with this many bytes of weights in memory (float32) is large, one with fewer than `TOY` is a toy.
LARGE, TOY = 1_000_000_000, 10_000_000
MOST_LARGE, MOST_SMALL, MOST_TOYS = 2, 4, 8


@dataclass(frozen=True, eq=False)
class LoadedModel:
    """A model in memory. Caches of what belongs to it use this as a weak key, so that they go when the model goes."""

    model: LanguageModel


@dataclass(frozen=True, eq=False)
class ModelHandle:
    """A model without its weights: it loads them, or finds them loaded, when it has to compute.

    Scored rows name a handle as their model, so nothing that is kept or shown holds weights in memory.
    """

    info: ModelInfo
    tokenizer: Tokenizer

    def hidden(self, ids: Int[Tensor, "b t"]) -> Float[Tensor, "b t d"]:
        return loaded_as(self.info).model.hidden(ids)

    def head(self, hidden: Float[Tensor, "n d"]) -> Float[Tensor, "n v"]:
        return loaded_as(self.info).model.head(hidden)

    def reader(self) -> Reader:
        return loaded_as(self.info).model.reader()


Size = Literal["large", "small", "toy"]


def _caches() -> dict[Size, MakeOnceCache[LoadedModel]]:
    """For large models room is made before another one is loaded: three at once may not fit."""
    return {
        "large": MakeOnceCache(MOST_LARGE, room_first=True),
        "small": MakeOnceCache(MOST_SMALL),
        "toy": MakeOnceCache(MOST_TOYS),
    }


_loaded = _caches()


def loaded(name: str) -> LoadedModel:
    """The model called `name`, loaded. Raises `GptlossError` if it cannot be loaded."""
    return loaded_as(find(name).info)


def loaded_as(info: ModelInfo) -> LoadedModel:
    """The same by its description. A checkpoint whose files have changed has another description."""
    return _loaded[size_of(info)].get(info, lambda: LoadedModel(_load(info)))


def _load(info: ModelInfo) -> LanguageModel:
    """On a server its weights lie in the worker, once; at home they lie in this process."""
    return WorkerModel(info) if has_worker(os.environ) else load_model(info.name)


def with_weights(name: str) -> LanguageModel:
    """The model with its weights in this process, for those who change them. Raises `GptlossError` as `loaded`."""
    return load_model(name) if has_worker(os.environ) else loaded(name).model


def in_memory(name: str) -> bool:
    """Whether the model is loaded."""
    info = find(name).info
    return info in _loaded[size_of(info)]


def fit(names: Iterable[str]) -> bool:
    """Whether these models can be in memory together."""
    return sum(size_of(find(name).info) == "large" for name in names) <= MOST_LARGE


def size_of(info: ModelInfo) -> Size:
    """How much room a model takes in memory, where each weight has 32 bits, whatever it has on the disk."""
    memory = 4 * info.parameters
    if memory >= LARGE:
        return "large"
    return "small" if memory >= TOY else "toy"


def unload_all() -> None:
    """Let go of every model; each is loaded again when it is needed."""
    _loaded.update(_caches())
