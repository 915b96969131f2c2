"""The training loop of chapter 5.2 of *Build a Large Language Model (From Scratch)*, step by step.

A run draws its weights, its batches and its dropout from one random state of its own, as the book's does from
PyTorch's global one: the same recipe, text and number of threads give the same curve to the last digit.
"""

import math
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from itertools import islice

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.utils.data import DataLoader

from gptloss.errors import GptlossError
from gptloss.models.architectures.gpt2 import GPT2, GPTConfig, GPTModel
from gptloss.models.base import ModelInfo
from gptloss.prediction.sampling import Sampler, generate
from gptloss.scoring.score import score
from gptloss.tokens import Tokenizer, text_of
from gptloss.training.batches import Batch, Parts, parts
from gptloss.training.recipe import Recipe
from gptloss.training.snapshot import Snapshot, Watched

GREEDY = Sampler(temperature=0)


class Trainer:
    """A run: a model, its optimiser and where it stands in the text.

    `watched` are texts whose tokens are followed at every evaluation. Raises `GptlossError` for a text that is too
    short for the recipe, and for a watched one of fewer than two tokens or longer than the context.
    """

    def __init__(self, recipe: Recipe, text: str, tokenizer: Tokenizer, watched: Sequence[str] = ()) -> None:
        self.recipe = recipe
        self.tokenizer = tokenizer
        self.watched = tuple(watched)
        self.parts: Parts = parts(text, recipe, tokenizer)
        self.step = 0
        self.seconds = 0.0
        self.step_loss: float | None = None
        self.gradient_norm: float | None = None
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(recipe.seed)
            self.network = GPTModel(self.config)
            self.random = torch.get_rng_state()
        # Fused: all weights of a tensor are updated in one pass over the memory.
        self.optimizer = torch.optim.AdamW(
            self.network.parameters(), recipe.learning_rate, weight_decay=recipe.weight_decay, fused=True
        )
        self.epoch_random = self.random
        self.looked_at = 0
        self._epoch: Iterator[Batch] = iter(())
        self._check_watched()

    @property
    def config(self) -> GPTConfig:
        """The sizes of the model."""
        return config_of(self.recipe, self.tokenizer.vocab_size)

    @property
    def done(self) -> bool:
        """Whether all steps are made."""
        return self.step >= self.recipe.steps

    @property
    def tokens(self) -> int:
        """How many tokens were read so far, those of later epochs counted again."""
        return self.step * self.recipe.batch_size * self.recipe.context_length

    def advance(self) -> None:
        """Make one step. Raises `GptlossError` when the loss is no number any more."""
        start = time.perf_counter()
        with self._own_random():
            inputs, targets = self._next_batch()
            self._set_rate()
            loss = self._gradient(inputs, targets)
        norm = self._clip()
        self._check_numbers(self.step + 1, loss, norm)
        self.gradient_norm = norm
        self.optimizer.step()
        self.optimizer.zero_grad()
        self.step_loss = loss
        self.step += 1
        self.seconds += time.perf_counter() - start

    def look(self) -> Snapshot:
        """Measure the losses and follow the watched texts; the model is as it was before.

        The first look at each of the recipe's regular moments draws its shuffled batches from the run's own random
        state, as in the book; other looks leave that alone. Raises `GptlossError` when a loss is no number any more.
        """
        start = time.perf_counter()
        before = self.random
        counts = self.recipe.is_regular(self.step) and self.looked_at < self.step
        with self._own_random(), self._at_rest():
            losses = [
                loader_loss(self.network, part, self.recipe.eval_batches)
                for part in (self.parts.training, self.parts.validation)
            ]
        if counts:
            self.looked_at = self.step
        else:
            self.random = before
        self._check_numbers(self.step, *losses)
        with self._at_rest():
            sample, watched = self._sample(), tuple(map(self._follow, self.watched))
        self.seconds += time.perf_counter() - start
        return Snapshot(
            step=self.step,
            epoch=self.step / self.parts.batches,
            tokens=self.tokens,
            train_loss=losses[0],
            val_loss=losses[1],
            seconds=self.seconds,
            learning_rate=self.recipe.rate(max(0, self.step - 1)),
            step_loss=self.step_loss,
            gradient_norm=self.gradient_norm,
            sample=sample,
            watched=watched,
        )

    def skip_to(self, step: int) -> None:
        """Stand where the run stood after so many steps, when its weights and random states have been put back."""
        self.step = step
        if step == 0:  # no epoch has begun
            return
        now, self.random = self.random, self.epoch_random
        with self._own_random():
            self._epoch = iter(self.parts.training)
            for _ in range((step - 1) % self.parts.batches + 1):
                next(self._epoch)
        self.random = now

    def _check_numbers(self, step: int, *numbers: float) -> None:
        if not all(map(math.isfinite, numbers)):
            rate = self.recipe.learning_rate
            raise GptlossError(
                f"The loss of step {step:,} is no number: with a learning rate of {rate:g} the weights have grown"
                f" without bound; try {rate / 10:g}."
            )

    def _next_batch(self) -> Batch:
        batch = next(self._epoch, None)
        if batch is None:
            self.epoch_random = torch.get_rng_state()
            self._epoch = iter(self.parts.training)
            batch = next(self._epoch)
        return batch

    def _set_rate(self) -> None:
        for group in self.optimizer.param_groups:
            group["lr"] = self.recipe.rate(self.step)

    def _gradient(self, inputs: Tensor, targets: Tensor) -> float:
        """Add up the gradient of the batch's mean loss, in parts; every token weighs the same. Returns the loss."""
        self.network.train()
        total = 0.0
        splits = (side.tensor_split(self.recipe.micro_batches) for side in (inputs, targets))
        for some_inputs, some_targets in zip(*splits, strict=True):
            with torch.autocast("cpu", torch.bfloat16, enabled=self.recipe.precision == "bfloat16"):
                logits = self.network(some_inputs)
            summed = F.cross_entropy(logits.float().flatten(0, 1), some_targets.flatten(), reduction="sum")
            loss = summed / targets.numel()
            loss.backward()  # type: ignore[no-untyped-call]
            total += float(loss.detach())
        return total

    def _clip(self) -> float:
        """The norm of the gradient, which keeps at most `clip` of it."""
        most = self.recipe.clip or math.inf
        return float(torch.nn.utils.clip_grad_norm_(self.network.parameters(), most))

    @contextmanager
    def _own_random(self) -> Iterator[None]:
        """PyTorch's random state is the run's inside, and everybody else's outside."""
        with torch.random.fork_rng(devices=[]):
            torch.set_rng_state(self.random)
            yield
            self.random = torch.get_rng_state()

    @contextmanager
    def _at_rest(self) -> Iterator[None]:
        """No dropout and no gradients."""
        self.network.eval()
        with torch.no_grad():
            yield

    @property
    def parameters(self) -> int:
        """How many weights the model has."""
        return sum(weights.numel() for weights in self.network.parameters())

    @contextmanager
    def _reading(self) -> Iterator[GPT2]:
        """The network itself as a model that reads; frozen only meanwhile."""
        try:
            yield as_model(self.network, self.tokenizer, "run", "This run", self.step)
        finally:
            self.network.requires_grad_(True)

    def _sample(self) -> str:
        if not self.recipe.sample_tokens or not self.recipe.prompt:
            return ""
        with self._reading() as model:
            made = islice(generate(model, self.recipe.prompt, GREEDY), self.recipe.sample_tokens)
            return self.recipe.prompt + text_of(step.token for step in made)

    def _follow(self, text: str) -> Watched:
        with self._reading() as model:
            scored = score(model, text)
        tokens = scored.inputs[:1] + scored.targets
        return Watched(tuple(token.label for token in tokens), tuple(scored.log_probas.tolist()))

    def _check_watched(self) -> None:
        for text in self.watched:
            count, most = len(self.tokenizer.encode(text)), self.recipe.context_length + 1
            if not 2 <= count <= most:
                raise GptlossError(f"The watched text {text[:40]!r} has {count:,} tokens; give 2 to {most:,}.")


def run(trainer: Trainer) -> Iterator[Snapshot]:
    """Train to the end; a snapshot wherever the recipe evaluates, the first one before the first step."""
    if trainer.step == 0:
        yield trainer.look()
    while not trainer.done:
        trainer.advance()
        if trainer.recipe.evaluates(trainer.step):
            yield trainer.look()


def config_of(recipe: Recipe, vocab_size: int) -> GPTConfig:
    """The sizes of a recipe's model."""
    return GPTConfig(
        vocab_size=vocab_size,
        context_length=recipe.context_length,
        emb_dim=recipe.emb_dim,
        n_heads=recipe.n_heads,
        n_layers=recipe.n_layers,
        drop_rate=recipe.drop_rate,
    )


def as_model(network: GPTModel, tokenizer: Tokenizer, name: str, title: str, step: int) -> GPT2:
    """A network that was trained here, as a model that reads; its weights are frozen by that."""
    info = ModelInfo(
        name=name,
        title=title,
        weights=f"trained here, {step:,} steps",
        vocab_size=tokenizer.vocab_size,
        context_length=network.cfg.context_length,
        parameters=sum(weights.numel() for weights in network.parameters()),
        architecture="gpt2",
    )
    return GPT2(info, network, tokenizer)


@torch.no_grad()
def loader_loss(network: GPTModel, loader: "DataLoader[Batch]", batches: int) -> float:
    """The book's `calc_loss_loader`: the mean over at most so many batches of each batch's mean loss, in nats."""
    losses = [
        float(F.cross_entropy(network(inputs).flatten(0, 1), targets.flatten()))
        for inputs, targets in islice(loader, batches)
    ]
    return sum(losses) / len(losses)
