"""Training as `gptloss train` does it beside a plain loop in the book's style: GPT-2 124M, the book's settings.

    .venv/bin/python benchmarks/training.py [--steps N] [--rounds N] [--threads N]

The plain model is written as chapter 4 of *Build a Large Language Model (From Scratch)* describes it: a LayerNorm and
a GELU of single operations, attention with a mask, and AdamW as it comes. Both start from seed 123 and draw batches
and dropout in the same order, so their losses can be compared step by step. They run in turn, each in a process of
its own. Prints tokens a second, peak memory and the largest difference of a loss. Writes
benchmarks/results/training.json.
"""

import argparse
import json
import resource
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

sys.path.insert(0, str(Path(__file__).parent.parent))

from gptloss.tokens import gpt2_tokenizer
from gptloss.training.batches import parts
from gptloss.training.loop import Trainer
from gptloss.training.recipe import BOOK, Recipe

TEXT = (Path(__file__).parent.parent / "gptloss" / "data" / "the-verdict.txt").read_text("utf-8")
WORKERS = ("ours", "plain")


class PlainNorm(nn.Module):
    def __init__(self, width: int) -> None:
        super().__init__()
        self.scale, self.shift = nn.Parameter(torch.ones(width)), nn.Parameter(torch.zeros(width))

    def forward(self, x: Tensor) -> Tensor:
        mean, variance = x.mean(-1, keepdim=True), x.var(-1, keepdim=True, unbiased=False)
        return self.scale * ((x - mean) / torch.sqrt(variance + 1e-5)) + self.shift


class PlainGELU(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return 0.5 * x * (1 + torch.tanh((2 / torch.pi) ** 0.5 * (x + 0.044715 * x**3)))


class PlainAttention(nn.Module):
    def __init__(self, recipe: Recipe) -> None:
        super().__init__()
        width = recipe.emb_dim
        self.heads = recipe.n_heads
        self.query, self.key, self.value = (nn.Linear(width, width, bias=False) for _ in range(3))
        self.out = nn.Linear(width, width)
        self.dropout = nn.Dropout(recipe.drop_rate)
        later = torch.triu(torch.ones(recipe.context_length, recipe.context_length), diagonal=1)
        self.register_buffer("later", later.bool())

    def forward(self, x: Tensor) -> Tensor:
        b, t, width = x.shape
        query, key, value = (
            layer(x).view(b, t, self.heads, width // self.heads).transpose(1, 2)
            for layer in (self.query, self.key, self.value)
        )
        scores = (query @ key.transpose(2, 3)).masked_fill(self.later[:t, :t], -torch.inf)
        weights = self.dropout(torch.softmax(scores / (width // self.heads) ** 0.5, dim=-1))
        return self.out((weights @ value).transpose(1, 2).contiguous().view(b, t, width))


class PlainBlock(nn.Module):
    def __init__(self, recipe: Recipe) -> None:
        super().__init__()
        width = recipe.emb_dim
        self.attention = PlainAttention(recipe)
        self.feed_forward = nn.Sequential(nn.Linear(width, 4 * width), PlainGELU(), nn.Linear(4 * width, width))
        self.norm1, self.norm2 = PlainNorm(width), PlainNorm(width)
        self.dropout = nn.Dropout(recipe.drop_rate)

    def forward(self, x: Tensor) -> Tensor:
        x = x + self.dropout(self.attention(self.norm1(x)))
        return x + self.dropout(self.feed_forward(self.norm2(x)))


class PlainGPT(nn.Module):
    def __init__(self, recipe: Recipe) -> None:
        super().__init__()
        width = recipe.emb_dim
        self.tokens, self.positions = (
            nn.Embedding(size, width) for size in (recipe.vocab_size, recipe.context_length)
        )
        self.dropout = nn.Dropout(recipe.drop_rate)
        self.blocks = nn.Sequential(*(PlainBlock(recipe) for _ in range(recipe.n_layers)))
        self.norm = PlainNorm(width)
        self.head = nn.Linear(width, recipe.vocab_size, bias=False)

    def forward(self, ids: Tensor) -> Tensor:
        x = self.dropout(self.tokens(ids) + self.positions(torch.arange(ids.shape[1])))
        return self.head(self.norm(self.blocks(x)))


def plain_steps(recipe: Recipe) -> Iterator[tuple[float, float]]:
    """The loss and the seconds of each step of the plain loop."""
    loader = parts(TEXT, recipe, gpt2_tokenizer()).training
    torch.manual_seed(recipe.seed)
    network = PlainGPT(recipe)
    optimizer = torch.optim.AdamW(network.parameters(), lr=recipe.learning_rate, weight_decay=recipe.weight_decay)
    while True:
        for inputs, targets in loader:
            start = time.perf_counter()
            network.train()
            optimizer.zero_grad()
            loss = F.cross_entropy(network(inputs).flatten(0, 1), targets.flatten())
            loss.backward()  # type: ignore[no-untyped-call]
            optimizer.step()
            yield loss.item(), time.perf_counter() - start


def our_steps(recipe: Recipe) -> Iterator[tuple[float, float]]:
    """The same of `Trainer`."""
    trainer = Trainer(recipe, TEXT, gpt2_tokenizer())
    while True:
        start = time.perf_counter()
        trainer.advance()
        assert trainer.step_loss is not None
        yield trainer.step_loss, time.perf_counter() - start


def work(worker: str, steps: int, threads: int) -> None:
    """Run one of both in this process, and print what it measured."""
    torch.set_num_threads(threads)
    recipe = replace(BOOK, steps=10_000)
    made = our_steps(recipe) if worker == "ours" else plain_steps(recipe)
    found = [next(made) for _ in range(steps)]
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)
    print(json.dumps({"losses": [loss for loss, _ in found], "seconds": [s for _, s in found], "peak_bytes": peak}))


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--steps", type=int, default=20)
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--worker", choices=WORKERS, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.worker:
        return work(options.worker, options.steps, options.threads)
    shared = [sys.executable, __file__, "--steps", str(options.steps), "--threads", str(options.threads)]
    runs: dict[str, list[dict[str, Any]]] = {worker: [] for worker in WORKERS}
    for _ in range(options.rounds):
        for worker in WORKERS:
            output = subprocess.run(
                [*shared, "--worker", worker], stdout=subprocess.PIPE, text=True, check=True
            ).stdout
            runs[worker].append(json.loads(output))
    tokens = BOOK.batch_size * BOOK.context_length
    # The first step of a process also touches its memory for the first time.
    speeds = {
        worker: [tokens / statistics.median(run["seconds"][1:]) for run in found] for worker, found in runs.items()
    }
    for worker in WORKERS:
        peak = max(run["peak_bytes"] for run in runs[worker]) / 1e9
        print(f"{worker:6} {statistics.median(speeds[worker]):7.0f} tokens a second, peak memory {peak:.2f} GB")
    ratio = statistics.median(speeds["ours"]) / statistics.median(speeds["plain"])
    pairs = zip(runs["ours"][0]["losses"], runs["plain"][0]["losses"], strict=True)
    gap = max(abs(ours - plain) for ours, plain in pairs)
    print(f"ratio {ratio:.2f}; largest difference of a loss over {options.steps} steps {gap:.1e}")
    results = Path(__file__).parent / "results"
    results.mkdir(exist_ok=True)
    (results / "training.json").write_text(json.dumps({"runs": runs, "ratio": ratio, "gap": gap}, indent=1))


if __name__ == "__main__":
    main()
