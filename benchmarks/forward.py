"""How near a forward pass with the log-probabilities of all targets comes to what the processor can do.

    .venv/bin/python benchmarks/forward.py

GPT-2 124M, a context of 1,024, random weights, one thread, four ways in turn: `F.linear`, the kernels of the plan on
the same weights (what `load_model` gives), the same packed for long texts (what `gptloss corpus` does), and bfloat16,
if this processor multiplies in it. The floor is its multiplications at the speed of the fastest matrix product found
here, of attention only what a causal one needs, and reading all weights once. Medians of CPU milliseconds, and each
way's error of ln p in nats against float64. Writes benchmarks/results/forward.json.
"""

import copy
import json
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from statistics import median

import torch
from torch import Tensor

from gptloss.corpus import head, scoring
from gptloss.models import LanguageModel, ModelInfo
from gptloss.models.architectures.gpt2 import GPT2, GPTConfig, untrained
from gptloss.models.fast import kernels, layers, plan, record

SHAPES = ((1, 8), (1, 64), (1, 256), (1, 1024), (4, 256))
D, V, LAYERS = 768, 50_257, 12
WEIGHTS = LAYERS * 12 * D * D + V * D
# A bfloat16 that is slower than float32 by more than this is not waited for.
SLOW = 0.5
RESULTS = Path(__file__).parent / "results" / "forward.json"


def seconds(work: Callable[[], object]) -> float:
    """CPU seconds of one call."""
    before = time.process_time()
    work()
    return time.process_time() - before


def log_probas(model: LanguageModel, ids: Tensor) -> Tensor:
    """ln p of each id by the state before it in the row, as `gptloss corpus` makes it."""
    states, targets = model.hidden(ids).flatten(0, 1), ids.roll(-1, 1).flatten()
    pairs = zip(states.split(scoring.TOKENS), targets.split(scoring.TOKENS), strict=True)
    return torch.cat([head.log_probas(model, hidden, wanted) for hidden, wanted in pairs])


def peak(dtype: torch.dtype) -> float:
    """Multiplications and additions a second of the fastest product of GPT-2's matrices, by any kernel."""
    best = 0.0
    names = kernels.available() if dtype == torch.float32 else ("packed",)
    for t, d, e in ((1024, D, D), (1024, D, 4 * D), (1024, 4 * D, D), (256, D, 4 * D)):
        x, weight = torch.randn(t, d).to(dtype), torch.randn(e, d).to(dtype)
        for name in names:
            given = kernels.reorder(weight) if name == "packed" else weight
            fastest = min(seconds(partial(kernels.PRODUCTS[name], x, given, None)) for _ in range(9))
            best = max(best, 2 * t * d * e / fastest)
    return best


def bandwidth() -> float:
    """Bytes a second that one thread reads of a matrix as large as the head."""
    matrix = torch.randn(V, D)
    return matrix.nbytes / min(seconds(matrix.amax) for _ in range(9))


def floor(b: int, t: int, speed: float, memory: float, width: int) -> float:
    """Seconds that the multiplications, or reading the weights of `width` bytes each, take at least."""
    attention = LAYERS * 2 * D * (t + 1) / 2
    return max(2 * b * t * (WEIGHTS + attention) / speed, width * WEIGHTS / memory)


@torch.no_grad()
def main() -> None:
    """Time all ways in turn, print medians, and what share of them is the floor."""
    torch.set_num_threads(1)
    kernels.use_threads(1)
    info = ModelInfo("gpt2-1024", "GPT-2 124M, context 1,024", "random weights", V, 1_024, 163_009_536)
    network = untrained(GPTConfig(context_length=1_024))
    ways: dict[str, LanguageModel] = {
        "F.linear": GPT2(info, network),
        "kernels": layers.use_kernels(GPT2(info, copy.deepcopy(network))),
        "packed": layers.pack(GPT2(info, copy.deepcopy(network))),
    }
    speeds = {"float32": peak(torch.float32)}
    if record.bfloat16_gain() > SLOW:
        ways["bfloat16"] = layers.bfloat16(ways["F.linear"])
        speeds["bfloat16"] = peak(torch.bfloat16)
    memory = bandwidth()
    print(f"{record.processor()}, {torch.backends.cpu.get_cpu_capability()}")
    print("peak: " + ", ".join(f"{name} {speed / 1e9:.0f} GFLOP/s" for name, speed in speeds.items()), end="")
    print(f", memory {memory / 1e9:.0f} GB/s")
    for name in ("kernels", "packed"):
        print(f"{name}: {plan.kernels_as_json(layers.kernels_of(ways[name]))}")
    rows = [measure(ways, b, t, speeds, memory) for b, t in SHAPES]
    errors = accuracy(ways, copy.deepcopy(network))
    for name, error in errors.items():
        print(f"error of ln p at 256, {name:9} " + ", ".join(f"{what} {value:.1e}" for what, value in error.items()))
    result = {"machine": record.machine(), "peak_flops": speeds, "bytes_per_second": memory}
    result |= {"shapes": rows, "errors": errors}
    RESULTS.parent.mkdir(exist_ok=True)
    RESULTS.write_text(json.dumps(result, indent=1) + "\n")


def measure(
    ways: dict[str, LanguageModel], b: int, t: int, speeds: dict[str, float], memory: float
) -> dict[str, object]:
    """Median milliseconds of each way, and the floors."""
    ids = torch.randint(0, V, (b, t), generator=torch.Generator().manual_seed(t))
    times: dict[str, list[float]] = {name: [] for name in ways}
    for _ in range(max(5, 1000 // (b * t))):
        for name, model in ways.items():
            times[name].append(seconds(lambda model=model: log_probas(model, ids)))
    ms = {name: 1e3 * median(found) for name, found in times.items()}
    floors = {name: 1e3 * floor(b, t, speed, memory, 4 if name == "float32" else 2) for name, speed in speeds.items()}
    line = "  ".join(f"{name} {value:6.0f} ms" for name, value in ms.items())
    shares = {name: floors["bfloat16" if name == "bfloat16" else "float32"] / value for name, value in ms.items()}
    told = ", ".join(f"{name} {share:.0%}" for name, share in shares.items())
    print(f"{b}x{t:<5} {line}   floor {floors['float32']:5.0f} ms: {told}", flush=True)
    return {"batch": b, "tokens": t, "ms": ms, "floor_ms": floors}


def accuracy(ways: dict[str, LanguageModel], network: torch.nn.Module) -> dict[str, dict[str, float]]:
    """The error of a ln p over 256 tokens, in nats: the largest, the mean of sizes, and the mean."""
    ids = torch.randint(0, V, (1, 256), generator=torch.Generator().manual_seed(1))
    exact = network.eval().double()(ids)[0].log_softmax(-1).gather(-1, ids.roll(-1, 1)[0, :, None])[:, 0]
    found = {name: log_probas(model, ids).double() - exact for name, model in ways.items()}
    return {
        name: {"max": e.abs().max().item(), "mean": e.abs().mean().item(), "bias": e.mean().item()}
        for name, e in found.items()
    }


if __name__ == "__main__":
    main()
