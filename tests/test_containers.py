"""The image cannot be built without Docker, so what it does is held against what the Makefile does, and tried."""

import json
import re
import shlex
from pathlib import Path
from typing import Any

import pytest
import yaml

from gptloss.cli.main import main
from gptloss.hosting import profile
from tests.helpers.driver import ROOT

LINES = (ROOT / "Dockerfile").read_text("utf-8").replace("\\\n", " ").splitlines()


def said(word: str) -> list[str]:
    """What stands after this word of the Dockerfile, line by line."""
    return [line.removeprefix(word).strip() for line in LINES if line.startswith(f"{word} ")]


def test_it_copies_what_there_is() -> None:
    for sources in said("COPY"):
        for name in sources.split()[:-1]:
            assert (ROOT / name).exists(), name


def test_it_installs_by_the_lines_that_the_makefile_installs_by() -> None:
    """The gate runs those in a fresh folder."""
    made = (ROOT / "Makefile").read_text("utf-8").replace("$(PIP)", "pip install")
    pips = [re.search(r"pip install [^;]+", line) for line in said("RUN")]
    lines = [found[0].strip() for found in pips if found]
    assert len(lines) == 3
    for line in lines:
        assert line.replace('"$TORCH_INDEX"', "$(TORCH_INDEX)") in made, line


def test_its_other_lines_are_commands_of_ours(capsys: pytest.CaptureFixture[str]) -> None:
    commands = [shlex.split(re.search(r"gptloss [^;]+", line)[0]) for line in said("RUN") if "gptloss " in line]  # type: ignore[index]
    assert [command[1] for command in commands] == ["models", "loss"]
    (start,) = said("CMD")
    assert main([*json.loads(start)[1:], "--check"]) == 0
    assert "GPTLOSS_PROFILE" in capsys.readouterr().out
    assert main([*commands[1][1:], "--model", "bigram"]) == 0


def test_it_is_not_root_and_asks_whether_it_is_ready() -> None:
    assert said("USER") == ["65534:65534"]
    (check,) = said("HEALTHCHECK")
    words = json.loads(check.split("CMD", 1)[1])
    compile(words[2], "health", "exec")
    assert "/api/ready" in words[2]


def test_the_environment_of_the_composition_is_a_profile() -> None:
    made: dict[str, Any] = yaml.safe_load((ROOT / "compose.yaml").read_text("utf-8"))
    for name in ("one", "two"):
        service = made["services"][name]
        holds = profile(service["environment"])
        assert (holds.name, holds.models) == ("hosted", ("smollm2-135m", "bigram"))
        assert service["read_only"]
        assert holds.memory < 4_000  # less than the container may take
    proxy = made["configs"]["caddy"]["content"]
    assert "lb_policy cookie" in proxy
    assert proxy.count("{") == proxy.count("}")
    assert all(f"{name}:8501" in proxy for name in ("one", "two"))


def test_the_image_holds_no_history() -> None:
    ignored = (ROOT / ".dockerignore").read_text("utf-8").split()
    assert {".git", ".venv"} <= set(ignored)
    assert Path(ROOT / ".streamlit/config.toml").is_file()
