"""A run in a process of its own."""

import json
import queue
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from gptloss import GptlossError, load_model, score
from gptloss.corpus import samples
from gptloss.training import worker
from gptloss.training.loop import Trainer, run
from gptloss.training.recipe import LETTERS, Recipe
from gptloss.training.worker import Request

SMALL = replace(LETTERS, context_length=8, emb_dim=16, n_heads=2, n_layers=1, steps=8, eval_every=2, sample_tokens=3)
TEXT = samples.verdict()[:2_000]


def trained(folder: Path, *commands: str, recipe: Recipe = SMALL, seconds: float = 60) -> list[dict[str, Any]]:
    """What a run says that is told these things beforehand."""
    said: list[dict[str, Any]] = []
    told: queue.Queue[str] = queue.Queue()
    for command in commands:
        told.put(command)
    worker.write(Request(recipe, TEXT, ("the way", "t", "a text longer than the context"), seconds), folder)
    worker.train(worker.read(folder), folder, said.append, told)
    return said


def test_it_says_what_the_loop_does(tmp_path: Path) -> None:
    said = trained(tmp_path / "run")
    assert [message["kind"] for message in said] == ["start", *["look"] * 5, "end"]
    assert said[-1] == {"kind": "end", "state": "done", "step": 8}
    tokenizer = load_model(tmp_path / "run").tokenizer
    plain = [look.val_loss for look in run(Trainer(SMALL, TEXT, tokenizer))]
    assert [message["val_loss"] for message in said[1:-1]] == plain
    assert said[0]["watched"] == ("the way",)
    (followed,) = said[1]["watched"]
    assert len(followed["log_probas"]) == len("the way") - 1


def test_paused_it_takes_one_step_at_a_time(tmp_path: Path) -> None:
    said = trained(tmp_path / "run", "pause", "step", "step", "go")
    assert [message["step"] for message in said if message["kind"] == "look"] == [0, 1, 2, 4, 6, 8]


def test_stopped_it_keeps_what_it_has(tmp_path: Path) -> None:
    said = trained(tmp_path / "run", "pause", "step", "stop")
    assert said[-1] == {"kind": "end", "state": "stopped", "step": 1}
    assert score(load_model(tmp_path / "run"), "the way").loss == pytest.approx(5.5, abs=0.5)


def test_its_time_ends(tmp_path: Path) -> None:
    said = trained(tmp_path / "run", seconds=0)
    assert said[-1] == {"kind": "end", "state": "out of time", "step": 1}


def test_the_same_seed_is_the_same_curve(tmp_path: Path) -> None:
    def losses(name: str, seed: int) -> list[float]:
        said = trained(tmp_path / name, recipe=replace(SMALL, seed=seed))
        return [message["val_loss"] for message in said if message["kind"] == "look"]

    first = losses("first", 123)
    assert losses("again", 123) == first
    assert losses("other", 7) != first


def test_one_repeated_letter_is_learned(tmp_path: Path) -> None:
    said: list[dict[str, Any]] = []
    worker.write(Request(replace(SMALL, steps=30), "a" * 2_000), tmp_path / "run")
    worker.train(worker.read(tmp_path / "run"), tmp_path / "run", said.append, queue.Queue())
    losses = [message["val_loss"] for message in said if message["kind"] == "look"]
    assert losses[-1] < losses[0] - 1


@pytest.mark.parametrize("text", ["", "20 characters, no more"])
def test_a_text_too_short_is_a_sentence(text: str, tmp_path: Path) -> None:
    worker.write(Request(SMALL, text), tmp_path / "run")
    with pytest.raises(GptlossError, match="part has"):
        worker.train(worker.read(tmp_path / "run"), tmp_path / "run", lambda message: None, queue.Queue())


def test_a_process_ends_with_who_started_it(tmp_path: Path) -> None:
    """Its standard input is closed: it stops, and the model is whole."""
    worker.write(Request(replace(SMALL, steps=100_000), TEXT), tmp_path / "run")
    command = [sys.executable, "-m", "gptloss.training.worker"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdin
        assert process.stdout
        process.stdin.write(f"{tmp_path / 'run'}\n")
        process.stdin.flush()
        assert json.loads(process.stdout.readline())["kind"] == "start"
        process.stdin.close()
        last = [json.loads(line) for line in process.stdout][-1]
    assert last["kind"] == "end"
    assert last["state"] == "stopped"
    assert process.returncode == 0
    assert load_model(tmp_path / "run").info.vocab_size == 256


def test_a_process_that_nobody_gives_a_run_ends() -> None:
    done = subprocess.run([sys.executable, "-m", "gptloss.training.worker"], input="", text=True, capture_output=True)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
