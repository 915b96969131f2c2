"""Makes a network without weights and fills it from a file, so that no time goes into random weights."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from torch import nn
from torch.overrides import TorchFunctionMode

from gptloss.models.checkpoints import weights


class _NoInitialisation(TorchFunctionMode):
    """Lets the functions of torch.nn.init do nothing. On the meta device they would load all of sympy, for 1 s."""

    def __torch_function__(
        self, func: Callable[..., Any], types: Sequence[type], args: Sequence[Any] = (), kwargs: Any = None
    ) -> Any:
        kwargs = kwargs or {}
        if getattr(func, "__module__", None) == "torch.nn.init":
            return args[0] if args else kwargs["tensor"]
        return func(*args, **kwargs)


@contextmanager
def unfilled() -> Iterator[None]:
    """Modules made in this block have shapes and no weights."""
    with _NoInitialisation(), torch.device("meta"):
        yield


def fill(network: nn.Module, folder: Path, name_in_file: Callable[[str], str] = str) -> None:
    """Give a network the weights of a checkpoint whose tensors have the same shapes; nothing is copied.

    Raises `GptlossError` naming the file and the tensor that is missing, cut short or of another shape.
    """
    names: Mapping[str, torch.Tensor] = network.state_dict()
    wanted = {name_in_file(name): tuple(tensor.shape) for name, tensor in names.items()}
    weights.check(folder, weights.headers(folder), wanted)
    stored = weights.read(folder)
    network.load_state_dict({name: stored[name_in_file(name)] for name in names}, assign=True)
