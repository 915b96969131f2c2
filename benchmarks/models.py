"""What each model costs: disk, memory, the time to the first loss of a new process, the time for 128 tokens more.

    .venv/bin/python benchmarks/models.py [--large]

A GPT-2 that is not on this machine is stood in for by one of the same size with random weights, which costs the same
(--large: also the 774M and the 1558M). Each model runs in processes of its own, one thread; the first run of each
fills the file cache and is not counted. Writes benchmarks/results/models.json and prints a table of medians.
"""

import json
import os
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent))

from gptloss.models import REGISTRY
from gptloss.models.catalogue.checkpoint import OPENAI

RUNS = 3
# Layers, width, heads.
SIZES = {
    "gpt2": (12, 768, 12),
    "gpt2-medium": (24, 1024, 16),
    "gpt2-large": (36, 1280, 20),
    "gpt2-xl": (48, 1600, 25),
}

ONE_RUN = """
import resource, sys, time
start = time.perf_counter()
import torch
torch.set_num_threads(1)
from gptloss import load_model, score
model = load_model(sys.argv[1])
first = score(model, "The capital of France is Paris").loss
to_first = time.perf_counter() - start
start = time.perf_counter()
score(model, [list(range(33, 33 + 129))]).loss
print(to_first, time.perf_counter() - start, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024)
"""


MAKE = """
import sys, torch
from transformers import GPT2Config, GPT2LMHeadModel
layers, width, heads = map(int, sys.argv[2:])
torch.manual_seed(0)
GPT2LMHeadModel(GPT2Config(n_layer=layers, n_embd=width, n_head=heads)).save_pretrained(sys.argv[1])
"""


def stand_in(name: str, folder: Path) -> str:
    """A GPT-2 of this size with random weights, made in a process of its own: its memory must not count."""
    made = str(folder / name)
    subprocess.run([sys.executable, "-c", MAKE, made, *map(str, SIZES[name])], check=True, capture_output=True)
    return made


def measure(name: str) -> dict[str, float]:
    """Medians over the runs: seconds to the first loss, seconds for 128 tokens, megabytes at the peak."""
    figures = []
    for _ in range(RUNS + 1):
        run = subprocess.run(
            [sys.executable, "-c", ONE_RUN, name], capture_output=True, text=True, check=True, env=os.environ
        )
        figures.append([float(figure) for figure in run.stdout.split()])
    medians = [statistics.median(column) for column in zip(*figures[1:], strict=True)]
    return dict(zip(("first_loss_s", "tokens_128_s", "peak_mb"), medians, strict=True))


def main() -> None:
    names = [name for name in REGISTRY if name in OPENAI or REGISTRY[name].here()]
    if "--large" not in sys.argv:
        names = [name for name in names if name not in ("gpt2-large", "gpt2-xl")]
    results = {}
    print(f"{'':16} {'disk':>8} {'memory':>8} {'first loss':>11} {'128 tokens':>11}")
    with tempfile.TemporaryDirectory() as folder:
        for name in names:
            entry = REGISTRY[name]
            figures = measure(name if entry.here() else stand_in(name, Path(folder)))
            results[name] = figures | {"disk_mb": entry.info.size / 1e6}
            print(
                f"{name:16} {entry.info.size / 1e6:5.0f} MB {figures['peak_mb']:5.0f} MB"
                f" {figures['first_loss_s']:9.1f} s {figures['tokens_128_s']:9.2f} s",
                flush=True,
            )
    out = Path(__file__).parent / "results"
    out.mkdir(exist_ok=True)
    (out / "models.json").write_text(json.dumps(results, indent=1))


if __name__ == "__main__":
    main()
