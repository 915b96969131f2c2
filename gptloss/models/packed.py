"""Linear layers by oneDNN, where that is quicker than what PyTorch takes for float32: MKL, which is slow on AMD.

    use_onednn(model)   the same weights where they are: what `load_model` does
    pack(model)         weights in oneDNN's own order too: a few per cent more for a text of thousands of tokens
    plain(model)        back to `nn.Linear`
    bfloat16(model)     a second model with 16-bit weights: twice as fast, for averages only

Nothing of it happens where oneDNN is not there or not quicker, see `onednn`. Where a gradient is asked for, on other
devices and in float64 the layers are `F.linear` as ever.
"""

import copy
from collections.abc import Iterator, Sequence
from typing import Any, TypeVar

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from gptloss.errors import GptlossError
from gptloss.models.base import LanguageModel
from gptloss.models.onednn import GELU, NOTHING, available, dense, has_bfloat16, product, reorder
from gptloss.models.pages import let_go, mapped

# Fewer rows are left to F.linear: a generated token is no quicker, and the lecture's six keep the book's digits.
MANY = 8

Model = TypeVar("Model", bound=LanguageModel)


class Tied(nn.Module):
    """The head of a model that has none of its own: the embedding, turned. It has no parameters."""

    bias: Tensor | None = None

    def __init__(self, embedding: nn.Embedding) -> None:
        super().__init__()
        self._embedding = (embedding,)  # in a tuple it is not a part of this module

    @property
    def weight(self) -> Float[Tensor, "v d"]:
        return self._embedding[0].weight

    def forward(self, x: Float[Tensor, "*n d"]) -> Float[Tensor, "*n v"]:
        return F.linear(x, self.weight)


class _OneDNN(nn.Module):
    """`F.linear` by oneDNN; the weight is a matrix as ever, or one in oneDNN's order."""

    weight: Any
    bias: Any
    after = NOTHING

    def forward(self, x: Float[Tensor, "*n d"]) -> Float[Tensor, "*n e"]:
        if self._can(x):
            return product(x, self.weight, self.bias, self.after)
        y = F.linear(x, dense(self.weight), self.bias)
        return y if self.after is NOTHING else F.gelu(y, approximate="tanh")

    def _can(self, x: Tensor) -> bool:
        w = self.weight
        if torch.is_grad_enabled() and (x.requires_grad or w.requires_grad):
            return False
        many = w.is_mkldnn or x.numel() >= MANY * x.shape[-1]
        return many and x.is_cpu and x.dtype == w.dtype == torch.float32


class OneDNNLinear(_OneDNN, nn.Linear):
    """An `nn.Linear` by oneDNN."""


class OneDNNTied(_OneDNN, Tied):
    """A `Tied` head by oneDNN."""


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
        self.packed = has_bfloat16()
        self.weight = reorder(weight) if self.packed else weight
        self.bias = None if layer.bias is None else layer.bias.to(torch.bfloat16)
        self.after, self.gives = (getattr(layer, name, getattr(self, name)) for name in ("after", "gives"))

    def forward(self, x: Float[Tensor, "*n d"]) -> Float[Tensor, "*n e"]:
        x = x.to(torch.bfloat16)
        if self.packed:
            return product(x, self.weight, self.bias, self.after).to(self.gives)
        y = F.linear(x, self.weight, self.bias).to(self.gives)
        return y if self.after is NOTHING else F.gelu(y, approximate="tanh")


OURS: dict[type, type] = {nn.Linear: OneDNNLinear, Tied: OneDNNTied}
THEIRS = {ours: plain for plain, ours in OURS.items()}


def use_onednn(model: Model) -> Model:
    """Multiply by oneDNN if that is quicker here; the weights stay as they are, mapped from a file for example.

    The model itself is changed, and given back. A model without matrices stays as it is.
    """
    if getattr(model, "network", None) is not None and available():
        for module in _modules(model):
            module.__class__ = OURS.get(type(module), type(module))
    return model


def pack(model: Model) -> Model:
    """Bring the weights into oneDNN's order too, if oneDNN is quicker here, and let the others go.

    The model itself is changed, and given back. A matrix that is looked up as well, a tied head, stays as it is, and
    so do all if the network uses one without its layer. It takes about half a second, which a text of some thousand
    tokens brings in. For the `state_dict`, a copy or another dtype of a packed network call `plain` first. Not for a
    model that another thread reads with meanwhile.
    """
    if getattr(model, "network", None) is None or not available():
        return model
    use_onednn(model)
    looked_up = {id(m.weight) for m in _modules(model) if isinstance(m, nn.Embedding)}
    layers = [m for m in _modules(model) if type(m) is OneDNNLinear and id(m.weight) not in looked_up]
    places = mapped()
    for layer in sorted(layers, key=lambda layer: layer.weight.numel(), reverse=True):
        _pack(layer, places)  # the largest first: so the weights are never in memory more than once
    _fused(model.network)  # type: ignore[attr-defined]
    try:
        _read_two(model)
    except Exception:  # an architecture may fail in any way
        return use_onednn(plain(model))
    return model


def plain(model: Model) -> Model:
    """Undo `use_onednn` and `pack`: `nn.Linear` with its weight as a matrix. The model is changed, and given back."""
    for module in _modules(model):
        if type(module) is Done:
            module.__class__ = nn.GELU  # type: ignore[assignment]
        if type(module) in THEIRS:
            if module.weight.is_mkldnn:
                module.weight = _frozen(dense(module.weight))
            module.__dict__.pop("after", None)
            module.__class__ = THEIRS[type(module)]
    return model


def bfloat16(model: LanguageModel) -> LanguageModel:
    """The same model with its matrices in bfloat16, of which 8 bits are digits; half the memory, about twice as fast.

    Embeddings, norms, attention and all sums between the layers stay in float32, and so do the log-probabilities
    made of its logits. A new model; the old one stays as it is, and the two share what is not a matrix. For
    averages only: a token's ln p is off by up to 0.3. Raises `GptlossError` for a model without matrices, and for
    one that does more with them than to multiply.
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


def _fused(network: Any) -> Any:
    """The network with a GELU between two linear layers done by the first, which gives what the second takes."""
    for module in network.modules():
        if type(module) is nn.Sequential and len(module) == 3:
            first, gelu, last = module
            if isinstance(first, Bfloat16 | OneDNNLinear) and type(last) is type(first) and _is_gelu(gelu):
                first.after, gelu.__class__ = GELU, Done
                if isinstance(first, Bfloat16):
                    first.gives = torch.bfloat16
    return network


def _is_gelu(module: nn.Module) -> bool:
    return type(module) is nn.GELU and module.approximate == "tanh"


def _pack(layer: Any, places: Sequence[range]) -> None:
    weight = layer.weight.detach()
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
