"""Optimiser steps on a private copy of a whole model: what one step does to the probabilities of a few rows."""

import math
from collections.abc import Iterator
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from gptloss.errors import GptlossError
from gptloss.models.architectures.gpt2 import GPT2, GPTModel
from gptloss.models.architectures.llama import Llama, LlamaModel
from gptloss.models.base import LanguageModel
from gptloss.models.checkpoints import skeleton
from gptloss.models.checkpoints.weights import check_memory
from gptloss.scoring.batch import ScoredBatch
from gptloss.tokens import Token
from gptloss.training.recipe import HIGHEST_RATE, LOWEST_RATE

OPTIMIZERS = ("sgd", "adamw")
# Weights, those before the step, gradients and AdamW's two moments, in float32.
BYTES_PER_WEIGHT = {"sgd": 12, "adamw": 20}
MOST_STEPS = 50
# With more, a step would take much longer than a look at it is worth.
MOST_TOKENS = 256


@dataclass(frozen=True)
class LayerMove:
    """A part of the model: the norm of its gradient, and how far the step moved its weights (both Euclidean)."""

    name: str
    gradient_norm: float
    moved: float


@dataclass(frozen=True)
class OptimizerStep:
    """What one step changed. Losses in nats per token; `log_probas` are ln p of each target, in the batch's order.

    `predicted` is the change of the loss that the gradient promises for this move, the sum of gradient times move;
    for SGD that is -lr times the squared norm of the gradient. `actual` is the change that came.
    """

    number: int
    learning_rate: float
    loss_before: float
    loss_after: float
    log_probas_before: tuple[float, ...]
    log_probas_after: tuple[float, ...]
    predicted: float
    layers: tuple[LayerMove, ...]

    @property
    def actual(self) -> float:
        """Loss after minus loss before; no number if the weights have grown without bound."""
        return self.loss_after - self.loss_before

    @property
    def gradient_norm(self) -> float:
        """The norm of the whole gradient."""
        return math.hypot(*(layer.gradient_norm for layer in self.layers))


class OptimizerSteps:
    """A copy of a model that learns from the rows of a scored batch, step by step.

    The model itself stays as it is. Raises `GptlossError` for a model without weights of our own architectures, for
    an optimiser that there is not, for more than `MOST_TOKENS` targets, for a row longer than the context, and for
    too little memory.
    """

    def __init__(self, model: LanguageModel, batch: ScoredBatch, optimizer: str = "sgd") -> None:
        if optimizer not in OPTIMIZERS:
            raise GptlossError(f"There is no optimizer {optimizer!r} here; use {' or '.join(OPTIMIZERS)}.")
        if not isinstance(model, GPT2 | Llama):
            raise GptlossError(
                f"{model.info.name} has no weights that a gradient could change here; choose a GPT-2 or SmolLM2."
            )
        if len(batch) > MOST_TOKENS:
            raise GptlossError(
                f"The text has {len(batch):,} targets, and steps are taken on {MOST_TOKENS} at most; shorten it."
            )
        for row in batch.rows:
            read, limit = len(row.before) + len(row.inputs), model.info.context_length
            if read > limit:
                raise GptlossError(
                    f"Row {row.number} has {read:,} tokens to read, and a step reads {limit:,} at most; shorten it."
                )
        check_memory(f"A step of {model.info.name}", BYTES_PER_WEIGHT[optimizer] * model.info.parameters)
        self._model, self._kind = model, optimizer
        self._rows = [(_ids(row.before + row.inputs), _ids(row.targets)) for row in batch.rows]
        self._n = len(batch)
        self.reset()

    def reset(self) -> None:
        """Back to the model's own weights, to the bit."""
        self.network = _copy(self._model)
        weights = self.network.parameters()
        self._optimizer: torch.optim.Optimizer = (
            torch.optim.SGD(weights, lr=LOWEST_RATE)
            if self._kind == "sgd"
            else torch.optim.AdamW(weights, lr=LOWEST_RATE, fused=True)
        )
        self.steps: list[OptimizerStep] = []

    def step(self, learning_rate: float) -> OptimizerStep:
        """One step. Raises `GptlossError` for a learning rate out of bounds and after the last step that is made."""
        if not LOWEST_RATE <= learning_rate <= HIGHEST_RATE:
            raise GptlossError(f"The learning rate is {learning_rate:g}; use {LOWEST_RATE:g} to {HIGHEST_RATE:g}.")
        if len(self.steps) >= MOST_STEPS:
            raise GptlossError(f"{MOST_STEPS} steps are made, which is all that is shown; go back to the start.")
        self.network.zero_grad()
        before = self._log_probas(learn=True)
        start = {name: weights.detach().clone() for name, weights in self.network.named_parameters()}
        for group in self._optimizer.param_groups:
            group["lr"] = learning_rate
        self._optimizer.step()
        predicted, layers = self._moves(start)
        self.network.zero_grad()
        after = self._log_probas(learn=False)
        made = OptimizerStep(
            number=len(self.steps) + 1,
            learning_rate=learning_rate,
            loss_before=-sum(before) / self._n,
            loss_after=-sum(after) / self._n,
            log_probas_before=before,
            log_probas_after=after,
            predicted=predicted,
            layers=layers,
        )
        self.steps.append(made)
        return made

    def _log_probas(self, learn: bool) -> tuple[float, ...]:
        """ln p of all targets, row by row; to `learn` is to add up the gradient of their mean loss too."""
        found: list[float] = []
        with torch.set_grad_enabled(learn):
            for inputs, targets in self._rows:
                hidden = self.network.hidden(inputs[None])[0, -len(targets) :]
                losses = F.cross_entropy(self.network.out_head(hidden), targets, reduction="none")
                found += (-losses.detach().double()).tolist()
                if learn:
                    (losses.sum() / self._n).backward()  # type: ignore[no-untyped-call]
        return tuple(found)

    def _moves(self, start: dict[str, Tensor]) -> tuple[float, tuple[LayerMove, ...]]:
        """The change of the loss that the gradient promises, and what happened to each layer."""
        predicted, norms, moves = 0.0, dict[str, float](), dict[str, float]()
        with torch.no_grad():
            for name, weights in self.network.named_parameters():
                if weights.grad is None:  # a layer that these rows do not reach
                    continue
                moved = weights - start.pop(name)
                layer = layer_of(name)
                predicted += _dot(weights.grad, moved)
                norms[layer] = norms.get(layer, 0.0) + _dot(weights.grad, weights.grad)
                moves[layer] = moves.get(layer, 0.0) + _dot(moved, moved)
        return predicted, tuple(LayerMove(name, norms[name] ** 0.5, moves[name] ** 0.5) for name in norms)


def layer_of(name: str) -> str:
    """The part of the model that a parameter belongs to, as a reader would name it."""
    first, *rest = name.split(".")
    if first == "trf_blocks":
        return f"block {int(rest[0]) + 1}"
    return {"tok_emb": "token embedding", "pos_emb": "position embedding", "final_norm": "final norm"}.get(
        first, "head"
    )


def _dot(one: Tensor, other: Tensor) -> float:
    """The sum of products of two tensors; PyTorch adds float32 in pairs, so that little is lost."""
    return (one * other).sum().item()


def _ids(tokens: tuple[Token, ...]) -> Tensor:
    return torch.tensor([token.id for token in tokens])


def _copy(model: GPT2 | Llama) -> GPTModel | LlamaModel:
    """The same weights in a network of its own, without chosen kernels, that gradients flow through."""
    original: nn.Module = model.network
    with skeleton.unfilled():
        network = type(model.network)(model.network.cfg)  # type: ignore[arg-type]
    network.load_state_dict(dict(_dense(original)), assign=True)
    if isinstance(network, GPTModel) and _is_tied(model):
        network.out_head.weight = network.tok_emb.weight
    return network.eval().requires_grad_(True)


def _as_matrix(weights: Tensor) -> Tensor:
    """Weights in PyTorch's own order, if a kernel has packed them."""
    return weights.to_dense() if weights.is_mkldnn else weights


def _dense(original: nn.Module) -> Iterator[tuple[str, Tensor]]:
    for name, weights in original.state_dict().items():
        yield name, _as_matrix(weights).detach().clone()


def _is_tied(model: GPT2 | Llama) -> bool:
    """Whether the head is the token embedding, as in OpenAI's GPT-2: they learn as one."""
    head, embedding = _as_matrix(model.network.out_head.weight), _as_matrix(model.network.tok_emb.weight)
    return head.shape == embedding.shape and torch.equal(head, embedding)
