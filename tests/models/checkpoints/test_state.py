"""What is remembered of a checkpoint is forgotten when its files change."""

import json
from pathlib import Path

import pytest

from gptloss.errors import GptlossError
from gptloss.models import find
from gptloss.models.checkpoints import weights
from gptloss.models.checkpoints.state import state_of
from tests.helpers.checkpoints import save_gpt2


def test_a_checkpoint_is_described_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    save_gpt2(tmp_path)
    first = find(str(tmp_path)).info
    monkeypatch.setattr(weights, "headers", lambda folder: pytest.fail("read again"))
    assert find(str(tmp_path)).info is first


def test_a_changed_checkpoint_is_described_anew(tmp_path: Path) -> None:
    save_gpt2(tmp_path, n_positions=16)
    assert find(str(tmp_path)).info.context_length == 16
    config = json.loads((tmp_path / "config.json").read_text("utf-8"))
    (tmp_path / "config.json").write_text(json.dumps(config | {"n_positions": 32}), "utf-8")
    assert find(str(tmp_path)).info.context_length == 32
    (tmp_path / "model.safetensors").unlink()
    with pytest.raises(GptlossError):
        find(str(tmp_path))


def test_a_link_that_leads_nowhere_is_no_error(tmp_path: Path) -> None:
    (tmp_path / "blob").write_text("x")
    (tmp_path / "link").symlink_to(tmp_path / "blob")
    before = state_of(tmp_path)
    (tmp_path / "blob").unlink()
    assert [name for name, *_ in state_of(tmp_path)] == ["link"]
    assert state_of(tmp_path) != before
