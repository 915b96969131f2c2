"""docs/result.schema.json says what every command prints with --json: neither less nor more."""

import copy
import io
import json
import signal
from collections.abc import Iterator
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator, ValidationError

from gptloss.cli.main import main
from gptloss.corpus import scoring
from gptloss.models import REGISTRY
from gptloss.models.catalogue import smollm2
from gptloss.models.fast import plan, record
from gptloss.models.fast.shape import Shape
from gptloss.tokens import SAMPLE
from tests.helpers.checkpoints import fetched, save_gpt2
from tests.helpers.driver import ROOT

SCHEMA = json.loads((ROOT / "docs" / "result.schema.json").read_text("utf-8"))
Draft202012Validator.check_schema(SCHEMA)
VALIDATOR = Draft202012Validator(SCHEMA)
# These come only after something has happened, so a result is whole without them.
OPTIONAL = {"training", "validation", "deviation", "deviation_tokens", "incomplete"}


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a GPT-2 of context 16, a text longer than that, and an empty one."""
    place = tmp_path_factory.mktemp("results")
    save_gpt2(place / "gpt2", n_positions=16, bos_token_id=1)
    (place / "long.txt").write_text("tea and milk, and again tea", "utf-8")
    (place / "empty.txt").write_text("", "utf-8")
    return place


def said(*arguments: object, status: int = 0) -> Any:
    """What a command prints as JSON."""
    out, err = io.TextIOWrapper(io.BytesIO(), "utf-8"), io.StringIO()
    with redirect_stdout(out), redirect_stderr(err):
        assert main([*map(str, arguments), "--json"]) == status, err.getvalue()
    out.seek(0)
    return [json.loads(line, parse_constant=pytest.fail) for line in out if line[0] in "{["]


def stopped(*arguments: object) -> Any:
    """The same of a run that Ctrl-C stops in its first forward pass."""
    forward = scoring.forward

    def interrupted(*given: Any) -> Any:
        signal.raise_signal(signal.SIGINT)
        return forward(*given)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("gptloss.corpus.scoring.forward", interrupted)
        return said(*arguments, status=130)


def managed(home: Path) -> Any:
    """What `models` prints: two models more or less here, and one that is fetched."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("GPTLOSS_HOME", str(home))
        patch.setenv("HF_HUB_CACHE", str(home / "hub"))
        patch.setitem(REGISTRY, smollm2.NAME, replace(smollm2.entry(), pull=fetched))
        return [*said("models", "pull", smollm2.NAME), *said("models", "list")]


def doctor(home: Path) -> Any:
    """What `doctor` prints where something was measured."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("GPTLOSS_HOME", str(home))
        patch.setenv(plan.VARIABLE, "torch")
        record.measured([Shape(256, 512)])
        return said("doctor")


def scored(results: list[Any]) -> list[Any]:
    """Those that say where their numbers come from."""
    return [result for result in results if "provenance" in result]


@pytest.fixture(scope="module")
def results(place: Path, tmp_path_factory: pytest.TempPathFactory) -> list[Any]:
    """Every kind of result."""
    gpt2, bigram = ("--model", place / "gpt2"), ("--model", "bigram")
    long, empty = place / "long.txt", place / "empty.txt"
    return [
        *said("loss", "--input", "tea and milk", "--input", "I 💙 tea", *bigram),
        *said("loss", "--input", "tea", "--bos", *gpt2),
        *said("text", long, "--model", "uniform"),
        *said("text", long, "--bos", *gpt2),
        *said("corpus", long, *bigram),
        *said("corpus", empty, long, long, "--split", 0.5, "--convention", "strided", "--window", 8, *gpt2),
        *said("corpus", long, "--convention", "book", "--window", 20, "--split", 0.9, *bigram),
        *said("corpus", long, "--precision", "bfloat16", *gpt2),
        *said("corpus", long, "--precision", "float64", *gpt2),
        *doctor(tmp_path_factory.mktemp("doctor")),
        *stopped("corpus", SAMPLE, "--window", 64, "--split", 0.9, *bigram),
        *said("generate", "tea", "--tokens", 3, *bigram),
        *said("generate", "tea", "--tokens", 30, "--bos", "--temperature", 0, "--top-k", 5, *gpt2),
        *managed(tmp_path_factory.mktemp("home")),
    ]


def test_every_result_is_as_the_schema_says(results: list[Any]) -> None:
    assert len(results) == 18
    for result in results:
        VALIDATOR.validate(result)


def test_the_results_are_of_every_kind(results: list[Any]) -> None:
    """So that the tests here are of something."""
    commands = [result["command"] for result in results if "command" in result]
    assert {command: commands.count(command) for command in commands} == {
        "loss": 2, "text": 2, "corpus": 6, "generate": 2, "doctor": 1
    }  # fmt: skip
    told = [result["provenance"] for result in scored(results)]
    assert {one["convention"] for one in told} == {"whole", "sliding", "rolling", "strided", "book"}
    assert {one["start_token"] is None for one in told} == {True, False}
    assert {one["precision"] for one in told} == {"float32", "float64", "bfloat16"}
    assert any(result.get("incomplete") for result in results if "command" in result)
    assert any(result.get("skipped") for result in results if "command" in result)
    assert any("deviation" in result for result in results)


def test_the_provenance_has_the_same_fields_everywhere(results: list[Any]) -> None:
    keys = {tuple(result["provenance"]) for result in scored(results)}
    assert len(keys) == 1


def test_a_field_more_or_less_is_noticed(results: list[Any]) -> None:
    for result in scored(results):
        one = Draft202012Validator(SCHEMA["$defs"][result["command"]] | {"$defs": SCHEMA["$defs"]})
        places = [result, result["provenance"], result["provenance"]["model"], result["model"]]
        places += [place for list_ in ("files", "skipped", "rows") for place in result.get(list_, [])[-1:]]
        places += [place for part in ("training", "validation", "file", "totals") if (place := result.get(part))]
        places += [part for file in result.get("files", [])[-1:] for part in file["parts"].values() if part]
        for place in places:
            for key in [key for key in place if key not in OPTIONAL]:
                value = place.pop(key)
                assert not one.is_valid(result), f"nobody misses {key}"
                place[key] = value
            place["more"] = 1
            assert not one.is_valid(result), f"more than {list(place)}"
            del place["more"]
        one.validate(result)


def test_a_number_that_is_none_is_noticed(results: list[Any]) -> None:
    result = copy.deepcopy(results[0])
    result["loss"] = "10.79"
    with pytest.raises(ValidationError):
        VALIDATOR.validate(result)


def fields(schema: Any, at: str = "#") -> Iterator[tuple[str, Any]]:
    """(place, schema) of every property that the schema names."""
    if isinstance(schema, dict):
        for name, inner in schema.items():
            if name == "properties":
                yield from ((f"{at}/properties/{field}", one) for field, one in inner.items())
            yield from fields(inner, f"{at}/{name}")


def used(schema: Any, at: str, value: Any) -> Iterator[str]:
    """The places of the properties that a valid value has."""
    if (target := schema.get("$ref")) is not None:
        yield from used(SCHEMA["$defs"][target.removeprefix("#/$defs/")], target, value)
    for number, choice in enumerate(schema.get("oneOf", [])):
        if Draft202012Validator(choice | {"$defs": SCHEMA["$defs"]}).is_valid(value):
            yield from used(choice, f"{at}/oneOf/{number}", value)
    for name, inner in schema.get("properties", {}).items():
        if isinstance(value, dict) and name in value:
            yield f"{at}/properties/{name}"
            yield from used(inner, f"{at}/properties/{name}", value[name])
    for one in value if "items" in schema and value else []:
        yield from used(schema["items"], f"{at}/items", one)


def test_every_field_says_what_it_is() -> None:
    for place, field in fields(SCHEMA):
        assert len(field.get("description", "")) > 8, place
        assert field["description"].endswith("."), place
    for name, definition in SCHEMA["$defs"].items():
        assert definition["description"].endswith("."), name


def test_every_field_is_in_some_result(results: list[Any]) -> None:
    seen = {place for result in results for place in used(SCHEMA, "#", result)}
    assert {place for place, _ in fields(SCHEMA)} - seen == set()
