import dataclasses
import hashlib
import io
import json
import math
import os
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch

import gptloss.cli.options
import gptloss.cli.text
from gptloss import ScoredBatch, score
from gptloss.cli.main import main
from gptloss.models import LanguageModel, find, load_model
from gptloss.models.architectures.toy import SAMPLE, Uniform
from gptloss.tokens import ByteTokenizer

KEYS = ["command", "model", "file", "window", "stride", "bos", "tokens", "totals", "provenance"]


@pytest.fixture(autouse=True)
def _made_once(monkeypatch: pytest.MonkeyPatch, gpt2: LanguageModel, tiny: LanguageModel) -> None:
    made = {model.info.name: model for model in (gpt2, tiny)}
    monkeypatch.setattr(
        gptloss.cli.options,
        "load_model",
        lambda name, dtype, start_token=None: made[name] if name in made else load_model(name),
    )
    monkeypatch.setattr(
        gptloss.cli.text,
        "find",
        lambda name: SimpleNamespace(tokenizer=lambda: made[name].tokenizer) if name in made else find(name),
    )


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "a text.txt"
    path.write_text("every effort moves you", "utf-8")
    return path


def answer(capsys: pytest.CaptureFixture[str], *arguments: object) -> dict[str, object]:
    assert main(["text", *map(str, arguments), "--json"]) == 0
    return json.loads(capsys.readouterr().out, parse_constant=pytest.fail)


def test_the_tokens_and_the_totals(gpt2: LanguageModel, file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    result = answer(capsys, file)
    assert list(result) == KEYS
    assert result["command"] == "text"
    assert result["model"]["name"] == result["provenance"]["model"]["name"] == "gpt2-untrained"
    checksum = hashlib.sha256(b"every effort moves you").hexdigest()
    assert result["file"] == {"name": str(file), "bytes": 22, "sha256": checksum}
    assert result["provenance"]["convention"] == "whole"
    assert (result["window"], result["stride"], result["bos"]) == (None, None, False)
    first, second, *_ = result["tokens"]
    assert first == {"id": 16833, "text": "every", "bytes": b"every".hex(), "log_proba": None, "rank": None,
                     "entropy": None, "top": None}  # fmt: skip
    assert (second["id"], second["text"], second["bytes"]) == (3626, " effort", b" effort".hex())
    assert second["log_proba"] == pytest.approx(-9.5042, abs=5e-5)
    assert second["rank"] == 258
    ids = torch.tensor([token["id"] for token in result["tokens"]])
    exact = gpt2.head(gpt2.hidden(ids[None, :-1])[0]).double().log_softmax(-1)
    for token, logs, id in zip(result["tokens"][1:], exact, ids[1:], strict=True):
        assert token["log_proba"] == pytest.approx(logs[id].item(), abs=1e-5)
        assert token["rank"] == 1 + (logs > logs[id]).sum().item()
        assert token["entropy"] == pytest.approx(-(logs.exp() * logs).sum().item(), abs=1e-4)
        assert [other["id"] for other in token["top"]] == logs.topk(5).indices.tolist()
        assert [other["log_proba"] for other in token["top"]] == pytest.approx(logs.topk(5).values.tolist(), abs=1e-5)
    assert second["top"][0]["text"] == " Armed"
    nats = -exact[torch.arange(3), ids[1:]].sum().item()
    assert result["totals"] == {
        "loss": pytest.approx(nats / 3, abs=1e-5),
        "perplexity": pytest.approx(math.exp(nats / 3), rel=1e-4),
        "bits_per_byte": pytest.approx(nats / math.log(2) / 17, abs=1e-5),
        "word_perplexity": pytest.approx(math.exp(nats / 3), rel=1e-4),
        "tokens": 3,
        "bytes": 17,
        "words": 3,
    }


def test_after_the_start_token_every_token_counts(
    gpt2: LanguageModel, file: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    result = answer(capsys, file, "--bos")
    assert result["bos"] is True
    assert result["provenance"]["start_token"]["id"] == 50256
    assert [token["text"] for token in result["tokens"]] == ["every", " effort", " moves", " you"]
    assert result["totals"]["bytes"] == 22
    assert result["totals"]["tokens"] == result["totals"]["words"] == 4
    wanted = score(gpt2, "every effort moves you", bos=True).log_probas.tolist()
    assert [token["log_proba"] for token in result["tokens"]] == pytest.approx(wanted, abs=1e-6)


def test_a_text_longer_than_the_context_is_read_in_windows(
    tiny: LanguageModel, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    text = "tea and " * 20
    (tmp_path / "long.txt").write_text(text, "utf-8")
    result = answer(capsys, tmp_path / "long.txt", "--model", "tiny")
    assert (result["window"], result["stride"]) == (16, 8)
    told = result["provenance"]
    assert (told["convention"], told["window"], told["stride"], told["start_token"]) == ("sliding", 16, 8, None)
    ids = [token.id for token in tiny.tokenizer.encode(text)]
    assert [token["id"] for token in result["tokens"]] == ids
    scored = [token["log_proba"] for token in result["tokens"]]
    assert scored[0] is None
    for k in range(1, len(ids)):  # each token after the 8 to 16 that its window has before it
        start = 0 if k <= 16 else min((k - 17) // 8 * 8 + 8, len(ids) - 1 - 16)
        logits = tiny.head(tiny.hidden(torch.tensor([ids[start:k]]))[0])[-1]
        assert scored[k] == pytest.approx(logits.double().log_softmax(-1)[ids[k]].item(), abs=1e-5), k
    assert main(["text", str(tmp_path / "long.txt"), "--model", "tiny"]) == 0
    assert "Read in windows of 16 tokens that move on by 8." in capsys.readouterr().out


@pytest.mark.parametrize(("tokens", "stride"), [(17, None), (18, 8)])
def test_a_text_that_just_fits_is_read_at_once(
    tokens: int, stride: int | None, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "a.txt").write_text("a" + " a" * (tokens - 1), "utf-8")
    result = answer(capsys, tmp_path / "a.txt", "--model", "tiny")
    assert (len(result["tokens"]), result["stride"]) == (tokens, stride)


def test_the_numbers_of_all_tokens_are_taken_once(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Each time costs as much as the text is long."""
    taken: list[int] = []
    of_all = ScoredBatch.top_log_probas.fget
    assert of_all is not None
    monkeypatch.setattr(
        ScoredBatch, "top_log_probas", property(lambda batch: (taken.append(len(batch)), of_all(batch))[1])
    )
    (tmp_path / "a.txt").write_text("x" * 300, "utf-8")
    answer(capsys, tmp_path / "a.txt", "--model", "uniform")
    assert taken == [299]


def test_half_characters_are_bytes(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "a.txt").write_text("a 💙", "utf-8")
    tokens = answer(capsys, tmp_path / "a.txt")["tokens"]
    assert b"".join(bytes.fromhex(token["bytes"]) for token in tokens).decode() == "a 💙"
    assert tokens[1]["text"] == " \ufffd"


def test_the_table_says_what_each_number_is_spread_over(file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["text", str(file)]) == 0
    out = capsys.readouterr().out
    lines = [" ".join(line.split()) for line in out.splitlines()]
    assert lines[1].startswith("weights: made on this machine, SHA-256 ")
    assert "Read at once." in lines
    assert "– every 16833 – – – – –" in lines
    assert "1 ·effort 3626 258 7.45e-05 1 in 13,416 -9.5042 10.6579" in lines
    assert "loss 10.4172 nats per token, over 3 tokens" in lines
    assert "bits_per_byte 2.6521 over 17 bytes" in lines
    assert "word_perplexity 33,428.1 e^(nats per word), over 3 words" in lines


def test_from_standard_input_in_a_process_of_its_own() -> None:
    command = [sys.executable, "-m", "gptloss", "text", "-", "--json", "--model", "uniform"]
    run = subprocess.run(command, input="tea 💙".encode(), capture_output=True, check=True)
    assert run.stderr == b""  # nobody is watching
    assert json.loads(run.stdout)["totals"]["bits_per_byte"] == pytest.approx(8)
    checksum = hashlib.sha256("tea 💙".encode()).hexdigest()
    assert json.loads(run.stdout)["file"] == {"name": "Standard input", "bytes": 8, "sha256": checksum}


def test_progress_for_somebody_who_is_watching(tmp_path: Path) -> None:
    (tmp_path / "long.txt").write_text("x" * 20_000, "utf-8")
    pty, termios = pytest.importorskip("pty"), pytest.importorskip("termios")
    ours, theirs = pty.openpty()
    termios.tcsetwinsize(theirs, (24, 100))
    command = [sys.executable, "-m", "gptloss", "text", str(tmp_path / "long.txt"), "--model", "uniform"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=theirs) as process:
        assert process.stdout is not None
        assert b"over 19,999 tokens" in process.stdout.read()
    seen = os.read(ours, 100_000).decode()
    assert "Scoring" in seen
    assert "19999/19999" in seen


def test_a_word_perplexity_past_every_float_is_null(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "a.txt").write_text("x" * 200, "utf-8")
    assert answer(capsys, tmp_path / "a.txt", "--model", "uniform")["totals"]["word_perplexity"] is None
    assert main(["text", str(tmp_path / "a.txt"), "--model", "uniform"]) == 0
    assert "word_perplexity  1.74e+479" in capsys.readouterr().out
    (tmp_path / "a.txt").write_text("   \n", "utf-8")
    assert answer(capsys, tmp_path / "a.txt", "--model", "uniform")["totals"]["words"] == 0
    assert main(["text", str(tmp_path / "a.txt"), "--model", "uniform"]) == 0
    assert "over 0 words" in capsys.readouterr().out


class Sure(Uniform):
    """Rules out every token but one: the others have probability 0."""

    def head(self, hidden: torch.Tensor) -> torch.Tensor:
        logits = torch.full((len(hidden), 256), -torch.inf)
        logits[:, ord("a")] = 0.0
        return logits


def test_what_a_model_rules_out_is_never_infinity(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    info = dataclasses.replace(load_model("uniform").info, name="sure")
    monkeypatch.setattr(gptloss.cli.options, "load_model", lambda name, dtype, start_token=None: Sure(info))
    (tmp_path / "a.txt").write_text("aaa", "utf-8")
    result = answer(capsys, tmp_path / "a.txt")
    assert result["totals"]["loss"] == 0
    assert [[other["text"] for other in token["top"]] for token in result["tokens"][1:]] == [["a"], ["a"]]
    (tmp_path / "a.txt").write_text("aab", "utf-8")
    assert main(["text", str(tmp_path / "a.txt"), "--json"]) == 2
    assert "sure gives 'b', p12, the log-probability -inf" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("raw", "arguments", "says"),
    [
        (None, [], "There is no file"),
        (b"", [], "is empty; write at least two tokens into it"),
        (b"\xef\xbb\xbf", [], "is empty"),
        (b"every", [], "is one token, so there is no next token to predict; write more, or use --bos"),
        (b"e", ["--model", "uniform"], "no next token to predict; write more.\n"),
        (b"caf\xe9 au lait", [], "is not UTF-8: byte 3 is 0xE9"),
        (b"two words", ["--model", "gtp2"], "There is no model called 'gtp2'"),
        (b"two words", ["--model", "uniform", "--bos"], "has no start token; score without one"),
    ],
)
def test_a_mistake_is_one_sentence_and_status_2(
    raw: bytes | None, arguments: list[str], says: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "a.txt"
    if raw is not None:
        file.write_bytes(raw)
    assert main(["text", str(file), *arguments]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert says in err
    assert err.count("\n") == 1


def test_one_token_is_enough_after_the_start_token(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "a.txt").write_text("every", "utf-8")
    assert answer(capsys, tmp_path / "a.txt", "--bos")["totals"]["tokens"] == 1


def test_a_folder_and_bytes_on_standard_input(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert main(["text", str(tmp_path)]) == 2
    assert "is a folder; name a text file in it" in capsys.readouterr().err
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(b"ab\xff")))
    assert main(["text", "-"]) == 2
    assert "Standard input is not UTF-8: byte 2 is 0xFF" in capsys.readouterr().err
    assert main(["text", "a\0b"]) == 2
    assert "cannot be read" in capsys.readouterr().err


def test_the_story_is_scored_whole(capsys: pytest.CaptureFixture[str]) -> None:
    result = answer(capsys, SAMPLE, "--model", "bigram")
    assert result["window"] is None
    assert result["totals"]["tokens"] == result["totals"]["bytes"] == 3817
    assert result["totals"]["words"] == len(SAMPLE.read_text("utf-8")[1:].split())


@pytest.fixture
def _no_model(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gptloss.cli.options, "load_model", lambda *_, **__: pytest.fail("the weights are loaded"))


@pytest.mark.usefixtures("_no_model")
@pytest.mark.parametrize("breaks", [True, False])
def test_a_text_that_would_fill_the_memory_is_refused_before_it_is_read(
    breaks: bool, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A gigabyte that takes no room on the disk; a tokenizer that needs the whole text must not get it."""
    if not breaks:
        whole = ByteTokenizer()
        monkeypatch.setattr(whole, "breaks", None, raising=False)
        monkeypatch.setattr(whole, "encode", lambda text: pytest.fail("it is cut into tokens"))
        monkeypatch.setattr(gptloss.cli.text, "find", lambda name: SimpleNamespace(tokenizer=lambda: whole))
    with (tmp_path / "long.txt").open("wb") as file:
        file.truncate(1_000_000_000)
    assert main(["text", str(tmp_path / "long.txt"), "--model", "bigram"]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert err == (
        f"gptloss: {tmp_path / 'long.txt'} is too long for gptloss text, which keeps about 10 kB of each token in"
        " memory and takes 100,000 tokens; gptloss corpus --per-token FILE writes those of a text of any length into"
        " a file.\n"
    )


def test_the_longest_text(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(gptloss.cli.text, "MOST", 20_000)
    file = tmp_path / "a.txt"
    file.write_text("tea " * 5_000, "utf-8")
    assert answer(capsys, file, "--model", "bigram")["totals"]["tokens"] == 19_999
    file.write_text("tea " * 5_000 + "a", "utf-8")
    assert main(["text", str(file), "--model", "bigram"]) == 2
    assert "takes 20,000 tokens" in capsys.readouterr().err
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(file.read_bytes())))
    assert main(["text", "-", "--model", "bigram"]) == 2
    assert capsys.readouterr().err.startswith("gptloss: Standard input is too long for gptloss text")


@pytest.mark.parametrize(
    ("ends", "told"), [("\n", ""), ("\r", ""), ("\r\n", "ends 300 lines with CRLF, which counts as it stands")]
)
def test_crlf_counts_and_is_told(ends: str, told: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "a.txt").write_bytes(f"tea{ends}".encode() * 300)
    assert main(["text", str(tmp_path / "a.txt"), "--model", "bigram", "--json"]) == 0
    out, err = capsys.readouterr()
    assert json.loads(out)["totals"]["bytes"] == (3 + len(ends)) * 300 - 1
    assert err.count("\n") == bool(told)
    assert told in err
