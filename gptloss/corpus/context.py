"""How the loss depends on how many tokens of context a target had."""

import math
from dataclasses import dataclass

from gptloss.corpus.tally import CorpusLoss


@dataclass(frozen=True)
class ContextBand:
    """Targets with `first` to `last` tokens before them in their window: how many, and their mean loss in nats."""

    first: int
    last: int
    tokens: int
    loss: float


def context_bands(result: CorpusLoss) -> list[ContextBand]:
    """The loss by tokens before the target in its window: 1, 2 to 3, 4 to 7, ... the last one up to the window."""
    made, window = [], result.plan.window
    firsts = [2**power for power in range(window.bit_length()) if power == 0 or 3 * 2**power <= 2 * window]
    for first, stop in zip(firsts, [*firsts[1:], window + 1], strict=True):
        counts = sum(result.position_counts[first - 1 : stop - 1])
        if counts:
            loss = math.fsum(result.position_losses[first - 1 : stop - 1]) / counts
            made.append(ContextBand(first, stop - 1, counts, loss))
    return made
