"""The loss as a function of temperature, against torch in float64."""

import math
from collections.abc import Iterator
from itertools import pairwise

import pytest
import torch

from gptloss import GptlossError, ScoredBatch, score
from gptloss.analysis.temperature import TEMPERATURES, TemperatureCurve, curve_parts, temperature_curve
from gptloss.models import LanguageModel, load_model

TEXT = "The clock on the wall was slow, so she took the later train and read until it was dark."


@pytest.fixture(scope="module")
def bigram() -> ScoredBatch:
    return score(load_model("bigram"), TEXT)


@pytest.fixture(scope="module")
def curve(bigram: ScoredBatch) -> TemperatureCurve:
    return temperature_curve(bigram)


def oracle(batch: ScoredBatch, temperature: float) -> float:
    """The mean loss at a temperature by torch's own log_softmax, in float64."""
    logits = batch.model.head(batch.hidden).double() / temperature
    ids = torch.tensor([token.id for token in batch.targets])
    return -logits.log_softmax(-1).gather(-1, ids[:, None]).mean().item()


def golden_section(batch: ScoredBatch, low: float, high: float) -> float:
    """Where the oracle is smallest, looked for without any derivative."""
    ratio = (math.sqrt(5) - 1) / 2
    while high - low > 1e-6:
        left, right = high - ratio * (high - low), low + ratio * (high - low)
        low, high = (low, right) if oracle(batch, left) < oracle(batch, right) else (left, high)
    return (low + high) / 2


def test_the_grid_is_even_in_its_logarithm_and_has_one_in_the_middle() -> None:
    assert len(TEMPERATURES) == 25
    assert (TEMPERATURES[0], TEMPERATURES[12], TEMPERATURES[-1]) == (0.1, 1.0, 10.0)


def test_every_loss_is_torchs(bigram: ScoredBatch, curve: TemperatureCurve) -> None:
    assert curve.temperatures == pytest.approx(TEMPERATURES)
    assert curve.losses == pytest.approx([oracle(bigram, t) for t in TEMPERATURES], abs=1e-5)
    assert curve.loss == pytest.approx(bigram.loss, abs=1e-5)
    assert curve.loss == curve.losses[12] == curve.at(1.0)


def test_the_lectures_losses_are_torchs(lecture: ScoredBatch) -> None:
    curve = temperature_curve(lecture)
    assert curve.losses == pytest.approx([oracle(lecture, t) for t in TEMPERATURES], abs=1e-5)
    assert curve.loss == pytest.approx(10.7940, abs=5e-5)
    assert curve.blind == pytest.approx(math.log(50257))


def test_the_best_temperature_is_where_a_search_finds_it(bigram: ScoredBatch, curve: TemperatureCurve) -> None:
    assert curve.best == pytest.approx(golden_section(bigram, 0.1, 10), abs=1e-4)
    assert curve.best_loss == pytest.approx(oracle(bigram, curve.best), abs=1e-9)
    assert curve.best_loss < min(curve.losses)
    around = [oracle(bigram, curve.best * factor) for factor in (0.999, 1.001)]
    assert curve.best_loss < min(around)


@pytest.mark.parametrize("length", [200, 600])
def test_long_texts_are_done_in_parts_and_are_as_exact(length: int) -> None:
    text = (TEXT * 8)[:length]
    rows = [text[start : start + 100] for start in range(0, length, 100)]
    batch = score(load_model("bigram"), rows)
    heard: list[tuple[int, int]] = []
    curve = temperature_curve(batch, lambda done, total: heard.append((done, total)))
    assert heard[0] == (128, len(batch))
    assert (len(batch), len(batch)) in heard
    assert curve.losses == pytest.approx([oracle(batch, t) for t in TEMPERATURES], abs=1e-5)
    assert curve.best == pytest.approx(golden_section(batch, 0.1, 10), abs=1e-4)
    assert curve.best_loss == pytest.approx(oracle(batch, curve.best), abs=1e-7)


def test_the_loss_is_convex_in_one_over_t(lecture: ScoredBatch) -> None:
    points = temperature_curve(lecture).points[::-1]
    slopes = [point.slope for point in points]
    assert slopes == sorted(slopes)
    assert all(point.curvature > 0 for point in points)
    for low, high in pairwise(points):
        chord = (high.loss - low.loss) / (high.b - low.b)
        assert low.slope < chord < high.slope


@pytest.mark.parametrize("temperature", [0.1, 0.13, 0.5, 0.97, 1.0, 1.3, 5.0, 10.0])
def test_between_the_points_the_curve_is_right(
    bigram: ScoredBatch, curve: TemperatureCurve, temperature: float
) -> None:
    assert curve.at(temperature) == pytest.approx(oracle(bigram, temperature), abs=1e-5)


@pytest.mark.parametrize("temperature", [0.0, 0.09, 10.1, math.inf])
def test_beyond_its_ends_the_curve_says_nothing(curve: TemperatureCurve, temperature: float) -> None:
    with pytest.raises(GptlossError, match=r"from T = 0\.1 to 10"):
        curve.at(temperature)


def worst_targets(model: LanguageModel) -> ScoredBatch:
    """Targets that the model thinks least likely."""
    ids = [16833, 3626, 6100]
    worst = score(model, [ids], [ids]).model.head(score(model, [ids], [ids]).hidden).argmin(-1).tolist()
    return score(model, [ids], [worst])


def test_a_model_worse_than_chance_is_best_at_an_infinite_temperature(tiny: LanguageModel) -> None:
    curve = temperature_curve(worst_targets(tiny))
    assert curve.best == math.inf
    assert curve.best_loss == pytest.approx(math.log(50257), abs=1e-9)
    assert list(curve.losses) == sorted(curve.losses, reverse=True)


def test_targets_that_are_all_the_first_choice_are_best_at_zero(tiny: LanguageModel) -> None:
    ids = [16833, 3626, 6100]
    firsts = score(tiny, [ids], [ids]).argmax_ids.tolist()
    curve = temperature_curve(score(tiny, [ids], [firsts]))
    assert curve.best == 0
    assert curve.best_loss == 0
    assert list(curve.losses) == sorted(curve.losses)


def test_a_second_choice_by_a_hair_has_its_minimum_below_a_tenth(tiny: LanguageModel) -> None:
    ids = [16833]
    second = score(tiny, [ids], [ids]).top_ids[0, 1].item()
    firsts = score(tiny, [ids * 6], [ids * 6]).argmax_ids.tolist()
    batch = score(tiny, [ids * 6], [[second, *firsts[1:]]])
    curve = temperature_curve(batch)
    assert 0 < curve.best < 0.1
    assert curve.best == pytest.approx(golden_section(batch, 0.001, 0.1), abs=1e-4)


def test_equal_logits_are_the_same_at_any_temperature() -> None:
    curve = temperature_curve(score(load_model("uniform"), TEXT))
    assert curve.flat
    assert curve.losses == pytest.approx([math.log(256)] * 25, abs=1e-9)
    assert not temperature_curve(score(load_model("bigram"), TEXT)).flat


def test_an_interrupted_curve_goes_on_where_it_was(bigram: ScoredBatch, curve: TemperatureCurve) -> None:
    work = curve_parts(bigram)
    assert next(work) == len(bigram)
    results: list[TemperatureCurve] = []

    def finish() -> Iterator[int]:
        results.append((yield from work))

    assert set(finish()) == {len(bigram)}
    assert results == [curve]
