"""The README's commands and code do what it says."""

import math
import re
import shlex
import subprocess

import pytest

from gptloss import ScoredBatch
from gptloss.cli.main import _parser, main
from gptloss.models import REGISTRY
from tests.helpers.driver import ROOT
from tests.helpers.readme import tree, written

README = (ROOT / "README.md").read_text("utf-8")


def blocks(language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", README, re.DOTALL)


def test_the_five_lines_run(capsys: pytest.CaptureFixture[str], lecture: ScoredBatch) -> None:
    code, _ = blocks("python")
    exec(code, {})
    out = capsys.readouterr().out
    assert str(lecture.loss)[:8] == "10.79396"
    assert "10.79396" in out
    assert "48725.8" in out


def test_the_corpus_lines_run(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)
    exec(blocks("python")[1], {})
    loss, bits_per_byte = map(float, capsys.readouterr().out.split())
    assert loss == pytest.approx(bits_per_byte * math.log(2), rel=1e-9)  # a token of this model is a byte
    assert 2 < bits_per_byte < 6


def test_the_commands_run(capsys: pytest.CaptureFixture[str]) -> None:
    commands = [
        shlex.split(line, comments=True)[1:]
        for block in blocks("sh")
        for line in block.splitlines()
        if line.startswith("gptloss ")
    ]
    assert len(commands) == 14
    for command in commands:
        if command == ["--version"]:
            with pytest.raises(SystemExit, match="0"):
                main(command)
        elif command[1:2] in (["pull"], ["remove"]):  # tried by their own tests, in a folder of their own
            assert _parser().parse_args(command).name == "smollm2-135m"
        else:
            assert main(command) == 0
    assert "48,725.8" in capsys.readouterr().out


def test_the_models_are_those_of_the_registry() -> None:
    table = README.split("## Models")[1].split("```")[0]
    assert set(REGISTRY) <= set(re.findall(r"`([\w-]+)`", table))


def test_make_has_the_targets() -> None:
    targets = set(re.findall(r"`make (\w+)`|^make (\w+)", README, re.MULTILINE))
    for target in {a or b for a, b in targets}:
        run = subprocess.run(["make", "--dry-run", target], cwd=ROOT, capture_output=True, text=True)
        assert run.returncode == 0, run.stderr


def test_the_tree_and_the_words_of_a_link_are_those_of_the_code() -> None:
    """`python -m tests.helpers.readme` writes them."""
    assert written(README).splitlines() == README.splitlines()


def test_every_file_has_a_first_sentence() -> None:
    assert [line for line in tree().splitlines() if line.endswith(".py")] == []
