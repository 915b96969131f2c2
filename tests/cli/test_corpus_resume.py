"""`gptloss corpus --resume`: stopped, killed, gone on; what a log and a full disk may look like."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from gptloss.cli.main import main
from tests.helpers.commands import END, FRONT, KEYS, SAMPLE, TEXT, answer, refusal, same
from tests.helpers.driver import ROOT

LONG = ["--model", "bigram", "--window", "64", "--split", "0.6", "--json"]


@pytest.fixture(scope="module")
def long_text(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A text that takes some seconds; the same words never stand in the same place of a window."""
    file = tmp_path_factory.mktemp("long") / "long.txt"
    file.write_text("".join(f"{n} {TEXT[n % 997 : n % 997 + 60]}\n" for n in range(3_000)), "utf-8")
    return file


@pytest.fixture(scope="module")
def whole(long_text: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[dict[str, Any], bytes]:
    """The result of a run that nobody stops, and its log."""
    log = tmp_path_factory.mktemp("whole") / "log"
    run = process(long_text, "--resume", log)
    assert (run.returncode, run.stderr) == (0, "")
    return json.loads(run.stdout), log.read_bytes()


# A signal that comes from outside comes when the machine has time for it; this one after so many lines of the log.
STOPS = """
import signal, sys
from gptloss.corpus.log import Log
add, lines = Log.add, []
def stops(log, *given):
    add(log, *given)
    lines.append(given)
    if len(lines) == {lines}:
        signal.raise_signal({sent})
Log.add = stops
"""


def process(*options: object, lines: int = 0, sent: int = 0) -> "subprocess.CompletedProcess[str]":
    """A run in a process of its own, which is sent a signal after it has added so many lines to its log."""
    before = "import signal\nsignal.signal(signal.SIGINT, signal.default_int_handler)\n"
    before += STOPS.format(lines=lines, sent=sent) if lines else ""
    code = before + "import runpy; runpy.run_module('gptloss', run_name='__main__', alter_sys=True)"
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-c", code, "corpus", *map(str, options), *LONG]
    return subprocess.run(command, capture_output=True, text=True, cwd=ROOT, env=environment, timeout=120)


def test_a_run_that_is_killed_ends_with_the_same_digits(
    long_text: Path, whole: tuple[dict[str, Any], bytes], tmp_path: Path
) -> None:
    log, parquet = tmp_path / "log", tmp_path / "all.parquet"
    for lines in (20, 150):
        run = process(long_text, "--resume", log, lines=lines, sent=signal.SIGKILL)
        assert run.returncode == -signal.SIGKILL
    kept = log.read_bytes()
    assert kept.count(b"\n") == 171 < whole[1].count(b"\n")
    log.write_bytes(kept[: kept.rindex(b"\n") - 50])  # a line that was being written
    run = process(long_text, "--resume", log, "--per-token", parquet)
    assert (run.returncode, run.stderr) == (0, "")
    assert same(json.loads(run.stdout), whole[0])
    strip = [json.loads(line) | {"seconds": 0} for line in log.read_bytes().splitlines()]
    assert strip == [json.loads(line) | {"seconds": 0} for line in whole[1].splitlines()]
    import pyarrow.parquet

    assert pyarrow.parquet.read_metadata(parquet).num_rows == whole[0]["tokens_scored"]


def test_ctrl_c_prints_what_is_known_and_the_run_can_go_on(
    long_text: Path, whole: tuple[dict[str, Any], bytes], tmp_path: Path
) -> None:
    log = tmp_path / "log"
    run = process(long_text, "--resume", log, lines=30, sent=signal.SIGINT)
    assert (run.returncode, run.stderr) == (130, "gptloss: stopped.\n")
    known = json.loads(run.stdout)
    assert list(known) == [*FRONT, *KEYS, "training", "validation", "incomplete", *END]
    assert known["incomplete"] is True
    assert known["validation"] is None
    (file,) = known["files"]
    assert file["parts"]["training"]["tokens_scored"] == known["tokens_scored"]
    assert file["parts"]["validation"] is None
    assert known["skipped"] == [], "what was not reached was not skipped"
    lines = [json.loads(line) for line in log.read_bytes().splitlines()[1:]]
    assert len(lines) == 30
    assert known["tokens_scored"] == sum(64 * len(line["log_likelihoods"]) for line in lines)
    assert known["log_likelihood"] == pytest.approx(sum(sum(line["log_likelihoods"]) for line in lines))
    run = process(long_text, "--resume", log)
    assert same(json.loads(run.stdout), whole[0])


def test_a_finished_run_is_not_computed_again(
    whole: tuple[dict[str, Any], bytes], long_text: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("gptloss.corpus.log.score_batch", lambda *_: pytest.fail("a forward pass"))
    log = tmp_path / "log"
    log.write_bytes(whole[1])
    assert main(["corpus", str(long_text), *LONG, "--resume", str(log)]) == 0
    assert log.read_bytes() == whole[1]


def test_ctrl_c_before_anything_is_known(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    def stop(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("gptloss.cli.corpus.load", stop)
    assert main(["corpus", str(SAMPLE)]) == 130
    assert capsys.readouterr() == ("", "gptloss: stopped.\n")


def test_ctrl_c_in_a_table(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    from gptloss.corpus import scoring

    forward, handler = scoring.forward, signal.getsignal(signal.SIGINT)

    def interrupted(*given: Any) -> Any:
        signal.raise_signal(signal.SIGINT)
        return forward(*given)

    monkeypatch.setattr("gptloss.corpus.scoring.forward", interrupted)
    assert main(["corpus", str(SAMPLE), "--model", "bigram", "--window", "64", "--split", "0.9"]) == 130
    out, err = capsys.readouterr()
    assert "Incomplete: stopped after 512 tokens." in out
    assert "validation: nothing is scored" in out
    assert err == "gptloss: stopped.\n"
    assert signal.getsignal(signal.SIGINT) is handler


@pytest.fixture
def log(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Path:
    """The log of a short run with windows of 64."""
    answer(capsys, SAMPLE, "--window", 64, "--resume", tmp_path / "log")
    return tmp_path / "log"


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        (["--window", "65"], "is the log of another run: its window is 64 and now it is 65; name another file."),
        (["--window", "64", "--convention", "strided"], "its convention is rolling and now it is strided"),
        (["--window", "64", "--split", "0.9"], "its split is none and now it is 0.9"),
        (["--window", "64", "--model", "uniform"], "its model is bigram and now it is uniform"),
    ],
)
def test_the_log_of_another_run_is_refused(
    log: Path, options: list[str], sentence: str, capsys: pytest.CaptureFixture[str]
) -> None:
    before = log.read_bytes()
    assert sentence in refusal(capsys, SAMPLE, *options, "--resume", log)
    assert log.read_bytes() == before


def test_a_changed_text_is_noticed(log: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "copy.txt").write_bytes(SAMPLE.read_bytes())
    answer(capsys, tmp_path / "copy.txt", "--window", 64, "--resume", log)  # the same text under another name
    (tmp_path / "copy.txt").write_bytes(SAMPLE.read_bytes() + b".")
    assert "its texts are others" in refusal(capsys, tmp_path / "copy.txt", "--window", 64, "--resume", log)


def test_a_file_that_is_no_log_stays_as_it_is(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for content in (b"dear diary", b"dear diary\n", b"\0" * 100, b'{"gptloss": "models"}\n'):
        (tmp_path / "mine").write_bytes(content)
        assert "is no log of gptloss corpus, and stays as it is" in refusal(
            capsys, SAMPLE, "--resume", tmp_path / "mine"
        )
        assert (tmp_path / "mine").read_bytes() == content
    assert "cannot be used" in refusal(capsys, SAMPLE, "--resume", tmp_path)


def test_a_log_that_was_killed_in_its_first_line_begins_anew(log: Path, capsys: pytest.CaptureFixture[str]) -> None:
    whole = log.read_bytes()
    for size in (0, 5, 60):
        log.write_bytes(whole[:size])
        answer(capsys, SAMPLE, "--window", 64, "--resume", log)
        assert log.read_bytes().count(b"\n") == whole.count(b"\n")


def test_a_damaged_log_is_refused_with_its_line(log: Path, capsys: pytest.CaptureFixture[str]) -> None:
    lines = log.read_bytes().splitlines(keepends=True)
    for bad in (b"}\n", b"7\n", lines[1], lines[2].replace(b'log_probas": "', b'log_probas": "AAAA')):
        log.write_bytes(b"".join([*lines[:2], bad, *lines[3:]]))
        assert "is damaged in line 3; delete it to begin again" in refusal(
            capsys, SAMPLE, "--window", 64, "--resume", log
        )


@pytest.mark.skipif(sys.platform == "win32", reason="needs limits on the size of files")
@pytest.mark.parametrize("option", ["--resume", "--per-token"])
def test_a_full_disk_is_one_sentence(option: str, long_text: Path, tmp_path: Path) -> None:
    limit = (
        "import resource, sys; resource.setrlimit(resource.RLIMIT_FSIZE, (100_000,) * 2);"
        " from gptloss.cli.main import main; sys.exit(main(sys.argv[1:]))"
    )
    command = [sys.executable, "-c", limit, "corpus", str(long_text), *LONG, option, str(tmp_path / "kept")]
    run = subprocess.run(command, capture_output=True, text=True, cwd=ROOT)
    assert (run.returncode, run.stdout) == (2, "")
    (line,) = run.stderr.splitlines()
    assert "kept" in line
    assert "File too large" in line
    assert "make room, or name another file" in line


def test_nothing_of_a_torn_line_is_left(log: Path, capsys: pytest.CaptureFixture[str]) -> None:
    whole = log.read_bytes().splitlines(keepends=True)
    log.write_bytes(b"".join(whole[:-1]) + b'{"text": 0, ' + b" " * 20_000)
    answer(capsys, SAMPLE, "--window", 64, "--resume", log)
    lines = [json.loads(line)["log_probas"] for line in log.read_bytes().splitlines()[1:]]
    assert lines == [json.loads(line)["log_probas"] for line in whole[1:]]
