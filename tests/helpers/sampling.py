"""Random logits, seeds and samplers, and what is generated with them."""

import itertools

import torch
from hypothesis import strategies as st

from gptloss.prediction.sampling import SampledToken, Sampler, generate

SEEDS = st.integers(0, 2**32 - 1)


SAMPLERS = st.builds(
    Sampler, temperature=st.floats(0, 5), top_k=st.integers(0, 60), top_p=st.floats(0, 1, exclude_min=True)
)


def logits_of(seed: int, v: int = 50, scale: float = 3.0) -> torch.Tensor:
    return scale * torch.randn(v, generator=torch.Generator().manual_seed(seed))


def steps(n: int, *given: object, **named: object) -> list[SampledToken]:
    return list(itertools.islice(generate(*given, **named), n))  # type: ignore[arg-type]


def ids(made: list[SampledToken]) -> list[int]:
    return [step.token.id for step in made]
