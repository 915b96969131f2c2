"""`gptloss corpus`: the numbers and keys, a run that is stopped or killed, and one sentence for what is wrong."""

import hashlib
import io
import itertools
import json
import math
import re
import subprocess
import sys
from pathlib import Path

import pytest

from gptloss.cli.main import main
from gptloss.models import REGISTRY, DType, load_model
from gptloss.models.architectures.toy import Bigram
from tests.helpers.commands import END, FRONT, KEYS, SAMPLE, TEXT, answer, refusal, same
from tests.helpers.driver import ROOT


def test_the_keys_and_the_numbers(capsys: pytest.CaptureFixture[str]) -> None:
    result = answer(capsys, SAMPLE)
    assert list(result) == [*FRONT, *KEYS, *END]
    raw = TEXT.encode()
    table = Bigram(REGISTRY["bigram"].info).log_probas.double()
    wanted = sum(table[one, other].item() for one, other in itertools.pairwise(raw))
    assert (result["convention"], result["window"], result["stride"]) == ("rolling", 8192, 8192)
    assert (result["bos"], result["precision"]) == (False, "float32")
    assert result["tokens_scored"] == result["bytes"] == len(raw) - 1
    assert result["words"] == len(TEXT.split())
    assert result["log_likelihood"] == pytest.approx(wanted, rel=1e-6)
    assert result["loss"] == -result["log_likelihood"] / (len(raw) - 1)
    assert result["perplexity"] == pytest.approx(math.exp(result["loss"]))
    assert result["bits_per_byte"] == pytest.approx(result["loss"] / math.log(2))
    assert result["loss_stderr"] is None
    assert result["tokens_per_second"] == pytest.approx(result["tokens_scored"] / result["seconds"])
    assert 50 < result["peak_rss_mb"] < 50_000


def test_a_split_has_the_same_keys_for_each_part(capsys: pytest.CaptureFixture[str]) -> None:
    result = answer(capsys, SAMPLE, "--split", 0.9, "--convention", "book", "--window", 100)
    assert list(result) == [*FRONT, *KEYS, "training", "validation", *END]
    parts = [result["training"], result["validation"]]
    assert [list(part) for part in parts] == [KEYS, KEYS]
    cut = int(0.9 * len(TEXT))
    sizes = [len(TEXT[:cut].encode()), len(TEXT[cut:].encode())]
    assert [part["tokens_scored"] for part in parts] == [(size - 1) // 100 * 100 for size in sizes]
    assert result["tokens_scored"] == sum(part["tokens_scored"] for part in parts)
    assert result["log_likelihood"] == pytest.approx(sum(part["log_likelihood"] for part in parts))


def test_several_files_are_texts_of_their_own(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "a.txt").write_text(TEXT[:500], "utf-8")
    (tmp_path / "b.txt").write_text(TEXT[500:1300], "utf-8")
    alone = [answer(capsys, tmp_path / name) for name in ("a.txt", "b.txt")]
    both = answer(capsys, tmp_path / "a.txt", tmp_path / "b.txt")
    for key in ("tokens_scored", "words", "bytes", "log_likelihood"):
        assert both[key] == pytest.approx(alone[0][key] + alone[1][key])
    assert both["loss"] != pytest.approx((alone[0]["loss"] + alone[1]["loss"]) / 2, abs=1e-6), "weighted by tokens"


@pytest.mark.parametrize("split", [[], ["--split", 0.7]])
def test_each_file_has_its_numbers_and_they_add_up(
    split: list[object], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for name, text in (("a.txt", TEXT[:500]), ("b.txt", "\ufeff" + TEXT[500:1300]), ("c.txt", "tea" * 400)):
        (tmp_path / name).write_text(text, "utf-8")
    names = [str(tmp_path / name) for name in ("a.txt", "b.txt", "a.txt", "c.txt")]
    result = answer(capsys, *names, "--window", 50, *split)
    assert [file["name"] for file in result["files"]] == names
    for file in result["files"]:
        raw = Path(file["name"]).read_bytes()
        assert (file["bytes"], file["sha256"]) == (len(raw), hashlib.sha256(raw).hexdigest())
        alone = answer(capsys, file["name"], "--window", 50, *split)
        wholes = {part: alone[part] for part in ("training", "validation")} if split else {"text": alone}
        assert list(file["parts"]) == list(wholes)
        for part, numbers in file["parts"].items():
            assert list(numbers) == KEYS[4:13]
            assert numbers == {key: wholes[part][key] for key in numbers}, "to the last digit"
    parts = [numbers for file in result["files"] for numbers in file["parts"].values()]
    for key in ("tokens_scored", "words", "bytes"):
        assert sum(part[key] for part in parts) == result[key]
    assert math.fsum(part["log_likelihood"] for part in parts) == pytest.approx(result["log_likelihood"], rel=1e-12)
    assert result["skipped"] == []


def test_it_says_what_scored_and_how(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    result = answer(capsys, SAMPLE, "--convention", "strided", "--window", 64)
    assert result["command"] == "corpus"
    assert result["model"] == REGISTRY["bigram"].info.as_json()
    told = result["provenance"]
    assert told["model"]["weights"]["sha256"] == hashlib.sha256(SAMPLE.read_bytes()).hexdigest()
    assert (told["convention"], told["window"], told["stride"]) == ("strided", 64, 32)
    assert told["start_token"] is None
    (tmp_path / "a.txt").write_text("every effort moves you", "utf-8")
    told = answer(capsys, tmp_path / "a.txt", "--model", "gpt2-untrained")["provenance"]
    assert told["start_token"] == {"id": 50256, "text": "<|endoftext|>"}


@pytest.mark.parametrize(("text", "more"), [("tea for two", 0), ("\n tea for two", 1), ("\ttea  for two \n", 2)])
def test_lm_evaluation_harness_has_a_word_more_for_blanks_at_either_end(
    text: str, more: int, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Its `word_count` is `len(re.split(r"\\s+", text))`."""
    (tmp_path / "a.txt").write_text(text, "utf-8")
    words = answer(capsys, tmp_path / "a.txt", "--model", "gpt2-untrained")["words"]
    assert words == 3 == len(re.split(r"\s+", text)) - more
    with pytest.raises(SystemExit):
        main(["corpus", "--help"])
    told = " ".join(capsys.readouterr().out.split())
    assert "lm-evaluation-harness counts one word more for blanks at the beginning of a text and one more" in told


def test_the_conventions_and_their_numbers(capsys: pytest.CaptureFixture[str]) -> None:
    strided = answer(capsys, SAMPLE, "--convention", "strided", "--window", 64)
    assert (strided["window"], strided["stride"], strided["tokens_scored"]) == (64, 32, len(TEXT.encode()) - 1)
    book = answer(capsys, SAMPLE, "--convention", "book", "--window", 64)
    assert book["tokens_scored"] % 64 == 0
    assert "bigram has no start token" in refusal(capsys, SAMPLE, "--bos")
    assert "use 2 to 8,192, its context" in refusal(capsys, SAMPLE, "--window", 9_000)
    assert "leave it out, or use strided" in refusal(capsys, SAMPLE, "--stride", 5)
    assert "leaves one part empty" in refusal(capsys, SAMPLE, "--split", 1)


def test_a_start_token_can_be_left_out(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "a.txt").write_text("every effort moves you", "utf-8")
    with_it = answer(capsys, tmp_path / "a.txt", "--model", "gpt2-untrained")
    without = answer(capsys, tmp_path / "a.txt", "--model", "gpt2-untrained", "--no-bos")
    assert (with_it["bos"], with_it["tokens_scored"], with_it["words"]) == (True, 4, 4)
    assert (without["bos"], without["tokens_scored"], without["words"]) == (False, 3, 3)


def test_the_table_says_the_convention(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["corpus", str(SAMPLE), "--model", "bigram", "--split", "0.5", "--window", "200"]) == 0
    out, err = capsys.readouterr()
    assert err == ""
    lines = out.splitlines()
    assert lines[1].startswith("weights: made on this machine, SHA-256 ")
    assert lines[2].startswith("rolling: windows of 200 tokens, one after the other, the last one filled leftwards")
    assert lines.index("training") < lines.index("validation")
    assert sum(line.startswith("loss ") for line in lines) == 2
    assert len({line.index("nats per token") for line in lines if "nats per token" in line}) == 1
    assert not any(line != line.rstrip() for line in lines)


def test_bfloat16_says_what_it_costs(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "a.txt").write_text(TEXT[:300], "utf-8")
    exact = answer(capsys, tmp_path / "a.txt", "--model", "gpt2-untrained")
    options = (tmp_path / "a.txt", "--model", "gpt2-untrained", "--precision", "bfloat16")
    lower = answer(capsys, *options)
    assert list(lower) == [*FRONT, *KEYS, "deviation", "deviation_tokens", *END]
    assert lower["precision"] == lower["provenance"]["precision"] == "bfloat16"
    assert lower["deviation_tokens"] == lower["tokens_scored"] == exact["tokens_scored"]
    assert lower["deviation"] == pytest.approx(lower["loss"] - exact["loss"], abs=1e-5)
    assert 0 < abs(lower["deviation"]) < 0.01
    assert main(["corpus", *map(str, options)]) == 0
    assert f"{lower['deviation']:+.5f} nats per token against float32" in capsys.readouterr().out
    assert "bigram" in refusal(capsys, SAMPLE, "--precision", "bfloat16")


def test_every_token_in_a_parquet_file(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    parquet = pytest.importorskip("pyarrow.parquet")
    (tmp_path / "a.txt").write_text(TEXT[:900] + "é😀", "utf-8")
    (tmp_path / "b.txt").write_text(TEXT[900:1500], "utf-8")
    files = [tmp_path / "a.txt", tmp_path / "b.txt"]
    result = answer(capsys, *files, "--split", 0.9, "--window", 50, "--per-token", tmp_path / "all.parquet")
    lines = parquet.read_table(tmp_path / "all.parquet").to_pylist()
    assert list(lines[0]) == ["file", "part", "position", "id", "bytes", "log_proba", "window"]
    assert len(lines) == result["tokens_scored"]
    assert sum(line["log_proba"] for line in lines) == pytest.approx(result["log_likelihood"])
    for file in files:
        text = file.read_text("utf-8")
        for part, whole in (("training", text[: int(0.9 * len(text))]), ("validation", text[int(0.9 * len(text)) :])):
            mine = [line for line in lines if (line["file"], line["part"]) == (str(file), part)]
            assert [line["position"] for line in mine] == list(range(1, len(whole.encode())))
            assert b"".join(line["bytes"] for line in mine) == whole.encode()[1:]
            assert [line["window"] for line in mine] == [(line["position"] - 1) // 50 for line in mine]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.txt", "all.parquet", "b.txt"]


def test_a_parquet_file_that_cannot_be_written(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("pyarrow")
    sentence = refusal(capsys, SAMPLE, "--per-token", tmp_path / "no" / "a.parquet")
    assert "a.parquet cannot be written" in sentence
    (tmp_path / "short.txt").write_text("short", "utf-8")
    refusal(capsys, tmp_path / "short.txt", "--convention", "book", "--per-token", tmp_path / "a.parquet")
    assert [path.name for path in tmp_path.iterdir()] == ["short.txt"], "nothing is left of a run that failed"


def test_files_that_cannot_be_scored(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for name, raw in (("empty.txt", b""), ("bad.txt", b"tea \xff"), ("short.txt", b"tea and milk")):
        (tmp_path / name).write_bytes(raw)
    assert "empty.txt: The text is empty" in refusal(capsys, tmp_path / "empty.txt")
    assert "bad.txt is not UTF-8: byte 4 is 0xFF" in refusal(capsys, tmp_path / "bad.txt")
    assert "is a folder; name a text file in it" in refusal(capsys, tmp_path)
    assert "There is no file" in refusal(capsys, SAMPLE, tmp_path / "gone.txt")
    sentence = refusal(capsys, tmp_path / "short.txt", "--convention", "book", "--window", 20)
    assert "short.txt: The text has 12 tokens, and book needs 21 for one window of 20" in sentence


def test_a_part_that_is_too_short_is_named_and_the_other_is_told(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "a.txt").write_text(TEXT[:100], "utf-8")
    how = ["--model", "bigram", "--convention", "book", "--window", "20", "--split", "0.9"]
    assert main(["corpus", str(tmp_path / "a.txt"), *how, "--json"]) == 0
    out, err = capsys.readouterr()
    assert "a.txt, validation: The text has" in err
    result = json.loads(out)
    assert result["validation"] is None
    assert result["training"]["tokens_scored"] == 80
    assert main(["corpus", str(tmp_path / "a.txt"), *how]) == 0
    assert "validation: nothing is scored" in capsys.readouterr().out


def test_texts_that_are_too_short_in_both_parts_are_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "a.txt").write_text(TEXT[:15], "utf-8")
    sentence = refusal(capsys, tmp_path / "a.txt", "--convention", "book", "--window", 20, "--split", 0.9)
    assert "a.txt, validation: The text has" in sentence


@pytest.mark.parametrize("folder", ["", "."])
def test_tokens_are_not_written_to_a_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], folder: str
) -> None:
    monkeypatch.chdir(tmp_path)
    assert "is a folder; name a file in it" in refusal(capsys, SAMPLE, "--per-token", folder or tmp_path)


def test_a_damaged_log_is_one_sentence(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    log = tmp_path / "log"
    answer(capsys, SAMPLE, "--window", 64, "--resume", log)
    first, rest = log.read_bytes().split(b"\n", 1)
    log.write_bytes(first[:-9] + b"\n" + rest)
    assert "is damaged in line 1; delete it" in refusal(capsys, SAMPLE, "--window", 64, "--resume", log)


def test_one_empty_file_among_others_is_told_and_passed_over(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "empty.txt").write_text("", "utf-8")
    alone = answer(capsys, SAMPLE)
    assert main(["corpus", str(tmp_path / "empty.txt"), str(SAMPLE), "--model", "bigram", "--json"]) == 0
    out, err = capsys.readouterr()
    result = json.loads(out)
    assert same(result, alone)
    assert result["skipped"] == [
        {
            "file": str(tmp_path / "empty.txt"),
            "part": "text",
            "reason": "The text is empty; choose one with a few sentences.",
        }
    ]
    assert [file["parts"]["text"] is None for file in result["files"]] == [True, False]
    assert main(["corpus", str(tmp_path / "empty.txt"), str(SAMPLE), "--model", "bigram"]) == 0
    assert "skipped 1 of 2 texts, empty or too short" in " ".join(capsys.readouterr().out.split())
    assert main(["corpus", str(SAMPLE), "--model", "bigram"]) == 0
    assert "skipped" not in capsys.readouterr().out
    assert err == f"gptloss: {tmp_path / 'empty.txt'}: The text is empty; choose one with a few sentences.\n"


def test_a_file_that_vanishes_while_others_are_scored(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "a.txt").write_text(TEXT[:200], "utf-8")
    (tmp_path / "b.txt").write_text(TEXT[:200], "utf-8")

    def load(name: str, dtype: DType, start_token: int | None) -> object:
        (tmp_path / "b.txt").rename(tmp_path / "c.txt")
        return load_model(name, dtype=dtype)

    monkeypatch.setattr("gptloss.cli.options.load_model", load)
    assert "There is no file" in refusal(capsys, tmp_path / "a.txt", tmp_path / "b.txt")


def test_standard_input_and_pipes(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    wanted = answer(capsys, SAMPLE, "--split", 0.5)
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(SAMPLE.read_bytes())))
    piped = answer(capsys, "-", "--split", 0.5)
    assert same(piped, wanted)
    assert [file.pop("name") for file in piped["files"] + wanted["files"]] == ["Standard input", str(SAMPLE)]
    assert piped["files"] == wanted["files"]
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(b"ab\xff")))
    assert "Standard input is not UTF-8: byte 2 is 0xFF" in refusal(capsys, "-")


@pytest.mark.skipif(not Path("/dev/fd").exists(), reason="there are no pipes with names here")
def test_a_pipe_can_be_split(capsys: pytest.CaptureFixture[str]) -> None:
    wanted = answer(capsys, SAMPLE, "--split", 0.5)
    command = f"'{sys.executable}' -m gptloss corpus <(cat '{SAMPLE}') --split 0.5 --model bigram --json"
    run = subprocess.run(["bash", "-c", command], capture_output=True, text=True, check=True, cwd=ROOT)
    assert same(json.loads(run.stdout), wanted)


# A run that is stopped
