"""Runs on the disk: whole or not there, and gone on with to the last digit."""

import errno
import json
import os
from dataclasses import replace
from itertools import islice
from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

from gptloss import GptlossError, load_model
from gptloss.models.checkpoints import weights
from gptloss.training import checkpoint
from gptloss.training.loop import run
from tests.training.test_loop import TEXT, TINY, curve, facts

RECIPE = replace(TINY, drop_rate=0.1, steps=70, eval_every=10)  # more than an epoch of 56 batches


@pytest.mark.parametrize("at", [0, 5, 10, 56, 60])
def test_a_run_that_goes_on_ends_as_an_unbroken_one(tmp_path: Path, at: int) -> None:
    """Between two evaluations, at one, at the end of an epoch and after it."""
    whole = curve(checkpoint.start(RECIPE, TEXT, tmp_path / "whole", ["the clock"]))
    trainer = checkpoint.start(RECIPE, TEXT, tmp_path / "broken", ["the clock"])
    snapshots = [trainer.look()]
    for _ in range(at):
        trainer.advance()
        if RECIPE.evaluates(trainer.step):
            snapshots.append(trainer.look())
    checkpoint.save(trainer, snapshots, TEXT, tmp_path / "broken")
    again, so_far = checkpoint.resume(TEXT, tmp_path / "broken")
    assert so_far == snapshots
    assert [*map(facts, so_far), *curve(again)[at == 0 :]] == whole


def test_only_the_last_checkpoint_is_kept(tmp_path: Path) -> None:
    trainer = checkpoint.start(RECIPE, TEXT, tmp_path)
    for _ in range(3):
        checkpoint.save(trainer, [], TEXT, tmp_path)
        trainer.advance()
    assert checkpoint.newest(tmp_path).name == "checkpoint-000000002"
    assert len(list(tmp_path.glob("*checkpoint*"))) == 1
    assert not (tmp_path / ".part").exists()


def test_a_step_that_has_a_checkpoint_keeps_it(tmp_path: Path) -> None:
    """A run that is killed while it saves twice at one step never finds none."""
    trainer = checkpoint.start(RECIPE, TEXT, tmp_path)
    checkpoint.save(trainer, [], TEXT, tmp_path)
    before = (checkpoint.newest(tmp_path) / "state.json").stat()
    checkpoint.save(trainer, [], TEXT, tmp_path)
    assert (checkpoint.newest(tmp_path) / "state.json").stat() == before


def test_a_run_that_is_made_longer_is_the_long_run(tmp_path: Path) -> None:
    recipe = replace(RECIPE, schedule="constant", steps=20)
    trainer = checkpoint.start(recipe, TEXT, tmp_path / "short", ["the clock"])
    checkpoint.save(trainer, list(run(trainer)), TEXT, tmp_path / "short")
    again, so_far = checkpoint.resume(TEXT, tmp_path / "short")
    again.recipe = replace(again.recipe, steps=40)
    long = checkpoint.start(replace(recipe, steps=40), TEXT, tmp_path / "long", ["the clock"])
    assert [*map(facts, so_far), *curve(again)] == curve(long)


def test_a_full_disk_leaves_the_checkpoint_before(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    trainer = checkpoint.start(RECIPE, TEXT, tmp_path)
    checkpoint.save(trainer, [], TEXT, tmp_path)
    trainer.advance()

    def full(*_: Any) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(weights, "save", full)
    with pytest.raises(GptlossError, match=r"The disk is full: .* keeps its last checkpoint; make room"):
        checkpoint.save(trainer, [], TEXT, tmp_path)
    with pytest.raises(GptlossError, match="The disk is full"):
        checkpoint.export(trainer, [], TEXT, tmp_path)
    monkeypatch.undo()
    assert checkpoint.resume(TEXT, tmp_path)[0].step == 0


def test_another_text_no_checkpoint_and_a_folder_that_is_taken(tmp_path: Path) -> None:
    with pytest.raises(GptlossError, match="has no checkpoint to go on from"):
        checkpoint.resume(TEXT, tmp_path)
    trainer = checkpoint.start(RECIPE, TEXT, tmp_path)
    checkpoint.save(trainer, [], TEXT, tmp_path)
    with pytest.raises(GptlossError, match="was trained on another text"):
        checkpoint.resume(TEXT + ".", tmp_path)
    with pytest.raises(GptlossError, match="holds a run or a model already"):
        checkpoint.start(RECIPE, TEXT, tmp_path)


def test_a_text_that_is_too_short_leaves_the_folder_free(tmp_path: Path) -> None:
    with pytest.raises(GptlossError, match="needs 65"):
        checkpoint.start(RECIPE, "short", tmp_path)
    checkpoint.start(RECIPE, TEXT, tmp_path)


@pytest.mark.parametrize("damage", [b"", b"{}", b"\xff"])
def test_a_damaged_checkpoint_is_a_sentence(tmp_path: Path, damage: bytes) -> None:
    trainer = checkpoint.start(RECIPE, TEXT, tmp_path)
    checkpoint.save(trainer, [], TEXT, tmp_path)
    (checkpoint.newest(tmp_path) / "state.json").write_bytes(damage)
    with pytest.raises(GptlossError, match=r"state\.json"):
        checkpoint.resume(TEXT, tmp_path)


def test_weights_of_another_run_are_a_sentence(tmp_path: Path) -> None:
    for name, width in (("one", 16), ("other", 32)):
        trainer = checkpoint.start(replace(RECIPE, emb_dim=width), TEXT, tmp_path / name)
        checkpoint.save(trainer, [], TEXT, tmp_path / name)
    one, other = (checkpoint.newest(tmp_path / name) / weights.SINGLE for name in ("one", "other"))
    os.replace(other, one)
    with pytest.raises(GptlossError, match="does not hold the weights of this run"):
        checkpoint.resume(TEXT, tmp_path / "one")


@pytest.mark.parametrize("vocab_size", [256, 400])
def test_the_model_opens_here_and_in_transformers(tmp_path: Path, vocab_size: int) -> None:
    trainer = checkpoint.start(replace(RECIPE, vocab_size=vocab_size, batch_size=2), TEXT, tmp_path)
    snapshots = list(islice(run(trainer), 3))
    checkpoint.export(trainer, snapshots, TEXT, tmp_path)
    ours, theirs = load_model(tmp_path), AutoModelForCausalLM.from_pretrained(tmp_path).eval()
    tokenizer = AutoTokenizer.from_pretrained(tmp_path)
    text = "the clock é"
    ids = [token.id for token in ours.tokenizer.encode(text)]
    assert tokenizer(text)["input_ids"] == ids
    rows = torch.tensor([ids])
    with torch.no_grad():
        trainer.network.eval()
        expected = trainer.network(rows)[0]
        assert torch.allclose(ours.head(ours.hidden(rows)[0]), expected, atol=1e-5)
        assert torch.allclose(theirs(rows).logits[0], expected, atol=1e-5)
    assert ours.info.vocab_size == trainer.tokenizer.vocab_size
    facts = json.loads((tmp_path / "run.json").read_text())
    assert facts["step"] == trainer.step == 20
    assert facts["snapshots"] == json.loads(json.dumps([snapshot.as_json() for snapshot in snapshots]))
