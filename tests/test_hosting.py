"""What the environment allows, and a sentence for each mistake in it."""

import pytest

from gptloss import GptlossError
from gptloss.hosting import NUMBERS, Number, Profile, profile
from tests.helpers.driver import ROOT


def test_without_a_word_it_is_local() -> None:
    assert profile({}) == Profile()
    assert profile({"GPTLOSS_PROFILE": ""}).upload == 200


def test_a_hosted_app_takes_small_files() -> None:
    holds = profile({"GPTLOSS_PROFILE": "hosted", "GPTLOSS_MODELS": "smollm2-135m, hf:owner/name"})
    assert (holds.upload, holds.visit, holds.models) == (2, 20, ("smollm2-135m", "hf:owner/name"))
    assert ("GPTLOSS_UPLOAD_MB", "2", "the largest file, MB") in holds.lines


def test_numbers_are_taken() -> None:
    holds = profile({"GPTLOSS_UPLOAD_MB": "5", "GPTLOSS_VISIT_MB": "50", "GPTLOSS_TRAINING": "0"})
    assert (holds.upload, holds.visit, holds.training) == (5, 50, False)


def test_each_mistake_is_a_sentence() -> None:
    wrong = {
        "GPTLOSS_PROFILE": "cloud",
        "GPTLOSS_MODELS": "gtp2",
        "GPTLOSS_TRAINING": "yes",
        "GPTLOSS_UPLOAD_MB": "-1",
        "GPTLOSS_VISIT_MB": "1e9",
    }
    with pytest.raises(GptlossError) as caught:
        profile(wrong)
    for variable, value in wrong.items():
        assert variable in str(caught.value)
        assert repr(value) in str(caught.value)


def test_a_visit_takes_at_least_one_file() -> None:
    with pytest.raises(GptlossError, match="less than one file of 5 MB"):
        profile({"GPTLOSS_UPLOAD_MB": "5", "GPTLOSS_VISIT_MB": "4"})


@pytest.mark.parametrize("number", NUMBERS, ids=lambda number: number.variable)
def test_every_limit_has_its_bounds_and_its_line_in_the_documents(number: Number) -> None:
    for value in (number.least, number.most):
        others = {"GPTLOSS_VISIT_MB": "10000"} if number.field == "upload" else {}
        others |= {"GPTLOSS_UPLOAD_MB": "1"} if number.field == "visit" else {}
        assert getattr(profile({**others, number.variable: str(value)}), number.field) == value
    for wrong in (str(number.least - 1), str(number.most + 1), "many", "1.5", "²"):
        with pytest.raises(GptlossError, match=f"{number.variable} is '.*'; use a whole number from"):
            profile({number.variable: wrong})
    for name, default in (("local", number.local), ("hosted", number.hosted)):
        assert getattr(profile({"GPTLOSS_PROFILE": name}), number.field) == default
    assert f"| `{number.variable}` |" in (ROOT / "docs" / "hosting.md").read_text("utf-8")
