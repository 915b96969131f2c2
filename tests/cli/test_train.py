"""`gptloss train`: a model from a text, its curve on the way, stopped and gone on with."""

import json
import signal
import subprocess
import sys
from itertools import takewhile
from pathlib import Path
from typing import Any

import pytest

from gptloss import load_model, score
from gptloss.cli.main import main
from gptloss.models.checkpoints import weights
from tests.helpers.driver import ROOT

TIMES = {"seconds", "tokens_per_second"}


@pytest.fixture
def text(tmp_path: Path) -> Path:
    """A text of 700 characters: a small context and batch suit it."""
    file = tmp_path / "clock.txt"
    file.write_text((ROOT / "gptloss" / "data" / "sample.txt").read_text("utf-8")[:700], "utf-8")
    return file


def train(capsys: pytest.CaptureFixture[str], *options: object) -> list[dict[str, Any]]:
    """The JSON lines of a run that ends well."""
    assert main(["train", *map(str, options), "--json"]) == 0, capsys.readouterr().err
    return [json.loads(line) for line in capsys.readouterr().out.splitlines()]


def refused(capsys: pytest.CaptureFixture[str], *options: object) -> str:
    """The sentence of a run that does not begin."""
    try:
        status = main(["train", *map(str, options)])
    except SystemExit as end:
        status = int(end.code or 0)
    said = capsys.readouterr()
    assert (status, said.out) == (2, "")
    return said.err


def curve(folder: Path) -> list[dict[str, Any]]:
    """The snapshots of a run without what depends on the time."""
    snapshots = json.loads((folder / "run.json").read_text())["snapshots"]
    return [{name: value for name, value in snapshot.items() if name not in TIMES} for snapshot in snapshots]


def test_lines_of_json_then_a_summary_and_a_model(
    capsys: pytest.CaptureFixture[str], text: Path, tmp_path: Path
) -> None:
    *looks, summary = train(
        capsys, text, "--steps", 40, "--out", tmp_path / "out", "--watch", "the clock", "--seed", 7
    )
    assert [look["step"] for look in looks] == [0, 20, 40]
    assert list(looks[0])[:6] == ["step", "epoch", "tokens", "train_loss", "val_loss", "seconds"]
    assert summary["command"] == "train"
    assert summary["recipe"]["seed"] == 7
    assert summary["val_loss"] == looks[-1]["val_loss"] < summary["baselines"]["uniform"] - 0.8
    assert summary["best_val_loss"] == min(look["val_loss"] for look in looks)
    batch = score(load_model(tmp_path / "out"), "the clock")
    assert batch.log_probas.tolist() == pytest.approx(looks[-1]["watched"][0]["log_probas"], abs=1e-4)


def test_a_table_for_the_eye(capsys: pytest.CaptureFixture[str], text: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    assert main(["train", str(text), "--steps", "25", "--out", str(out)]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].startswith("3 layers, 128 wide, ")
    assert "unigram" in lines[2]
    assert [line.split()[0] for line in lines[4:8]] == ["step", "0", "20", "25"]
    assert lines[-1] == f"The model is in {out}; use it with --model {out}"


def test_resume_is_the_unbroken_curve(capsys: pytest.CaptureFixture[str], text: Path, tmp_path: Path) -> None:
    train(capsys, text, "--steps", 40, "--out", tmp_path / "whole")
    # The learning rate follows the number of steps, so the first part has to know it too.
    started = [
        sys.executable,
        "-m",
        "gptloss",
        "train",
        str(text),
        "--steps",
        "40",
        "--out",
        str(tmp_path / "killed"),
    ]
    command = [*started, "--save-every", "1", "--json", "--threads", "1"]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as run:
        assert run.stdout is not None
        seen = list(takewhile(lambda line: json.loads(line)["step"] < 20, run.stdout))
        run.kill()
    assert len(seen) == 1
    assert not (tmp_path / "killed" / "model.safetensors").exists()
    *looks, summary = train(capsys, text, "--out", tmp_path / "killed", "--resume")
    assert 19 <= summary["first_step"] <= 40
    assert looks[-1]["step"] == summary["steps"] == 40
    assert curve(tmp_path / "killed") == curve(tmp_path / "whole")


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_stopped_it_keeps_what_it_has(text: Path, tmp_path: Path, number: signal.Signals) -> None:
    out = tmp_path / "out"
    command = [sys.executable, "-m", "gptloss", "train", str(text), "--steps", "100000", "--out", str(out), "--json"]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as run:
        assert run.stdout is not None
        for _ in range(2):
            run.stdout.readline()
        run.send_signal(number)
        _, said = run.communicate()
    assert run.returncode == 130
    assert "gptloss: stopped after step " in said
    assert "Traceback" not in said
    assert load_model(out).info.context_length == 35
    assert len(list(out.glob("checkpoint-*"))) == 1


def test_what_cannot_be_trained_on_is_a_sentence(
    capsys: pytest.CaptureFixture[str], text: Path, tmp_path: Path
) -> None:
    out = ["--out", tmp_path / "out"]
    for content, said in [("", "needs"), ("20 characters of it.", "needs"), ("é", "needs")]:
        (tmp_path / "short.txt").write_text(content, "utf-8")
        assert said in refused(capsys, tmp_path / "short.txt", *out)
    (tmp_path / "latin.txt").write_bytes(b"caf\xe9")
    assert "is not UTF-8" in refused(capsys, tmp_path / "latin.txt", *out)
    assert "cannot be read (No such file or directory)" in refused(capsys, tmp_path / "none.txt", *out)
    assert "steps is 0" in refused(capsys, text, "--steps", 0, *out)
    assert "learning_rate is -1.0" in refused(capsys, text, "--learning-rate", -1, *out)
    assert "--save-every is 0" in refused(capsys, text, "--save-every", 0, *out)
    assert "invalid choice: 'big'" in refused(capsys, text, "--preset", "big", *out)
    assert "has no checkpoint to go on from" in refused(capsys, text, "--resume", *out)
    assert "so --seed has no place here" in refused(capsys, text, "--resume", "--seed", 1, *out)


def test_a_loss_that_is_no_number(capsys: pytest.CaptureFixture[str], text: Path, tmp_path: Path) -> None:
    status = main(["train", str(text), "--learning-rate", "100", "--steps", "900", "--out", str(tmp_path / "out")])
    said = capsys.readouterr()
    assert (status, said.err.count("\n")) == (2, 1)
    assert "is no number: with a learning rate of 100 the weights have grown without bound; try 10." in said.err


def test_a_full_disk_is_one_sentence(
    capsys: pytest.CaptureFixture[str], text: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: Any) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(weights, "save", full)
    assert main(["train", str(text), "--steps", "2", "--out", str(tmp_path / "out")]) == 2
    assert capsys.readouterr().err.startswith("gptloss: The disk is full: the run cannot be written to")
    assert not (tmp_path / "out" / ".part").exists()
