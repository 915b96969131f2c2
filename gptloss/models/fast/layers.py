"""Linear layers that multiply with the kernels of the plan instead of PyTorch's own choice.

    use_kernels(model)  the same weights where they are: what `load_model` does
    pack(model)         weights in oneDNN's own order too, where that is quicker: for texts of thousands of tokens
    plain(model)        back to `nn.Linear`
    bfloat16(model)     a second model with 16-bit weights: twice as fast on some processors, for averages only
    kernels_of(model)   which kernels a model multiplies by

A layer changes its class in place, because a wrapper would change the names of its weights, and a copy would take its
memory twice. The gain depends on the processor: `gptloss doctor` shows it. `gptloss corpus` on a story of 21,135
characters under the lecture's model took 15.7 s instead of 16.4 s on an Intel Xeon, whose MKL is hard to beat. Switch
it off with `--kernel torch` or GPTLOSS_KERNEL=torch.

Where a gradient is asked for, on other devices and in other precisions than float32 the layers are `F.linear`.
"""

import copy
from collections.abc import Iterator, Sequence
from typing import Any, TypeVar

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from gptloss.errors import GptlossError
from gptloss.models.architectures.tied import Tied
from gptloss.models.base import LanguageModel
from gptloss.models.fast import plan
from gptloss.models.fast.kernels import (
    GELU,
    NOTHING,
    PRODUCTS,
    Kernel,
    dense,
    onednn,
    packs_bfloat16,
    reorder,
    use_threads,
)
from gptloss.models.fast.mapped_memory import let_go, mapped
from gptloss.models.fast.plan import PACKED, Choice, Kernels
from gptloss.models.fast.shape import Shape

Model = TypeVar("Model", bound=LanguageModel)


class _Chosen(nn.Module):
    """`F.linear` by the kernel that is chosen for the number of rows; a packed product may include GELU."""

    weight: Any
    bias: Any
    shape: Shape
    choice: Choice = ()
    after = NOTHING

    def forward(self, x: Float[Tensor, "*n d"]) -> Float[Tensor, "*n e"]:
        kernel = self._kernel(x)
        if kernel == "packed":
            return onednn(x, self.weight, self.bias, self.after)
        y = PRODUCTS[kernel](x, dense(self.weight), self.bias)
        return y if self.after is NOTHING else F.gelu(y, approximate="tanh")

    def _kernel(self, x: Tensor) -> Kernel:
        w = self.weight
        if torch.is_grad_enabled() and (x.requires_grad or w.requires_grad):
            return "torch"
        if not (x.is_cpu and x.dtype == w.dtype == torch.float32):
            return "torch"
        if w.is_mkldnn:
            return "packed"
        rows = x.numel() // x.shape[-1]
        return next((kernel for size, kernel in reversed(self.choice) if rows >= size), "torch")


class ChosenLinear(_Chosen, nn.Linear):
    """An `nn.Linear` by chosen kernels."""


class ChosenTied(_Chosen, Tied):
    """A `Tied` head by chosen kernels."""


class Done(nn.GELU):
    """A GELU that the layer before it has done already."""

    def forward(self, x: Tensor) -> Tensor:
        return x


class Bfloat16(nn.Module):
    """A linear layer with 16-bit weights; what goes in and comes out is float32."""

    after = NOTHING
    gives = torch.float32

    def __init__(self, layer: Any) -> None:
        super().__init__()
        weight = dense(layer.weight).to(torch.bfloat16)
        self.packed = packs_bfloat16()
        self.weight = reorder(weight) if self.packed else weight
        self.bias = None if layer.bias is None else layer.bias.to(torch.bfloat16)
        self.after, self.gives = (getattr(layer, name, getattr(self, name)) for name in ("after", "gives"))

    def forward(self, x: Float[Tensor, "*n d"]) -> Float[Tensor, "*n e"]:
        x = x.to(torch.bfloat16)
        if self.packed:
            return onednn(x, self.weight, self.bias, self.after).to(self.gives)
        y = F.linear(x, self.weight, self.bias).to(self.gives)
        return y if self.after is NOTHING else F.gelu(y, approximate="tanh")


OURS: dict[type, type] = {nn.Linear: ChosenLinear, Tied: ChosenTied}
THEIRS = {ours: theirs for theirs, ours in OURS.items()}


def use_kernels(model: Model, kernels: Kernels | None = None) -> Model:
    """Multiply by these kernels, or by those of the plan; the weights stay where they are, mapped from a file.

    The model itself is changed, and given back. A model without matrices stays as it is, and so does one that is not
    in float32. Raises `GptlossError` for a GPTLOSS_KERNEL that cannot be had.
    """
    layers = [layer for layer in _modules(plain(model)) if type(layer) in OURS and _is_float32(layer)]
    chosen = plan.kernels(map(_shape, layers)) if kernels is None else kernels
    for layer in layers:
        choice = chosen.get(_shape(layer), ())
        if choice and choice != PACKED:
            _choose(layer, choice)
    if chosen:
        use_threads(torch.get_num_threads())
    return model


def pack(model: Model, kernels: Kernels | None = None) -> Model:
    """Use these kernels, or those of the plan, and bring weights into oneDNN's order where that is the choice.

    The model itself is changed, and given back. The weights are in memory once: those that are brought into another
    order let the others go. A matrix that is looked up as well, a tied head, stays as it is, and so does an
    output layer, which is multiplied in parts, and so do all if the network uses one without its layer. It takes
    about half a second, which pays off from some thousand tokens on. For the `state_dict`, a copy or another dtype
    of a packed network call `plain` first. Not for a model that another thread reads with meanwhile.
    """
    use_kernels(model, kernels)
    layers = [layer for layer in _modules(model) if isinstance(layer, nn.Linear) and _is_float32(layer)]
    stay = [m for m in _modules(model) if isinstance(m, nn.Embedding)] + [getattr(model, "output_layer", None)]
    fixed = {id(module.weight) for module in stay if module is not None}
    own = [layer for layer in layers if type(layer) in (nn.Linear, ChosenLinear) and id(layer.weight) not in fixed]
    chosen = plan.kernels(map(_shape, own), pack=True) if kernels is None else kernels
    picked = [layer for layer in own if chosen.get(_shape(layer)) == PACKED]
    if not picked:
        return model
    places = mapped()
    for layer in sorted(picked, key=lambda layer: layer.weight.numel(), reverse=True):
        _pack(layer, places)  # the largest first: so the weights are never in memory more than once
    _fused(model.network)  # type: ignore[attr-defined]
    try:
        _read_two(model)
    except Exception:  # an architecture may fail in any way
        return use_kernels(plain(model))
    return model


def plain(model: Model) -> Model:
    """Undo `use_kernels` and `pack`: `nn.Linear`, its weight a matrix. The model is changed, and given back."""
    for module in _modules(model):
        if type(module) is Done:
            module.__class__ = nn.GELU  # type: ignore[assignment]
        if type(module) in THEIRS:
            if module.weight.is_mkldnn:
                module.weight = _frozen(dense(module.weight))
            for name in ("after", "choice", "shape"):
                module.__dict__.pop(name, None)
            module.__class__ = THEIRS[type(module)]
    return model


def kernels_of(model: LanguageModel) -> dict[Shape, Choice]:
    """The kernels that the model multiplies by, by the shape of a matrix; those not named are left to `F.linear`."""
    known: dict[Shape, Choice] | None = getattr(model, "kernels", None)  # of a model in another process
    if known is not None:
        return known
    return {layer.shape: layer.choice for layer in _modules(model) if isinstance(layer, _Chosen)}


def columns(layer: Any, x: Float[Tensor, "*n d"], start: int, stop: int) -> Float[Tensor, "*n e"]:
    """The outputs `start` to `stop` of a linear layer of which the weight is a matrix, by the layer's kernel."""
    bias = None if layer.bias is None else layer.bias[start:stop]
    kernel = layer._kernel(x) if isinstance(layer, _Chosen) else "torch"
    return PRODUCTS[kernel](x, layer.weight[start:stop], bias)


def bfloat16(model: LanguageModel) -> LanguageModel:
    """The same model with its matrices in bfloat16, of which 8 bits are digits; half the memory, about twice as fast.

    Embeddings, norms, attention and all sums between the layers stay in float32, and so do the log-probabilities
    made of its logits. A new model; the old one stays as it is, and the two share what is not a matrix. For
    averages only: a token's ln p is off by up to 0.3. A processor without bfloat16 imitates it, slowly: see
    `plan.bfloat16_gain`. Raises `GptlossError` for a model without matrices, for one that is not in float32, and
    for one that does more with its matrices than to multiply.
    """
    network = getattr(model, "network", None)
    if network is None:
        raise GptlossError(f"{model.info.name} has no matrices to keep in bfloat16; score it in float32.")
    try:
        twin = type(model)(model.info, _fused(_twin(network, mapped())), model.tokenizer)  # type: ignore[call-arg]
        _read_two(twin)
    except Exception as error:  # an architecture may fail in any way
        raise GptlossError(f"{model.info.name} cannot be read in bfloat16; score it in float32.") from error
    return twin


def _modules(model: LanguageModel) -> Iterator[Any]:
    network = getattr(model, "network", None)
    return iter(()) if network is None else network.modules()


def _shape(layer: Any) -> Shape:
    return Shape.of(layer.weight)


def _is_float32(layer: Any) -> bool:
    return bool(layer.weight.dtype == torch.float32)


def _fused(network: Any) -> Any:
    """The network with a GELU between two linear layers done by the first, which gives what the second takes."""
    for module in network.modules():
        if type(module) is nn.Sequential and len(module) == 3:
            first, gelu, last = module
            if _is_gelu(gelu) and isinstance(first, Bfloat16 | ChosenLinear) and first.weight.is_mkldnn:
                first.after, gelu.__class__ = GELU, Done
                if isinstance(first, Bfloat16) and isinstance(last, Bfloat16):
                    first.gives = torch.bfloat16
    return network


def _is_gelu(module: nn.Module) -> bool:
    return type(module) is nn.GELU and module.approximate == "tanh"


def _choose(layer: Any, choice: Choice) -> None:
    layer.shape, layer.choice = _shape(layer), choice
    layer.__class__ = OURS.get(type(layer), type(layer))


def _pack(layer: Any, places: Sequence[range]) -> None:
    weight = layer.weight.detach()
    _choose(layer, PACKED)
    layer.weight = _frozen(reorder(weight))
    let_go(weight, places)


@torch.no_grad()
def _read_two(model: LanguageModel) -> None:
    model.head(model.hidden(torch.zeros(1, 2, dtype=torch.long))[0])


def _frozen(weight: Tensor) -> nn.Parameter:
    return nn.Parameter(weight, requires_grad=False)


def _twin(module: Any, places: Sequence[range]) -> Any:
    """A module like this one, with its linear layers in bfloat16; all else is shared."""
    if isinstance(module, Bfloat16) or type(module) in (*OURS, *THEIRS):
        twin = Bfloat16(module)
        let_go(module.weight, places)
        return twin
    twin = copy.copy(module)
    twin._modules = {name: None if part is None else _twin(part, places) for name, part in module._modules.items()}
    return twin
