"""`gptloss serve`, without starting a server; tests/browser starts the same script."""

import subprocess
from typing import Any

import pytest

from gptloss.cli.main import main


def test_check_says_what_holds(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GPTLOSS_PROFILE", "hosted")
    assert main(["serve", "--check"]) == 0
    out = capsys.readouterr().out
    assert "GPTLOSS_PROFILE    hosted" in out
    assert "the largest file, MB" in out


def test_a_mistake_starts_nothing(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GPTLOSS_PROFILE", "cloud")
    monkeypatch.setattr(subprocess, "run", lambda *a, **k: pytest.fail("a server was started"))
    assert main(["serve"]) == 2
    assert "GPTLOSS_PROFILE is 'cloud'" in capsys.readouterr().err
    monkeypatch.delenv("GPTLOSS_PROFILE")
    assert main(["serve", "--port", "0"]) == 2
    assert "use 1 to 65535" in capsys.readouterr().err


@pytest.mark.parametrize(("status", "ends"), [(0, 0), (-15, 0), (1, 2)])
def test_it_runs_the_server(
    status: int, ends: int, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[str] = []

    def run(command: list[str], **more: Any) -> subprocess.CompletedProcess[str]:
        asked.extend(command)
        return subprocess.CompletedProcess(command, status)

    monkeypatch.setattr(subprocess, "run", run)
    assert main(["serve", "--port", "8600"]) == ends
    assert asked[3].endswith("server.py") or asked[4].endswith("server.py")
    assert {"--server.address=127.0.0.1", "--server.port=8600"} <= set(asked)
    capsys.readouterr()
