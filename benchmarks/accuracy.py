"""How far ln p is off against float64, token by token: ours, and the usual ways, on the same text.

    .venv/bin/python benchmarks/accuracy.py

The lecture's model and SmolLM2 135M, if it is here; 1,024 tokens of the bundled story in windows of 256, one thread.
Of each way the largest error, the mean of sizes and the mean (the bias), in nats. "transformers" is its own model in
float32 with `log_softmax`, as most tools have it. Writes benchmarks/results/accuracy.json.
"""

import json
import logging
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

os.environ["HF_HUB_OFFLINE"] = "1"

import torch
from torch import Tensor

from gptloss import load_model
from gptloss.corpus import head
from gptloss.models import LanguageModel, is_here
from gptloss.models.downloads import store
from gptloss.models.fast import kernels, layers, plan, record

WINDOW, WINDOWS = 256, 4
STORY = Path(__file__).parent.parent / "gptloss" / "data" / "island.txt"
RESULTS = Path(__file__).parent / "results" / "accuracy.json"


def text(model: LanguageModel) -> tuple[Tensor, Tensor]:
    """What is read, [windows, window], and what follows each token of it."""
    tokens = model.tokenizer.encode(STORY.read_text("utf-8")[:40_000])[: WINDOW * WINDOWS + 1]
    ids = torch.tensor([token.id for token in tokens])
    return ids[:-1].view(WINDOWS, WINDOW), ids[1:]


def ours(model: LanguageModel) -> Tensor:
    """ln p of each target, as `gptloss corpus` makes it."""
    ids, targets = text(model)
    pairs = zip(ids, targets.view(ids.shape), strict=True)
    return torch.cat([head.log_probas(model, model.hidden(row[None])[0], wanted) for row, wanted in pairs]).double()


def usual(model: LanguageModel) -> Tensor:
    """The same weights and states, by `log_softmax` in float32."""
    ids, targets = text(model)
    logits = torch.cat([model.head(model.hidden(row[None])[0]) for row in ids])
    return logits.log_softmax(-1).gather(-1, targets[:, None])[:, 0].double()


def theirs(model: LanguageModel) -> Tensor:
    """By transformers, whose checkpoint SmolLM2's folder is."""
    from transformers import AutoModelForCausalLM

    network = AutoModelForCausalLM.from_pretrained(store.folder(model.info.name), dtype=torch.float32).eval()
    ids, targets = text(model)
    logits = torch.cat([network(row[None]).logits[0] for row in ids])
    return logits.log_softmax(-1).gather(-1, targets[:, None])[:, 0].double()


@torch.no_grad()
def main() -> None:
    """All ways for each model, and what they are off by."""
    logging.disable(logging.WARNING)
    torch.set_num_threads(1)
    print(f"{record.processor()}, {torch.backends.cpu.get_cpu_capability()}")
    result: dict[str, Any] = {"machine": record.machine(), "models": {}}
    for name in ("gpt2-untrained", "smollm2-135m"):
        if is_here(name):
            result["models"][name] = errors(name)
        else:
            print(f"{name} is not here and is left out: `gptloss models pull {name}` fetches it.")
    RESULTS.parent.mkdir(exist_ok=True)
    RESULTS.write_text(json.dumps(result, indent=1) + "\n")


def errors(name: str) -> dict[str, dict[str, float]]:
    """The errors of each way in which this model can be read."""
    exact = ours(load_model(name, dtype="float64"))
    ways: dict[str, Callable[[], Tensor]] = {
        "ours": lambda: ours(load_model(name)),
        "ours, for long texts": lambda: ours(layers.pack(load_model(name))),
        "ours, by log_softmax": lambda: usual(load_model(name)),
    }
    for kernel in kernels.available():
        ways[f"ours, {kernel} alone"] = lambda kernel=kernel: with_kernel(name, kernel)
    if name == "smollm2-135m":
        ways["transformers"] = lambda: theirs(load_model(name))
    found = {}
    print(f"\n{name}, loss {-exact.mean().item():.7f}")
    for way, log_probas in ways.items():
        e = log_probas() - exact
        found[way] = {"max": e.abs().max().item(), "mean": e.abs().mean().item(), "bias": e.mean().item()}
        print(f"{way:24} " + ", ".join(f"{what} {value:+.1e}" for what, value in found[way].items()), flush=True)
    return found


def with_kernel(name: str, kernel: str) -> Tensor:
    """By one kernel for every matrix."""
    before = os.environ.get(plan.VARIABLE)
    os.environ[plan.VARIABLE] = kernel
    try:
        return ours(layers.pack(load_model(name)))
    finally:
        os.environ.pop(plan.VARIABLE)
        os.environ |= {} if before is None else {plan.VARIABLE: before}


if __name__ == "__main__":
    main()
