"""Models that were trained here, by name and as a zip file."""

import io
import zipfile
from dataclasses import replace
from pathlib import Path

import pytest
from transformers import AutoModelForCausalLM, AutoTokenizer

from gptloss import GptlossError, load_model, score
from gptloss import models as all_models
from gptloss.corpus import samples
from gptloss.models.catalogue import runs
from gptloss.training import checkpoint
from gptloss.training.recipe import LETTERS

SMALL = replace(LETTERS, context_length=16, emb_dim=16, n_heads=2, n_layers=1, sample_tokens=0)


@pytest.fixture
def name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """A run that has not trained."""
    monkeypatch.setenv("GPTLOSS_HOME", str(tmp_path))
    folder, text = runs.folder("run:first"), samples.verdict()[:5_000]
    checkpoint.export(checkpoint.start(SMALL, text, folder), [], text, folder)
    return "run:first"


def test_a_run_is_a_model(name: str) -> None:
    model = load_model(name)
    assert (model.info.name, model.info.title, model.info.weights) == (name, name, "trained here")
    assert all_models.is_here(name)
    assert runs.kept() == [name]
    assert [entry.info.name for entry in all_models.trained()] == [name]
    (runs.folder(name) / "config.json").write_text("{")
    assert all_models.trained() == []


def test_out_and_in_again_it_is_the_same(name: str, tmp_path: Path) -> None:
    packed = runs.pack(name)
    other = runs.unpack(packed, "first")
    assert other == "run:first-2"
    assert score(load_model(other), "the way").loss == score(load_model(name), "the way").loss
    with zipfile.ZipFile(io.BytesIO(packed)) as archive:
        archive.extractall(tmp_path / "theirs")
    assert AutoModelForCausalLM.from_pretrained(tmp_path / "theirs").config.n_layer == 1
    ids = AutoTokenizer.from_pretrained(tmp_path / "theirs")("the way")["input_ids"]
    assert ids == [token.id for token in load_model(name).tokenizer.encode("the way")]


def test_it_is_removed(name: str) -> None:
    assert all_models.remove(name)
    assert not all_models.remove(name)
    with pytest.raises(GptlossError, match="no run called 'run:first' on this machine"):
        load_model(name)


@pytest.mark.parametrize("bad", ["run:", "run:../x", "run:a/b", "run:" + "x" * 41])
def test_no_other_folder_is_meant(bad: str, name: str) -> None:
    with pytest.raises(GptlossError, match="names no run"):
        load_model(bad)


def packed_without(packed: bytes, left_out: str, **instead: bytes) -> bytes:
    other = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(packed)) as archive, zipfile.ZipFile(other, "w") as made:
        for file in archive.namelist():
            if file != left_out:
                made.writestr(file, archive.read(file))
        for file, raw in instead.items():
            made.writestr(file.replace("_", "."), raw)
    return other.getvalue()


def test_what_is_no_model_is_a_sentence(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    packed = runs.pack(name)
    with pytest.raises(GptlossError, match="no whole zip file"):
        runs.unpack(b"PK no", "bad")
    with pytest.raises(GptlossError, match="no whole zip file"):
        runs.unpack(packed[: len(packed) // 2], "bad")
    with pytest.raises(GptlossError, match=r"holds no config\.json"):
        runs.unpack(packed_without(packed, "config.json"), "bad")
    with pytest.raises(GptlossError, match="no safetensors file or is damaged"):
        runs.unpack(packed_without(packed, "model.safetensors", model_safetensors=b"x" * 100), "bad")
    monkeypatch.setattr(runs, "MOST_BYTES", 10)
    with pytest.raises(GptlossError, match="takes more than"):
        runs.unpack(packed, "bad")
    assert sorted(file.name for file in runs.home().iterdir()) == ["first"]
