import re

import pytest
import torch

from gptloss import ScoredBatch, score
from gptloss.lessons.ladder import Units, position_name, shapes, steps
from gptloss.models import LanguageModel
from gptloss.numbers import in_units
from views.visit.fields.text import STEPS


def test_the_lectures_steps_in_order(lecture: ScoredBatch) -> None:
    named = {step.name: step for step in steps(lecture, 1, 2, "nats")}
    assert len(named) == STEPS  # as many as a link may ask for
    assert list(named) == ["Logits", "Softmax", "Target probability", "Log", "Mean", "Minus", "Perplexity"]
    assert "0.6105" in named["Logits"].latex
    assert r"3.1061 \cdot 10^{-5}" in named["Target probability"].latex
    assert "-10.3796" in named["Log"].latex
    assert "- 9.5042 - 10.3796 - 11.3677" in named["Mean"].latex
    assert "- 11.4798 - 9.7764 - 12.2561" in named["Mean"].latex
    assert "10.79396" in named["Perplexity"].latex  # the sixth decimal is below what float32 has
    assert "10.7940" in named["Minus"].latex
    assert "48{,}725.8" in named["Perplexity"].latex
    assert "1 in 32,195" in named["Target probability"].sentence


@pytest.mark.parametrize("units", ["nats", "bits"])
@pytest.mark.parametrize(
    "rows", [["every effort moves you", "I really like chocolate"], ["the the", "every effort moves"]]
)
def test_the_pytorch_lines_compute_the_same_numbers(gpt2: LanguageModel, rows: list[str], units: Units) -> None:
    batch = score(gpt2, rows)
    scope = {"torch": torch, "model": gpt2.network}  # type: ignore[attr-defined]
    for step in steps(batch, 1, 1, units):
        exec(step.code, scope)
    assert scope["logits"].shape == (len(batch), 50257)
    assert scope["loss"].item() == pytest.approx(in_units(batch.loss, units), abs=1e-5)
    assert scope["perplexity"].item() == pytest.approx(batch.perplexity, rel=1e-4)
    in_nats = scope["neg_avg_log_proba"].item() * (1 if units == "nats" else 0.6931472)
    assert in_nats == pytest.approx(batch.loss, abs=1e-4)


def test_shapes_of_equal_and_unequal_rows(tiny: LanguageModel, lecture: ScoredBatch) -> None:
    assert shapes(lecture) == ("[2, 3, 50257]", "[6, 50257]")
    assert shapes(score(tiny, ["a b", "a b c"])) == ("[1, 50257] + [2, 50257]", "[3, 50257]")


def test_a_long_mean_has_dots(tiny: LanguageModel) -> None:
    mean = next(step for step in steps(score(tiny, " a" * 17), 1, 1, "nats") if step.name == "Mean")
    assert r"\dots" in mean.latex
    assert mean.latex.count("- ") == 8


def test_bits_use_log2_and_2(lecture: ScoredBatch) -> None:
    all_steps = steps(lecture, 1, 1, "bits")
    assert r"\log_2" in all_steps[3].latex
    assert re.match(r"2\^\{\\,15\.57", all_steps[6].latex)
    assert "torch.log2" in all_steps[3].code


def test_names_of_positions() -> None:
    assert (position_name(1, 2), position_name(2, 12)) == ("p12", "p2,12")


def test_the_code_of_step_one_gives_the_logits_with_a_start_token_too(gpt2: LanguageModel) -> None:
    for targets in (" effort moves you", None):
        batch = score(gpt2, "every effort moves", targets, bos=True)
        names = {"torch": torch, "model": gpt2.network}  # type: ignore[attr-defined]
        exec(steps(batch, 1, 1, "nats")[0].code, names)
        torch.testing.assert_close(names["logits"][torch.arange(3), names["targets"]], batch.logits)
