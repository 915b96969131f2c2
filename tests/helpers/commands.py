"""Commands run in this process, and what they answer."""

import json
from typing import Any

import pytest

from gptloss.cli.main import main
from tests.helpers.driver import ROOT

SAMPLE = ROOT / "gptloss" / "data" / "sample.txt"


TEXT = SAMPLE.read_text("utf-8").removeprefix("\ufeff")


KEYS = [
    "convention",
    "window",
    "stride",
    "bos",
    "tokens_scored",
    "words",
    "bytes",
    "log_likelihood",
    "loss",
    "perplexity",
    "word_perplexity",
    "byte_perplexity",
    "bits_per_byte",
    "loss_stderr",
    "seconds",
    "tokens_per_second",
    "peak_rss_mb",
    "precision",
]


FRONT = ["command", "model"]


END = ["files", "skipped", "provenance"]


MEASURED = {"seconds", "tokens_per_second", "peak_rss_mb"}


# What a text is called, and the threads of another process.
CIRCUMSTANCES = {"files", "skipped", "provenance"}


def answer(capsys: pytest.CaptureFixture[str], *options: object) -> dict[str, Any]:
    """What the command prints as JSON, with the bigram unless another model is named."""
    model = [] if "--model" in options else ["--model", "bigram"]
    assert main(["corpus", *map(str, options), *model, "--json"]) == 0, capsys.readouterr().err
    result: dict[str, Any] = json.loads(capsys.readouterr().out)
    return result


def refusal(capsys: pytest.CaptureFixture[str], *options: object) -> str:
    """The one sentence, after which nothing else is printed."""
    model = [] if "--model" in options else ["--model", "bigram"]
    assert main(["corpus", *map(str, options), *model]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert len(err.splitlines()) == 1
    return err.removeprefix("gptloss: ").rstrip("\n")


def same(one: dict[str, Any], other: dict[str, Any]) -> bool:
    """Whether the numbers of two results agree to the last digit, but for measurements of the machine."""
    return _plain(one) == _plain(other)


def _plain(result: dict[str, Any]) -> dict[str, Any]:
    return {
        key: _plain(value) if isinstance(value, dict) else value
        for key, value in result.items()
        if key not in MEASURED | CIRCUMSTANCES
    }
