"""A run that goes on computes as it began: the same weights, kernels and threads, or a sentence."""

import json
import shutil
from pathlib import Path
from typing import Any

import pyarrow.parquet as parquet
import pytest
import torch
from safetensors.torch import load_file, save_file
from transformers import GPT2Config, GPT2LMHeadModel

from gptloss.cli.main import main
from gptloss.models.fast import kernels, plan, record
from tests.helpers.commands import answer, refusal


@pytest.fixture(autouse=True)
def told(monkeypatch: pytest.MonkeyPatch) -> None:
    """What `--kernel` says to this process is taken back."""
    monkeypatch.setenv(plan.VARIABLE, "torch")


TEXT = "Every effort moves you, and the rest of it is only a matter of time. " * 40


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A GPT-2 of which some matrices are large enough for a choice of kernels."""
    place = tmp_path_factory.mktemp("checkpoint") / "model"
    torch.manual_seed(0)
    GPT2LMHeadModel(GPT2Config(n_layer=1, n_embd=256, n_head=4, n_positions=64)).save_pretrained(place)
    return place


@pytest.fixture
def text(tmp_path: Path) -> Path:
    (tmp_path / "text.txt").write_text(TEXT)
    return tmp_path / "text.txt"


def half(log: Path) -> None:
    """Take the second half of a log off, as if the run had been stopped there."""
    lines = log.read_bytes().splitlines(keepends=True)
    log.write_bytes(b"".join(lines[: 1 + (len(lines) - 1) // 2]))


def header(log: Path) -> dict[str, Any]:
    return dict(json.loads(log.read_bytes().splitlines()[0]))


NUMBERS = ("log_likelihood", "loss", "tokens_scored", "files")


def numbers(result: dict[str, Any]) -> list[Any]:
    return [result[key] for key in NUMBERS]


@pytest.mark.parametrize("kernel", kernels.available())
def test_the_kernels_of_the_log_are_taken_on(
    kernel: str, folder: Path, text: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Begun with one kernel, gone on where another would be chosen: the digits are those of the first."""
    log = text.with_name("log")
    whole = answer(capsys, text, "--model", folder, "--resume", log, "--kernel", kernel)
    used = whole["provenance"]["kernels"]
    assert (used != {}) == (kernel != "torch")
    half(log)
    monkeypatch.delenv(plan.VARIABLE)  # as main left it
    monkeypatch.setattr(plan, "kernels", lambda shapes, pack=False: dict.fromkeys(shapes, ((8, "onednn"),)))
    again = answer(capsys, text, "--model", folder, "--resume", log)
    assert again["provenance"]["kernels"] == used
    assert numbers(again) == numbers(whole)


def test_another_kernel_that_is_asked_for_is_refused(
    folder: Path, text: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    log = text.with_name("log")
    answer(capsys, text, "--model", folder, "--resume", log, "--kernel", "torch")
    said = refusal(capsys, text, "--model", folder, "--resume", log, "--kernel", "openblas")
    assert "it was computed with other kernels; leave --kernel and GPTLOSS_KERNEL out, or name another file" in said
    answer(capsys, text, "--model", "bigram", "--resume", text.with_name("other"), "--kernel", "torch")
    answer(capsys, text, "--model", "bigram", "--resume", text.with_name("other"), "--kernel", "openblas")


def test_a_kernel_that_cannot_be_had_is_a_sentence(
    folder: Path, text: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    log = text.with_name("log")
    answer(capsys, text, "--model", folder, "--resume", log, "--kernel", "openblas")
    monkeypatch.setenv(plan.VARIABLE, "torch")
    monkeypatch.setattr(plan, "available", lambda: ("torch", "onednn"))
    said = refusal(capsys, text, "--model", folder, "--resume", log)
    assert "This machine does not have the kernel 'openblas'; it has torch, onednn." in said


def test_the_threads_of_the_log_are_taken_on(text: Path, capsys: pytest.CaptureFixture[str]) -> None:
    log = text.with_name("log")
    try:
        torch.set_num_threads(2)
        begun = answer(capsys, text, "--model", "bigram", "--window", 64, "--resume", log)
        half(log)
        torch.set_num_threads(1)
        again = answer(capsys, text, "--model", "bigram", "--window", 64, "--resume", log)
        assert begun["provenance"]["threads"] == again["provenance"]["threads"] == header(log)["threads"] == 2
        said = refusal(capsys, text, "--model", "bigram", "--window", 64, "--resume", log, "--threads", 1)
        assert "it was computed on 2 threads and now there are 1; leave --threads out, or name another file." in said
    finally:
        torch.set_num_threads(1)


def test_weights_that_changed_a_little_are_noticed(
    folder: Path, text: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """By 3e-4 of one number: no sentence's loss would show it, the files' checksums do."""
    changed = tmp_path / "changed"
    shutil.copytree(folder, changed)
    log = tmp_path / "log"
    answer(capsys, text, "--model", changed, "--resume", log)
    tensors = load_file(changed / "model.safetensors")
    tensors["transformer.wpe.weight"][0, 0] += 3e-4
    save_file(tensors, changed / "model.safetensors")
    said = refusal(capsys, text, "--model", changed, "--resume", log)
    assert f"the files of {changed} were others, by their SHA-256; name another file." in said


def test_the_same_folder_by_another_path_is_the_same(
    folder: Path, text: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    log, copy = tmp_path / "log", tmp_path / "elsewhere"
    whole = answer(capsys, text, "--model", folder, "--resume", log)
    shutil.copytree(folder, copy)
    half(log)
    assert numbers(answer(capsys, text, "--model", copy, "--resume", log)) == numbers(whole)
    assert numbers(answer(capsys, text, "--model", f"{folder}/../model", "--resume", log)) == numbers(whole)


def test_float64_goes_on_in_float64(folder: Path, text: Path, capsys: pytest.CaptureFixture[str]) -> None:
    log, options = text.with_name("log"), ("--model", folder, "--precision", "float64")
    plain = answer(capsys, text, *options)
    assert plain["precision"] == plain["provenance"]["precision"] == "float64"
    whole = answer(capsys, text, *options, "--resume", log)
    half(log)
    assert numbers(answer(capsys, text, *options, "--resume", log)) == numbers(whole) == numbers(plain)
    assert "its precision is float64 and now it is float32" in refusal(
        capsys, text, "--model", folder, "--resume", log
    )
    usual = answer(capsys, text, "--model", folder)
    assert usual["loss"] == pytest.approx(plain["loss"], abs=1e-6)
    assert usual["loss"] != plain["loss"]


def test_the_parquet_file_has_the_precision_and_says_where_it_comes_from(
    folder: Path, text: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for precision in ("float32", "float64"):
        file = text.with_name(precision)
        result = answer(capsys, text, "--model", folder, "--precision", precision, "--per-token", file)
        table = parquet.read_table(file)
        assert str(table.schema.field("log_proba").type) == {"float32": "float", "float64": "double"}[precision]
        assert sum(table["log_proba"].to_pylist()) == pytest.approx(result["log_likelihood"], rel=1e-6)
        assert json.loads(parquet.read_metadata(file).metadata[b"provenance"]) == result["provenance"]


def test_the_log_of_another_processor_is_refused(text: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Its last digits would be others from there on."""
    log = text.with_name("log")
    answer(capsys, text, "--model", "bigram", "--window", 64, "--resume", log)
    log.write_bytes(log.read_bytes().replace(json.dumps(header(log)["processor"]).encode(), b'"Another 9000"', 1))
    said = refusal(capsys, text, "--model", "bigram", "--window", 64, "--resume", log)
    assert "its processor is Another 9000 and now it is" in said


@pytest.mark.parametrize("gain", [0.08, 1.9])
def test_where_bfloat16_is_slower_it_is_said(
    gain: float, text: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, folder: Path
) -> None:
    monkeypatch.setattr(record, "bfloat16_gain", lambda: gain)
    assert main(["corpus", str(text), "--model", str(folder), "--precision", "bfloat16"]) == 0
    told = (
        "multiplies 12.5 times slower in bfloat16 than in float32; leave --precision out" in capsys.readouterr().err
    )
    assert told is (gain < 1)


@pytest.mark.parametrize("options", [["--kernel", "mkl"], ["--threads", "0"], ["--threads", "100000"]])
def test_what_a_machine_cannot_do_is_a_sentence(
    options: list[str], text: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    said = refusal(capsys, text, "--model", "bigram", *options)
    assert options[1] in said
    assert "; use " in said
