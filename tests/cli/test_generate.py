"""`gptloss generate`: the text as it is made, the same as JSON, and mistakes."""

import io
import json
import signal
import subprocess
import sys
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import pytest

import gptloss.cli.main
import gptloss.cli.options
from gptloss.cli.generate import text_pieces
from gptloss.cli.main import main
from gptloss.models import LanguageModel, load_model
from gptloss.prediction.sampling import Sampler, generate
from gptloss.tokens import Token, text_of
from tests.helpers.scoring import CONTINUED, PROMPT

COMMAND = [sys.executable, "-m", "gptloss", "generate"]


@pytest.fixture(autouse=True)
def _made_once(monkeypatch: pytest.MonkeyPatch, gpt2: LanguageModel, tiny: LanguageModel) -> None:
    made = {model.info.name: model for model in (gpt2, tiny)}
    monkeypatch.setattr(
        gptloss.cli.options,
        "load_model",
        lambda name, dtype, start_token=None: made[name] if name in made else load_model(name),
    )


def as_json(capsys: pytest.CaptureFixture[str], *arguments: str) -> dict[str, Any]:
    assert main(["generate", *arguments, "--json"]) == 0
    return json.loads(capsys.readouterr().out, parse_constant=pytest.fail)


def standard_input(monkeypatch: pytest.MonkeyPatch, raw: bytes) -> None:
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(raw)))


def test_the_text_alone_is_printed(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["generate", PROMPT, "--temperature", "0", "--tokens", "10"]) == 0
    assert capsys.readouterr() == (CONTINUED + "\n", "")


def test_json(tiny: LanguageModel, capsys: pytest.CaptureFixture[str]) -> None:
    options = ["--temperature", "1.5", "--top-k", "40", "--top-p", "0.9", "--seed", "7", "--tokens", "5"]
    result = as_json(capsys, PROMPT, "--model", "tiny", *options)
    keys = "command model prompt bos seed temperature top_k top_p text tokens provenance"
    assert list(result) == keys.split()
    assert result["model"] == {"name": "tiny", "vocab_size": 50257, "context_length": 16, "parameters": 0}
    assert [result[key] for key in keys.split()[2:8]] == [PROMPT, False, 7, 1.5, 40, 0.9]
    made = [step for step, _ in zip(generate(tiny, PROMPT, Sampler(1.5, 40, 0.9), seed=7), range(5), strict=False)]
    assert result["text"] == text_of(step.token for step in made)
    for token, step in zip(result["tokens"], made, strict=True):
        assert list(token) == ["id", "text", "bytes", "proba", "log_proba", "rank", "entropy", "top"]
        assert [token["id"], token["text"], bytes.fromhex(token["bytes"])] == [
            step.token.id, step.token.text, step.token.raw
        ]  # fmt: skip
        assert [token["proba"], token["log_proba"], token["rank"], token["entropy"]] == [
            step.proba, step.log_proba, step.rank, step.entropy
        ]  # fmt: skip
        assert [list(entry) for entry in token["top"]] == [["id", "text", "log_proba"]] * 10
        assert [entry["id"] for entry in token["top"]] == [prediction.token.id for prediction in step.top]


def test_a_full_context_is_told(tiny: LanguageModel, capsys: pytest.CaptureFixture[str]) -> None:
    """The model reads 16 tokens: the last token that is made is read by nobody."""
    fits = 17 - len(tiny.tokenizer.encode(PROMPT))
    for more, told in ((0, ("whole", None, None)), (1, ("sliding", 16, 1))):
        result = as_json(capsys, PROMPT, "--model", "tiny", "--tokens", str(fits + more))
        assert tuple(result["provenance"][key] for key in ("convention", "window", "stride")) == told


def test_the_defaults(capsys: pytest.CaptureFixture[str]) -> None:
    result = as_json(capsys, "a")
    assert result["model"]["name"] == "gpt2-untrained"
    assert [result[key] for key in ("bos", "seed", "temperature", "top_k", "top_p")] == [False, 123, 1.0, 0, 1.0]
    assert len(result["tokens"]) == 20


def test_the_text_is_the_json_s(capsys: pytest.CaptureFixture[str]) -> None:
    options = ["a", "--model", "uniform", "--tokens", "200", "--seed", "5"]
    text = as_json(capsys, *options)["text"]
    assert main(["generate", *options]) == 0
    assert capsys.readouterr().out == text + "\n"
    assert main(["generate", *options[:-1], "6"]) == 0
    assert capsys.readouterr().out != text + "\n"


def test_each_piece_is_written_before_the_next_is_made(monkeypatch: pytest.MonkeyPatch) -> None:
    written, seen = io.BytesIO(), []

    def pieces() -> Iterator[str]:
        for piece in ("Tea", " for", " two"):
            yield piece
            seen.append(written.getvalue())

    monkeypatch.setattr("sys.stdout", io.TextIOWrapper(written))
    gptloss.cli.main._print(pieces())
    assert [*seen, written.getvalue()] == [b"Tea", b"Tea for", b"Tea for two", b"Tea for two\n"]


def test_half_a_character_waits_for_the_other_half() -> None:
    raws = [b"Tea ", b"\xf0\x9f", b"\x92", b"\x99!", b"\xe2\x82"]
    pieces = list(text_pieces(SimpleNamespace(token=Token(0, raw)) for raw in raws))  # type: ignore[misc]
    assert pieces == ["Tea ", "", "", "💙!", "", "\ufffd"]


def test_the_prompt_may_come_from_standard_input(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    standard_input(monkeypatch, "Tea für\n".encode())
    piped = as_json(capsys, "-", "--model", "tiny")
    assert piped["prompt"] == "Tea für\n"
    assert as_json(capsys, "Tea für\n", "--model", "tiny") == piped


def test_a_start_token_alone_is_a_prompt(capsys: pytest.CaptureFixture[str]) -> None:
    result = as_json(capsys, "", "--bos", "--tokens", "2")
    assert result["bos"] is True
    assert result["provenance"]["start_token"]["id"] == 50256
    assert len(result["tokens"]) == 2


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ([""], "The prompt is empty"),
        (["a", "--model", "gtp2"], "There is no model called 'gtp2'"),
        (["a", "--model", "bigram", "--bos"], "bigram has no start token"),
        (["a", "--tokens", "0"], "--tokens is 0, so there is nothing to generate; ask for 1 or more."),
        (["a", "--temperature", "-1"], "A temperature of -1.0 cannot be used"),
        (["a", "--temperature", "nan"], "A temperature of nan cannot be used"),
        (["a", "--top-k", "-2"], "A top-k of -2 keeps no token"),
        (["a", "--top-p", "0"], "A top-p of 0.0 is no mass to keep"),
        (["a", "--model", "tiny", "--seed", "-3"], "The seed -3 cannot be used"),
        (["\udcf0"], "half a character"),
        (["-"], "Standard input is not UTF-8: byte 2 is 0xFF"),
    ],
)
@pytest.mark.parametrize("more", [[], ["--json"]])
def test_a_mistake_is_one_sentence_and_status_2(
    arguments: list[str],
    says: str,
    more: list[str],
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    standard_input(monkeypatch, b"ab\xff")
    assert main(["generate", *arguments, *more]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert says in err
    assert err.count("\n") == 1


@pytest.mark.parametrize("arguments", [[], ["a", "--tokens", "many"], ["a", "--temperature", "hot"]])
def test_bad_usage_is_one_sentence_and_status_2(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        main(["generate", *arguments])
    assert caught.value.code == 2
    assert capsys.readouterr().err.count("\n") == 1


def test_ctrl_c_ends_the_line_and_says_so() -> None:
    command = [*COMMAND, "The clock", "--model", "bigram", "--tokens", "1000000"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as run:
        assert run.stdout is not None
        assert len(run.stdout.read(5)) == 5
        assert run.poll() is None
        run.send_signal(signal.SIGINT)
        out, err = run.communicate(timeout=60)
    assert out.endswith(b"\n")
    assert (run.returncode, err) == (130, b"gptloss: stopped.\n")


def test_a_reader_that_leaves_early_is_no_error() -> None:
    command = f"set -o pipefail; {' '.join(COMMAND)} 'The clock' --model bigram --tokens 1000000 | head -c 5"
    run = subprocess.run(["bash", "-c", command], capture_output=True, timeout=60)
    assert (run.returncode, run.stderr, len(run.stdout)) == (0, b"", 5)
