"""The lecture's example, with its printed numbers, and what a batch holds."""

from collections.abc import Iterable, Iterator, Mapping

import numpy as np
import torch

from gptloss import ScoredBatch

LECTURE = (["every effort moves", "I really like"], [" effort moves you", " really like chocolate"])


# What the book prints, and the same model in float64.
PRINTED = [7.4541e-05, 3.1061e-05, 1.1563e-05, 1.0337e-05, 5.6776e-05, 4.7559e-06]


PROBAS = [7.4540467e-05, 3.1060580e-05, 1.1562788e-05, 1.0336673e-05, 5.6775925e-05, 4.7559318e-06]


def kept_bytes(batch: ScoredBatch) -> int:
    """Of all numbers that a batch holds on to, however deep, but for its model."""
    found = {
        tensor.untyped_storage().data_ptr(): tensor.untyped_storage().nbytes()
        for name, value in vars(batch).items()
        if name != "model"
        for tensor in tensors(value)
    }
    return sum(found.values())


def tensors(value: object) -> Iterator[torch.Tensor]:
    if isinstance(value, torch.Tensor):
        yield value
    elif isinstance(value, np.ndarray):
        yield torch.from_numpy(value)
    elif isinstance(value, Mapping):
        yield from tensors(list(value.values()))
    elif isinstance(value, Iterable) and not isinstance(value, str | bytes):
        for part in value:
            yield from tensors(part)
    elif hasattr(value, "__dict__"):
        yield from tensors(vars(value))


PROMPT = "Every effort moves you"


CONTINUED = " rentingetic wasn\u0645 refres RexMeCHicular stren"
