import dataclasses
import json
import shutil
from pathlib import Path

import pytest
import torch

from gptloss.cli.main import main
from gptloss.models import REGISTRY, hashes
from gptloss.models.catalogue import smollm2
from gptloss.models.checkpoints import weights
from gptloss.models.downloads import hub, store
from gptloss.provenance import weights_hash
from gptloss.tokens import SAMPLE
from tests.helpers.checkpoints import fetched


@pytest.fixture(autouse=True)
def _own_folders(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("GPTLOSS_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path / "hub"))


@pytest.fixture
def network(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(REGISTRY, smollm2.NAME, dataclasses.replace(smollm2.entry(), pull=fetched))


def test_the_list_says_what_each_is(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["models", "list", "--json"]) == 0
    models = {model["name"]: model for model in json.loads(capsys.readouterr().out)}
    assert list(models) == ["gpt2-untrained", "smollm2-135m", "gpt2", "gpt2-medium", "gpt2-large", "gpt2-xl",
                            "uniform", "bigram"]  # fmt: skip
    keys = ["name", "title", "parameters", "size", "architecture", "here", "licence", "source", "weights"]
    assert all(list(model) == keys for model in models.values())
    assert models["smollm2-135m"]["here"] is False
    assert models["uniform"]["here"] is True
    assert models["gpt2"]["parameters"] == 124_439_808
    assert main(["models", "list"]) == 0
    table = capsys.readouterr().out.splitlines()
    assert len(table) == 9
    assert "124,439,808  548 MB" in table[3]


def test_the_list_says_which_weights_are_here(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Of large ones once a result has been made; never by reading them."""
    monkeypatch.setattr(hashes, "LARGE", 50)
    kept = store.folder(smollm2.NAME)
    kept.mkdir(parents=True)
    weights.save([("a", torch.ones(1))], kept / weights.SINGLE)
    (kept / smollm2.TOKENIZER).write_text('{"version": "1.0"}')

    def listed() -> dict[str, str | None]:
        with monkeypatch.context() as nothing_is_read:
            nothing_is_read.setattr(hashes, "sha256", lambda _: pytest.fail("a file is read"))
            assert main(["models", "list", "--json"]) == 0
        return {model["name"]: model["weights"] for model in json.loads(capsys.readouterr().out)}

    assert set(listed().values()) == {None}
    known = weights_hash(smollm2.NAME)
    assert listed() == dict.fromkeys(REGISTRY) | {smollm2.NAME: known}
    assert main(["models", "list"]) == 0
    lines = [line.split() for line in capsys.readouterr().out.splitlines()]
    assert [line[-1] for line in lines[:5]] == ["weights", "–", known[:12], "–", "–"]


def test_a_small_file_is_read_for_the_list(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["models", "list", "--json"]) == 0
    found = {model["name"]: model["weights"] for model in json.loads(capsys.readouterr().out)}
    assert found["bigram"] == hashes.sha256(SAMPLE)
    assert found["uniform"] is None


@pytest.mark.usefixtures("network")
def test_pull_then_remove(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["models", "pull", "smollm2-135m"]) == 0
    assert capsys.readouterr().out == "smollm2-135m is here now.\n"
    assert smollm2.here()
    assert main(["models", "pull", "smollm2-135m"]) == 0
    assert capsys.readouterr().out == "smollm2-135m is here already.\n"
    assert main(["models", "remove", "smollm2-135m"]) == 0
    assert not smollm2.here()


@pytest.mark.parametrize("name", ["smollm2-135m", "gpt2-untrained", "gpt2-xl", "hf:never/pulled"])
def test_what_is_not_there_was_not_removed(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["models", "remove", name]) == 2
    assert capsys.readouterr() == ("", f"gptloss: {name} is not on this machine; there is nothing to remove.\n")


@pytest.mark.parametrize("name", ["gpt2-xl", "hf:openai-community/gpt2-xl"])
def test_what_a_stopped_pull_from_the_hub_left_is_removed(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    blob = hub.cache() / "models--openai-community--gpt2-xl" / "blobs" / "abc"
    blob.parent.mkdir(parents=True)
    blob.touch()
    assert main(["models", "remove", name]) == 0
    assert capsys.readouterr().out == f"{name} was removed.\n"
    assert not blob.parent.parent.exists()


@pytest.mark.usefixtures("network")
def test_progress_as_json(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["models", "pull", "--json", "smollm2-135m"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert json.loads(lines[2]) == {"doing": "Downloading", "done": 10_000_000, "total": 10_000_000}
    assert lines[-1] == "smollm2-135m is here now."


def test_where(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    assert main(["models", "where"]) == 0
    assert capsys.readouterr().out.splitlines() == [str(tmp_path / "home"), str(tmp_path / "hub")]


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["pull", "gtp2"], "There is no model called 'gtp2'"),
        (["remove", "uniform"], "there is nothing to remove"),
        (["pull", "hf:x"], "write hf:owner/name"),
        (["pull", "../.."], "config.json is missing"),
    ],
)
def test_a_mistake_is_one_sentence(arguments: list[str], says: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["models", *arguments]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert says in err
    assert err.count("\n") == 1


def test_what_a_killed_pull_left_is_removed_too(tmp_path: Path) -> None:
    part = store.folder("smollm2-135m").with_name(".smollm2-135m.part")
    part.mkdir(parents=True)
    assert main(["models", "remove", "smollm2-135m"]) == 0
    assert not part.exists()
    shutil.rmtree(tmp_path / "home")
