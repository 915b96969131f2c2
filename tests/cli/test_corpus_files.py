"""What `gptloss corpus` may write: no file that it reads, none of somebody else's, none that another run writes."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from gptloss.cli.main import main
from gptloss.corpus.parquet import PerToken
from gptloss.errors import GptlossError
from tests.helpers.commands import SAMPLE, TEXT, answer, refusal
from tests.helpers.driver import ROOT

parquet = pytest.importorskip("pyarrow.parquet")


@pytest.fixture
def text(tmp_path: Path) -> Path:
    file = tmp_path / "a.txt"
    file.write_text(TEXT[:400], "utf-8")
    return file


@pytest.fixture
def _no_model(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is wrong with a file is said before a model is loaded."""
    monkeypatch.setattr("gptloss.cli.options.load_model", lambda *_, **__: pytest.fail("a model is loaded"))


def link(folder: Path, text: Path, how: str) -> Path:
    """Another name of the text."""
    other = folder / "other"
    if how == "hard":
        other.hardlink_to(text)
    elif how == "symbolic":
        other.symlink_to(text)
    return other if how != "dots" else folder / ".." / folder.name / text.name


@pytest.mark.usefixtures("_no_model")
@pytest.mark.parametrize("option", ["--per-token", "--resume"])
@pytest.mark.parametrize("how", ["dots", "hard", "symbolic"])
@pytest.mark.parametrize("more", [[], ["--overwrite"]])
def test_no_output_is_a_text(
    option: str, how: str, more: list[str], text: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    text.write_text("", "utf-8")  # an empty file would do as a log
    other = link(tmp_path, text, how)
    sentence = refusal(capsys, SAMPLE, text, option, other, *more)
    assert sentence == f"{option} {other} is the text {text}, which would be lost; name another file."
    assert text.read_bytes() == b""


@pytest.mark.usefixtures("_no_model")
def test_no_output_is_another(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    one, other = tmp_path / "x", tmp_path / "." / ".." / tmp_path.name / "x"
    sentence = refusal(capsys, SAMPLE, "--per-token", one, "--resume", other)
    assert sentence == f"--resume {other} and --per-token {one} are one file; name two."
    begun = tmp_path / "x.unfinished"
    assert "are one file" in refusal(capsys, SAMPLE, "--per-token", one, "--resume", begun)
    begun.write_text("a text", "utf-8")
    assert "is the text" in refusal(capsys, begun, "--per-token", one)
    assert list(tmp_path.iterdir()) == [begun]


@pytest.mark.skipif(not Path("/dev/stdin").exists(), reason="standard input has no name here")
def test_standard_input_is_no_output(text: Path) -> None:
    command = [
        sys.executable,
        "-m",
        "gptloss",
        "corpus",
        "-",
        "--model",
        "bigram",
        "--overwrite",
        "--per-token",
        text,
    ]
    with text.open("rb") as opened:
        run = subprocess.run(command, stdin=opened, capture_output=True, text=True, cwd=ROOT)
    assert run.returncode == 2
    assert f"{text} is the text /dev/stdin, which would be lost" in run.stderr
    assert text.read_text("utf-8") == TEXT[:400]


@pytest.mark.usefixtures("_no_model")
@pytest.mark.parametrize("name", ["mine.parquet", "new.parquet.unfinished"])
def test_a_file_of_somebody_else_s_stays(
    name: str, tmp_path: Path, text: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for content in (b"dear diary", b"PAR") if name.endswith("unfinished") else (b"", b"dear diary", b"PAR1"):
        (tmp_path / name).write_bytes(content)
        sentence = refusal(capsys, text, "--per-token", tmp_path / name.removesuffix(".unfinished"))
        told = "was not written by gptloss corpus; name another file, or replace it with --overwrite."
        assert sentence == f"{tmp_path / name} {told}"
        assert (tmp_path / name).read_bytes() == content
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted(["a.txt", name])


def test_what_gptloss_wrote_is_replaced_and_the_rest_on_asking(
    tmp_path: Path, text: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "t.parquet"
    parquet.write_table(__import__("pyarrow").table({"mine": [1]}), file)
    assert "was not written by gptloss" in refusal(capsys, text, "--per-token", file)
    for more in (["--overwrite"], []):
        scored = answer(capsys, text, "--per-token", file, *more)["tokens_scored"]
        assert parquet.read_metadata(file).num_rows == scored
    assert b"gptloss" in parquet.read_schema(file).metadata


@pytest.mark.skipif(not Path("/dev/null").exists(), reason="there is no such device here")
@pytest.mark.usefixtures("_no_model")
def test_a_device_is_not_replaced(text: Path, capsys: pytest.CaptureFixture[str]) -> None:
    sentence = refusal(capsys, text, "--per-token", "/dev/null", "--overwrite")
    assert sentence == "/dev/null is a device or a pipe; name a file."


@pytest.mark.usefixtures("_no_model")
def test_a_folder_that_is_not_there_is_not_made(text: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for option in ("--per-token", "--resume"):
        assert "cannot be written (No such file or directory)" in refusal(capsys, text, option, text.parent / "no/x")
    assert list(text.parent.iterdir()) == [text]


@pytest.mark.usefixtures("_no_model")
def test_what_is_no_text_is_told_before_a_model_is_loaded(text: Path, capsys: pytest.CaptureFixture[str]) -> None:
    text.write_bytes(b"tea " * 50_000 + b"\xff")
    assert "a.txt is not UTF-8: byte 200,000 is 0xFF" in refusal(capsys, text)


def test_crlf_counts_and_is_told(text: Path, capsys: pytest.CaptureFixture[str]) -> None:
    crlf = text.with_name("crlf.txt")
    crlf.write_bytes(b"tea\r\n" * 10_000)
    text.write_bytes(b"tea\n" * 10_000)
    assert main(["corpus", str(text), str(crlf), "--model", "bigram", "--json"]) == 0
    out, err = capsys.readouterr()
    assert json.loads(out)["bytes"] == 4 * 10_000 + 5 * 10_000 - 2
    assert err == (
        f"gptloss: {crlf} ends 10,000 lines with CRLF, which counts as it stands, as two characters and two bytes;"
        " convert the file to LF to count one.\n"
    )


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere the names of files are text")
def test_names_of_files_may_be_any_bytes(text: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    odd = text.rename(tmp_path / "\udcf0.txt")
    for _ in range(2):
        answer(capsys, odd, "--per-token", tmp_path / "\udcf0")
    with (tmp_path / "\udcf0").open("rb") as file:
        assert parquet.read_table(file)["file"][0].as_py() == rf"{tmp_path}/\udcf0.txt"


# Two runs, and runs that were stopped


@pytest.mark.usefixtures("_no_model")
@pytest.mark.parametrize("option", ["--per-token", "--resume"])
def test_two_runs_do_not_write_one_file(
    option: str, text: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    from gptloss.corpus.outputs import alone

    with alone(tmp_path / "x"):
        (tmp_path / "x.unfinished").write_bytes(b"PAR1 of the other")
        sentence = refusal(capsys, text, option, tmp_path / "x")
        assert sentence == f"Another run is writing {tmp_path / 'x'}; wait until it has ended, or name another."
        assert (tmp_path / "x.unfinished").read_bytes() == b"PAR1 of the other"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.txt", "x.unfinished"]


def stopped(text: Path, sent: signal.Signals, *options: object) -> "subprocess.CompletedProcess[str]":
    """A run that gets a signal in its third forward pass."""
    code = (
        "import os, signal, sys\nfrom gptloss.corpus import scoring as corpus\nforward, passes = corpus.forward, []\n"
        "def third(*given):\n    passes.append(1)\n"
        f"    len(passes) != 3 or os.kill(os.getpid(), {int(sent)})\n    return forward(*given)\n"
        "corpus.forward = third\nimport runpy; runpy.run_module('gptloss', run_name='__main__', alter_sys=True)"
    )
    command = [sys.executable, "-c", code, "corpus", text, "--model", "bigram", "--window", "20", "--json", *options]
    return subprocess.run(list(map(str, command)), capture_output=True, text=True, cwd=ROOT)


def test_sigterm_leaves_what_was_scored_and_nothing_else(text: Path, tmp_path: Path) -> None:
    text.write_text(TEXT, "utf-8")
    run = stopped(text, signal.SIGTERM, "--per-token", tmp_path / "t", "--resume", tmp_path / "log")
    assert (run.returncode, run.stderr) == (130, "gptloss: stopped.\n")
    result = json.loads(run.stdout)
    assert result["incomplete"] is True
    assert parquet.read_metadata(tmp_path / "t").num_rows == result["tokens_scored"] == 1500
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.txt", "log", "t"]


@pytest.mark.skipif(sys.platform == "win32", reason="there is no such signal")
def test_the_next_run_clears_what_a_killed_one_left(
    text: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    text.write_text(TEXT, "utf-8")
    file = tmp_path / "t"
    assert stopped(text, signal.SIGKILL, "--per-token", file).returncode == -signal.SIGKILL
    assert (tmp_path / "t.unfinished").exists()
    assert not file.exists()
    scored = answer(capsys, text, "--per-token", file)["tokens_scored"]
    assert parquet.read_metadata(file).num_rows == scored
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.txt", "t"]


def test_a_stop_while_the_model_is_loaded_leaves_nothing(
    text: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def stop(name: str, dtype: str, start_token: int | None) -> None:
        assert (text.parent / "t.unfinished").exists()
        raise KeyboardInterrupt

    monkeypatch.setattr("gptloss.cli.options.load_model", stop)
    assert main(["corpus", str(text), "--per-token", str(text.parent / "t")]) == 130
    assert list(text.parent.iterdir()) == [text]


@pytest.mark.skipif(os.name == "nt" or os.geteuid() == 0, reason="root may write everywhere")
def test_a_folder_that_cannot_be_written(tmp_path: Path) -> None:
    tmp_path.chmod(0o500)
    with pytest.raises(GptlossError, match=r"t cannot be written \(Permission denied\); make room, or name another"):
        PerToken(tmp_path / "t")
