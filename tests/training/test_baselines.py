"""Baselines, beside sums made by hand."""

import itertools
import math
from collections import Counter

import pytest
import torch

from gptloss.training.baselines import baselines, skill


def test_counted_by_hand() -> None:
    training, validation, v = [0, 1, 2, 1, 1, 0, 2], [1, 2, 2, 0, 1], 3
    found = baselines(torch.tensor(training), torch.tensor(validation), v)
    counts, pairs = Counter(training), Counter(itertools.pairwise(training))
    starts = Counter(training[:-1])

    def single(b: int) -> float:
        return (counts[b] + 1) / (len(training) + v)

    def after(a: int, b: int) -> float:
        return (pairs[a, b] + single(b)) / (starts[a] + 1)

    targets = list(itertools.pairwise(validation))
    assert found.uniform == pytest.approx(math.log(3))
    assert found.unigram == pytest.approx(-sum(math.log(single(b)) for _, b in targets) / 4)
    assert found.bigram == pytest.approx(-sum(math.log(after(a, b)) for a, b in targets) / 4)
    for a in range(v):
        assert sum(after(a, b) for b in range(v)) == pytest.approx(1)


def test_the_way_from_a_blind_guess_to_certainty() -> None:
    assert skill(math.log(256), 256) == pytest.approx(0)
    assert skill(0, 256) == 1
    assert skill(math.log(256) / 2, 256) == pytest.approx(0.5)
    assert skill(10.98, 50_257) < 0
