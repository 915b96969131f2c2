"""What scoring costs on top of the forward pass: `python benchmarks/scoring.py`.

1,000 tokens of GPT-2 124M at a context of 1,024 (random weights), one thread, the two in turn; and, for the pages
under Explore, the time from a chosen position to its whole distribution. CPU seconds, because other programs do not
count in them. Writes benchmarks/results/scoring.json.
"""

import json
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median

import torch

from gptloss.models import ModelInfo
from gptloss.models.architectures.gpt2 import GPT2, GPTConfig, untrained
from gptloss.scoring.batch import CHUNK
from gptloss.scoring.score import score

TOKENS, ROUNDS = 1_001, 5
RESULTS = Path(__file__).parent / "results" / "scoring.json"


def seconds(work: Callable[[], object]) -> float:
    """CPU seconds of one call."""
    before = time.process_time()
    work()
    return time.process_time() - before


def main() -> None:
    """Time both in turn, print the medians and their ratio."""
    torch.set_num_threads(1)
    info = ModelInfo("gpt2-1024", "GPT-2 124M, context 1,024", "random weights", 50_257, 1_024, 163_009_536)
    model = GPT2(info, untrained(GPTConfig(context_length=1_024)))
    ids = [(7919 * n) % 50_000 for n in range(TOKENS)]
    read = torch.tensor([ids[:-1]])

    def forward() -> None:
        hidden = model.hidden(read)[0]
        for start in range(0, len(hidden), CHUNK):
            model.head(hidden[start : start + CHUNK])

    forward()
    times = [(seconds(forward), seconds(lambda: score(model, ids))) for _ in range(ROUNDS)]
    alone, whole = (median(column) for column in zip(*times, strict=True))
    batch = score(model, ids)
    position = median(seconds(lambda j=j: batch.top(1, j, 50)) for j in range(1, 1_000, 50))
    result = {
        "tokens": len(batch),
        "forward_s": alone,
        "score_s": whole,
        "ratio": median(b / a for a, b in times),
        "position_ms": 1_000 * position,
    }
    print("\n".join(f"{name:12} {value:.4g}" for name, value in result.items()))
    RESULTS.parent.mkdir(exist_ok=True)
    RESULTS.write_text(json.dumps(result, indent=1) + "\n")


if __name__ == "__main__":
    main()
