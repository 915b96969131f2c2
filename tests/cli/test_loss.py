import hashlib
import json
import os
import subprocess
import sys

import pytest

from gptloss import load_model, score
from gptloss.cli import options
from gptloss.cli.main import main
from gptloss.models import DType, LanguageModel
from gptloss.tokens import SAMPLE
from tests.helpers.scoring import PROBAS

COMMAND = [
    *("loss", "--input", "every effort moves", "--target", " effort moves you"),
    *("--input", "I really like", "--target", " really like chocolate"),
]


@pytest.fixture(autouse=True)
def _made_once(monkeypatch: pytest.MonkeyPatch, gpt2: LanguageModel) -> None:
    load = options.load_model

    def kept(name: str, dtype: DType, start_token: int | None) -> LanguageModel:
        return gpt2 if name == gpt2.info.name else load(name, dtype=dtype, start_token=start_token)

    monkeypatch.setattr(options, "load_model", kept)


def test_json_in_a_process_of_its_own() -> None:
    run = subprocess.run([sys.executable, "-m", "gptloss", *COMMAND, "--json"], capture_output=True, check=True)
    assert run.stderr == b""
    result = json.loads(run.stdout)
    keys = "command model rows count avg_log_proba loss perplexity cross_entropy uniform_loss provenance"
    assert list(result) == keys.split()
    assert result["model"] == {
        "name": "gpt2-untrained",
        "vocab_size": 50257,
        "context_length": 256,
        "parameters": 162_419_712,
    }
    assert list(result["rows"][0]) == [
        "input",
        "target",
        "argmax",
        "logits",
        "probas",
        "log_probas",
        "ranks",
        "entropies",
    ]
    assert result["rows"][0]["input"][0] == {"id": 16833, "text": "every"}
    assert [t["text"] for t in result["rows"][0]["argmax"]] == [" Armed", " he", "Netflix"]
    assert [p for row in result["rows"] for p in row["probas"]] == pytest.approx(PROBAS, rel=2e-5)
    assert result["count"] == 6
    assert result["loss"] == -result["avg_log_proba"] == pytest.approx(10.7940, abs=5e-5)
    assert result["perplexity"] == pytest.approx(48725.8, abs=1)
    assert result["cross_entropy"] == pytest.approx(result["loss"], abs=1e-5)
    assert result["uniform_loss"] == pytest.approx(10.824905)
    assert result["command"] == "loss"
    assert result["provenance"]["model"]["weights"]["files"][0]["name"] == "model.safetensors"
    assert (result["provenance"]["convention"], result["provenance"]["start_token"]) == ("whole", None)


def test_the_table_has_the_lectures_numbers(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(COMMAND) == 0
    text = capsys.readouterr().out
    for number in ("7.45e-05", "1 in 13,416", "-9.5042", "-10.7940", "10.7940", "48,725.8", "10.8249", "·chocolate"):
        assert number in text


def test_the_table_names_the_weights(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["loss", "--input", "every effort moves you", "--model", "bigram"]) == 0
    checksum = hashlib.sha256(SAMPLE.read_bytes()).hexdigest()
    assert capsys.readouterr().out.splitlines()[1] == f"weights: made on this machine, SHA-256 {checksum[:12]}"


@pytest.mark.parametrize("targets", [[], ["--target", " effort"]])
def test_a_start_token_is_told(targets: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["loss", "--input", "every", *targets, "--bos", "--json"]) == 0
    told = json.loads(capsys.readouterr().out)["provenance"]["start_token"]
    assert told == {"id": 50256, "text": "<|endoftext|>"}


def test_without_targets_the_input_is_shifted(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["loss", "--input", "every effort moves you", "--json"]) == 0
    assert [t["id"] for t in json.loads(capsys.readouterr().out)["rows"][0]["target"]] == [3626, 6100, 345]


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["loss", "--input", "a b", "--model", "gtp2"], "There is no model called 'gtp2'"),
        (["loss", "--input", ""], "Row 1's input is empty"),
        (["loss", "--input", "a b", "--target", "c"], "Row 1 has 2 tokens in its input and 1 token"),
        (["loss", "--input", "a", "--target", "b", "--target", "c"], "1 inputs and 2 targets"),
        (["loss", "--input", "\udcf0"], "half a character"),
    ],
)
def test_a_mistake_is_one_sentence_and_status_2(
    arguments: list[str], says: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(arguments) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert says in err
    assert err.count("\n") == 1


@pytest.mark.parametrize("arguments", [["loss"], ["loss", "--precision", "int4"]])
def test_bad_usage_is_one_sentence_and_status_2(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        main(arguments)
    assert caught.value.code == 2
    assert capsys.readouterr().err.count("\n") == 1


def test_a_reader_that_leaves_early_is_no_error() -> None:
    command = f"set -o pipefail; {sys.executable} -m gptloss loss --input 'a b' | true"
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONUNBUFFERED"}
    run = subprocess.run(["bash", "-c", command], capture_output=True, env=environment)
    assert (run.returncode, run.stderr) == (0, b"")


@pytest.mark.parametrize("more", [[], ["--json"]])
def test_a_console_that_is_not_utf8(more: list[str]) -> None:
    command = [sys.executable, "-m", "gptloss", "loss", "--input", "I 💙 tea", *more]
    environment = os.environ | {"PYTHONIOENCODING": "cp1252"}
    run = subprocess.run(command, capture_output=True, env=environment)
    assert (run.returncode, run.stderr) == (0, b"")


def test_a_start_token_of_ones_own(capsys: pytest.CaptureFixture[str]) -> None:
    """Which lets the choice of another tool be reproduced; the model itself states none."""
    assert main(["loss", "--input", "tea", "--model", "bigram", "--start-token", "32", "--json"]) == 0
    result = json.loads(capsys.readouterr().out)
    assert result["count"] == 3
    model = load_model("bigram")
    assert result["loss"] == pytest.approx(score(model, " tea").loss)
    assert result["provenance"]["start_token"]["id"] == 32
    assert model.info.bos_id is None


def test_a_start_token_outside_the_vocabulary_is_a_sentence(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["loss", "--input", "tea", "--model", "bigram", "--start-token", "256"]) == 2
    assert capsys.readouterr().err.startswith("gptloss: There is no token 256")
