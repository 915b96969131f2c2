"""What a training run is made from: the sizes of the model, the optimiser, the batches and the seed."""

import math
from collections.abc import Callable
from dataclasses import asdict, dataclass, fields, replace
from typing import Any

from gptloss.errors import GptlossError

SCHEDULES = ("constant", "cosine")
PRECISIONS = ("float32", "bfloat16")
# The single bytes, which every vocabulary has, and all of GPT-2's entries.
BYTES, GPT2 = 256, 50_257
# Learning rates of a single step on "One gradient step".
LOWEST_RATE, HIGHEST_RATE = 1e-6, 1.0


@dataclass(frozen=True)
class Recipe:
    """All that decides a curve, apart from the text.

    `vocab_size` is 256 for single bytes, 50,257 for GPT-2's tokens, and between them the bytes with the tokens that
    are commonest in the text. `batch_size` counts windows of `context_length` tokens; with `micro_batches` their
    gradient is summed over so many parts, which saves memory and changes nothing else. Every `eval_every` steps the
    losses are measured on `eval_batches` batches of the training part and of the validation part (`eval_offset` moves
    these moments: the book evaluates after its first step). `split` is the share of the characters that is for
    training. `clip` is the largest norm that a gradient keeps; 0 leaves all as they are.
    """

    vocab_size: int = BYTES
    context_length: int = 64
    emb_dim: int = 128
    n_heads: int = 4
    n_layers: int = 3
    drop_rate: float = 0.0
    batch_size: int = 16
    micro_batches: int = 1
    learning_rate: float = 2e-3
    schedule: str = "cosine"
    warmup: int = 20
    weight_decay: float = 0.1
    clip: float = 1.0
    steps: int = 400
    eval_every: int = 20
    eval_offset: int = 0
    eval_batches: int = 5
    split: float = 0.9
    seed: int = 123
    precision: str = "float32"
    prompt: str = "The "
    sample_tokens: int = 60

    def __post_init__(self) -> None:
        """Raise `GptlossError` naming a value that no run can have."""
        for name, (allowed, says) in _BOUNDS.items():
            value = getattr(self, name)
            if not allowed(value):
                raise GptlossError(f"{name} is {value!r}; it must be {says}.")
        if self.emb_dim % self.n_heads:
            raise GptlossError(f"n_heads is {self.n_heads}, which does not divide emb_dim {self.emb_dim}.")
        if self.micro_batches > self.batch_size:
            raise GptlossError(f"micro_batches is {self.micro_batches}, more than batch_size {self.batch_size}.")

    def rate(self, step: int) -> float:
        """The learning rate of a step, the first being 0: a linear rise, then the schedule."""
        if step < self.warmup:
            return self.learning_rate * (step + 1) / self.warmup
        if self.schedule == "constant":
            return self.learning_rate
        share = (step - self.warmup) / max(1, self.steps - self.warmup)
        return self.learning_rate * 0.5 * (1 + math.cos(math.pi * min(1.0, share)))

    def evaluates(self, step: int) -> bool:
        """Whether the losses are measured after so many steps: always before the first and after the last one."""
        return step in (0, self.steps) or self.is_regular(step)

    def is_regular(self, step: int) -> bool:
        """Whether the losses are measured after so many steps however long the run is."""
        return step > 0 and step % self.eval_every == self.eval_offset % self.eval_every

    def as_json(self) -> dict[str, Any]:
        """The recipe as plain data."""
        return asdict(self)


def from_json(data: dict[str, Any]) -> Recipe:
    """A recipe from plain data. Raises `GptlossError` for a field that there is not, or of another type."""
    known = {field.name: type(field.default) for field in fields(Recipe)}
    for name, value in data.items():
        if name not in known:
            raise GptlossError(f"A training recipe has no {name!r}. It has: {', '.join(known)}.")
        if type(value) is not known[name] and not (known[name] is float and type(value) is int):
            raise GptlossError(f"{name} is {value!r}; it must be of the kind {known[name].__name__}.")
    return Recipe(**data)


def _between(low: float, high: float, whole: bool = True) -> tuple[Callable[[Any], bool], str]:
    text = f"from {low:,} to {high:,}"
    return lambda value: low <= value <= high, f"a whole number {text}" if whole else text


_BOUNDS: dict[str, tuple[Callable[[Any], bool], str]] = {
    "vocab_size": _between(BYTES, GPT2),
    "context_length": _between(2, 8_192),
    "emb_dim": _between(1, 4_096),
    "n_heads": _between(1, 64),
    "n_layers": _between(1, 64),
    "drop_rate": (lambda value: 0 <= value < 1, "at least 0 and below 1"),
    "batch_size": _between(1, 4_096),
    "micro_batches": _between(1, 4_096),
    "learning_rate": _between(1e-9, 100, whole=False),
    "schedule": (SCHEDULES.__contains__, " or ".join(SCHEDULES)),
    "warmup": _between(0, 1_000_000),
    "weight_decay": _between(0, 10, whole=False),
    "clip": (lambda value: 0 <= value < math.inf, "0 or more"),
    "steps": _between(1, 10_000_000),
    "eval_every": _between(1, 10_000_000),
    "eval_batches": _between(1, 100_000),
    "split": (lambda value: 0 < value < 1, "between 0 and 1"),
    "seed": _between(0, 2**63 - 1),
    "precision": (PRECISIONS.__contains__, " or ".join(PRECISIONS)),
    "sample_tokens": _between(0, 1_000),
}

# 10 epochs of *The Verdict*, each of 9 batches: chapter 5.2 of *Build a Large Language Model (From Scratch)*.
BOOK = Recipe(
    vocab_size=GPT2,
    context_length=256,
    emb_dim=768,
    n_heads=12,
    n_layers=12,
    drop_rate=0.1,
    batch_size=2,
    learning_rate=4e-4,
    schedule="constant",
    warmup=0,
    weight_decay=0.1,
    clip=0.0,
    steps=90,
    eval_every=5,
    eval_offset=1,
    prompt="Every effort moves you",
    sample_tokens=50,
)
# Letter by letter: a text of any length is learned from at once.
LETTERS = Recipe()
# The commonest tokens of the text, at most so many: whole words, so that samples read sooner.
WORDS = replace(LETTERS, vocab_size=1_024, batch_size=8, steps=300)
PRESETS = {"letters": LETTERS, "words": WORDS, "book": BOOK}
# A text with fewer characters for each entry of a vocabulary is learned letter by letter.
CHARACTERS_PER_ENTRY = 50


def suited(characters: int) -> Recipe:
    """The small recipe that suits a text of so many characters."""
    return WORDS if characters >= CHARACTERS_PER_ENTRY * WORDS.vocab_size else fitting(LETTERS, characters)


def fitting(recipe: Recipe, characters: int) -> Recipe:
    """The same with a context and a batch that a short text can fill."""
    context = max(2, min(recipe.context_length, characters // 20))
    windows = max(1, int(recipe.split * characters) // context)
    return replace(recipe, context_length=context, batch_size=min(recipe.batch_size, windows))


def named(name: str) -> Recipe:
    """The preset called `name`. Raises `GptlossError` for a name that there is not."""
    if name not in PRESETS:
        raise GptlossError(f"There is no preset called {name!r}. Presets: {', '.join(PRESETS)}.")
    return PRESETS[name]
