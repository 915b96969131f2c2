"""Checkpoints that somebody made to hurt: refused in a sentence, before they are read."""

import json
import os
import struct
from pathlib import Path
from typing import Any

import pytest

from gptloss import GptlossError
from gptloss.models import find
from gptloss.models.checkpoints import bounds
from gptloss.models.checkpoints.json_tokens import JsonTokenizer
from tests.helpers.checkpoints import byte_tokenizer_json, change_config, save_gpt2

pytestmark = pytest.mark.skipif(os.name == "nt", reason="no pipes in folders there")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    save_gpt2(tmp_path, n_layer=1, n_embd=16, n_head=2)
    (tmp_path / "tokenizer.json").write_text(byte_tokenizer_json(300))
    find(str(tmp_path))
    return tmp_path


def refused(folder: Path) -> str:
    with pytest.raises(GptlossError) as caught:
        find(str(folder)).tokenizer()
    assert str(caught.value).endswith(".")
    return str(caught.value)


@pytest.mark.parametrize("name", ["config.json", "tokenizer.json"])
@pytest.mark.parametrize("device", ["pipe", "/dev/zero"])
def test_what_never_ends_is_not_read(folder: Path, name: str, device: str) -> None:
    (folder / name).unlink()
    if device == "pipe":
        os.mkfifo(folder / name)
    else:
        (folder / name).symlink_to(device)
    assert name in refused(folder)


@pytest.mark.parametrize(
    "change",
    [
        {"n_layer": 10**9},
        {"num_hidden_layers": 10**9, "model_type": "llama"},
        {"n_layer": 1e30},
        {"vocab_size": 10**9},
        {"text_config": {"vocab_size": 10**9, "model_type": "llama"}},
    ],
)
def test_sizes_that_no_model_has(folder: Path, change: dict[str, Any]) -> None:
    change_config(folder, **change)
    assert "no model has more than" in refused(folder)


def test_a_file_that_is_too_large(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gptloss.models.checkpoints.weights.MOST_CONFIG", 10)
    (folder / "config.json").write_text((folder / "config.json").read_text() + " ")
    assert "no such file has more than 10" in refused(folder)


def test_a_header_of_very_many_tensors(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    weights = folder / "model.safetensors"
    entries = {
        f"t{n}": {"dtype": "F32", "shape": [0], "data_offsets": [0, 0]} for n in range(bounds.MOST_TENSORS + 1)
    }
    header = json.dumps(entries).encode()
    weights.write_bytes(struct.pack("<Q", len(header)) + header)
    assert "tensors, and no file has more than" in refused(folder)
    weights.write_bytes(struct.pack("<Q", bounds.MOST_HEADER + 1) + b" " * (bounds.MOST_HEADER + 1))
    assert "and none has more than" in refused(folder)


def test_a_pattern_that_gives_up(tmp_path: Path) -> None:
    """Of nested choices the engine tries so many that it stops."""
    spec = json.loads(byte_tokenizer_json(300))
    spec["pre_tokenizer"] = {
        "type": "Sequence",
        "pretokenizers": [
            {"type": "Split", "pattern": {"Regex": "^(a|aa)+$"}, "behavior": "Isolated", "invert": False},
            {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True, "use_regex": False},
        ],
    }
    file = tmp_path / "tokenizer.json"
    file.write_text(json.dumps(spec))
    tokenizer = JsonTokenizer(file, 300)
    assert tokenizer.encode("b")
    with pytest.raises(GptlossError, match="gives up on this text"):
        tokenizer.encode("a" * 200 + "b")
