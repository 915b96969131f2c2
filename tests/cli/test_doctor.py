"""`gptloss doctor` and `gptloss --version`: what the machine is, and what was chosen on it."""

import json
import platform
from pathlib import Path

import pytest
import torch

from gptloss import __version__
from gptloss.cli.main import main
from gptloss.models.fast import kernels, plan, record
from gptloss.models.fast.measure import SIZES, Measured
from gptloss.models.fast.shape import Shape

SHAPE = Shape(256, 512)


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A cache folder where nothing was measured yet, and nothing is asked for."""
    monkeypatch.setenv("GPTLOSS_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path / "hub"))
    monkeypatch.delenv(plan.VARIABLE)
    return tmp_path / "home"


def keep(**speeds: float) -> None:
    """As if these speeds had been measured, in 1e9 a second."""
    found = {kernel: {size: Measured(1e9 * speed, 3e-7) for size in SIZES} for kernel, speed in speeds.items()}
    record.place().parent.mkdir(parents=True, exist_ok=True)
    record.write({SHAPE: found})  # type: ignore[dict-item]


def test_the_version_says_on_what_it_stands(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["--version"])
    assert ended.value.code == 0
    said = capsys.readouterr().out
    assert said == f"gptloss {__version__} (PyTorch {torch.__version__}, Python {platform.python_version()})\n"


def test_as_json(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    keep(torch=100.0, onednn=150.0, packed=200.0)
    assert main(["doctor", "--json"]) == 0
    facts = json.loads(capsys.readouterr().out)
    assert facts["gptloss"] == __version__
    assert facts["packages"]["torch"] == torch.__version__
    assert facts["threads"] == torch.get_num_threads() == 1
    assert facts["bfloat16_gain"] == record.bfloat16_gain() > 0
    assert facts["folders"]["gptloss"]["path"] == str(home)
    assert facts["folders"]["gptloss"]["free"] > 1e6
    assert {"gpt2-untrained", "uniform", "bigram"} <= set(facts["models"])
    assert "gpt2" not in facts["models"]
    assert [row["rows"] for row in facts["kernels"]] == list(SIZES)
    assert {row["chosen"] for row in facts["kernels"]} == {"onednn"}
    assert {row["chosen_for_long_texts"] for row in facts["kernels"]} == {"packed"}


def test_the_table_says_what_each_gains(capsys: pytest.CaptureFixture[str]) -> None:
    keep(torch=100.0, onednn=150.0, packed=200.0)
    assert main(["doctor"]) == 0
    said = capsys.readouterr().out
    line = next(line for line in said.splitlines() if line.startswith("256x512"))
    assert line.split()[:9] == ["256x512", "8", "100", "150", "200", "onednn", "1.50x", "packed", "2.00x"]
    assert record.processor() in said
    assert "GFLOP/s on one thread" in said
    assert f"PyTorch {torch.__version__}" in said or f"torch {torch.__version__}" in said


def test_what_is_asked_for_is_said(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    keep(torch=100.0)
    monkeypatch.setenv(plan.VARIABLE, "openblas")
    main(["doctor"])
    assert "openblas for every matrix" in capsys.readouterr().out
    monkeypatch.setenv(plan.VARIABLE, "mkl")
    assert main(["doctor"]) == 2
    assert "There is no kernel 'mkl'" in capsys.readouterr().err


def test_measure_measures_anew(capsys: pytest.CaptureFixture[str]) -> None:
    keep(torch=1e-3)
    main(["doctor", "--json", "--measure"])
    rows = json.loads(capsys.readouterr().out)["kernels"]
    assert {row["shape"] for row in rows} == {str(SHAPE)}
    assert min(row["gflops"]["torch"] for row in rows) > 0.01
    assert rows[0]["gflops"].keys() == set(kernels.available())


def test_nothing_measured_yet(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []
    found = {"torch": dict.fromkeys(SIZES, Measured(1e11, 3e-7))}
    monkeypatch.setattr(record, "figures", lambda shape: asked.append(shape) or found)
    assert main(["doctor"]) == 0
    assert asked == [Shape(768, 768), Shape(768, 3072), Shape(3072, 768), Shape(768, 50_257)]
    assert "768x50257" in capsys.readouterr().out


def test_where_nothing_can_be_kept(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    home.write_text("a file is no folder")
    assert main(["doctor"]) == 0
    assert "nothing can be kept in the cache folder: torch is used" in capsys.readouterr().out
