"""Recipes: what no run can have is one sentence, and the learning rate follows its schedule."""

from dataclasses import replace

import pytest

from gptloss import GptlossError
from gptloss.training.recipe import BOOK, LETTERS, PRESETS, Recipe, from_json, named, suited


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("vocab_size", 255),
        ("vocab_size", 50_258),
        ("context_length", 1),
        ("n_heads", 3),
        ("drop_rate", 1.0),
        ("micro_batches", 17),
        ("learning_rate", 0.0),
        ("learning_rate", float("nan")),
        ("schedule", "steps"),
        ("clip", float("inf")),
        ("steps", 0),
        ("split", 1.0),
        ("seed", -1),
        ("precision", "float16"),
    ],
)
def test_a_value_that_no_run_can_have_is_named(field: str, value: object) -> None:
    with pytest.raises(GptlossError, match=field) as error:
        replace(LETTERS, **{field: value})  # type: ignore[arg-type]
    assert str(value) in str(error.value)


def test_a_rise_then_half_a_wave_down_to_nothing() -> None:
    recipe = replace(LETTERS, learning_rate=1.0, warmup=4, steps=104)
    assert [recipe.rate(step) for step in range(4)] == [0.25, 0.5, 0.75, 1.0]
    assert recipe.rate(4) == 1.0
    assert recipe.rate(54) == pytest.approx(0.5)
    assert recipe.rate(104) == pytest.approx(0.0)
    assert replace(recipe, schedule="constant").rate(100) == 1.0


def test_the_book_looks_after_its_first_step_and_every_five() -> None:
    looks = [step for step in range(91) if BOOK.evaluates(step)]
    assert looks == [0, *range(1, 91, 5), 90]
    assert [step for step in range(101) if replace(LETTERS, steps=100).evaluates(step)] == [0, 20, 40, 60, 80, 100]


@pytest.mark.parametrize("recipe", PRESETS.values())
def test_recipes_as_json_and_back(recipe: Recipe) -> None:
    assert from_json(recipe.as_json()) == recipe


@pytest.mark.parametrize("data", [{"layers": 3}, {"steps": "many"}, {"steps": 1.5}, {"seed": True}])
def test_json_that_is_no_recipe(data: dict[str, object]) -> None:
    with pytest.raises(GptlossError, match=next(iter(data))):
        from_json(data)


def test_a_preset_that_there_is_not() -> None:
    with pytest.raises(GptlossError, match="letters, words, book"):
        named("big")


def test_a_short_text_gets_a_short_context() -> None:
    assert suited(200).context_length == 10
    assert suited(20_000) == LETTERS
    assert suited(100_000).vocab_size == 1_024
