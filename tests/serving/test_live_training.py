"""One run at a time, each in a process of its own, and nothing left over."""

import errno
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from gptloss import GptlossError, load_model
from gptloss.corpus import samples
from gptloss.models.catalogue import runs
from gptloss.serving import live_training
from gptloss.serving.live_training import LiveRun, TrainingDesk
from gptloss.training import worker
from gptloss.training.recipe import LETTERS
from gptloss.training.worker import Request

SMALL = replace(LETTERS, context_length=8, emb_dim=16, n_heads=2, n_layers=1, steps=4, eval_every=2, sample_tokens=3)
LONG = replace(SMALL, steps=1_000_000)
TEXT = samples.verdict()[:2_000]
LIMIT = 120.0


@pytest.fixture
def desk(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[TrainingDesk]:
    monkeypatch.setenv("GPTLOSS_HOME", str(tmp_path))
    monkeypatch.setattr(live_training, "LOOK", 0.02)
    monkeypatch.setattr(live_training, "AWAY", 0.0)
    desk = TrainingDesk()
    yield desk
    desk.clear()
    for thread in threading.enumerate():
        if thread.name == "training-desk":
            thread.join(LIMIT)
            assert not thread.is_alive()


def until(true: Callable[[], bool]) -> None:
    end = time.monotonic() + LIMIT
    while not true():
        assert time.monotonic() < end
        time.sleep(0.02)


def always(_: str) -> bool:
    return True


def start(desk: TrainingDesk, visitor: str, recipe: object = SMALL, keep: bool = True) -> LiveRun:
    return desk.start(visitor, Request(recipe, TEXT, ("the way",)), always, keep=keep)  # type: ignore[arg-type]


def test_a_process_waits_warm_and_its_run_becomes_a_model(
    desk: TrainingDesk, monkeypatch: pytest.MonkeyPatch
) -> None:
    desk.warm()
    spare = desk._spare
    assert spare
    run = start(desk, "one")
    assert run.process is spare
    until(lambda: run.ended)
    assert (run.state, run.error) == ("done", "")
    assert [look.step for look in run.snapshots] == [0, 2, 4]
    assert run.baselines
    assert run.has_model
    assert runs.kept() == [run.name]
    assert load_model(run.name).info.weights == "trained here"
    until(lambda: not (run.folder / worker.TEXT).exists())
    desk.warm()
    spare = desk._spare
    assert spare
    monkeypatch.setattr(live_training, "WARM", 0.0)
    until(lambda: desk._spare is None)
    assert spare.poll() is not None


def test_pause_step_go_on_and_die(desk: TrainingDesk) -> None:
    run = start(desk, "one", LONG)
    until(lambda: len(run.snapshots) > 0)
    desk.tell("one", "pause")
    assert run.state == "paused"
    desk.tell("one", "step")
    desk.tell("one", "step")
    until(lambda: len(run.snapshots) > 1 and run.snapshots[-1].step == run.snapshots[-2].step + 1)
    desk.tell("one", "go")
    seen = len(run.snapshots)
    until(lambda: len(run.snapshots) > seen)
    assert run.state == "training"
    assert run.process
    run.process.kill()
    until(lambda: run.ended)
    assert run.state == "failed"
    assert "start again" in run.error


def test_who_leaves_leaves_nothing(desk: TrainingDesk) -> None:
    here = {"one", "two"}
    for visitor in ("one", "two"):
        desk.start(visitor, Request(LONG, TEXT), here.__contains__, keep=False)
    first, second = desk.of("one"), desk.of("two")
    assert first
    assert second
    until(lambda: len(first.snapshots) > 0)
    here.clear()
    until(lambda: desk.of("one") is None and desk.of("two") is None)
    assert first.process
    assert first.process.poll() is not None
    assert not first.folder.exists()
    assert not second.folder.exists()


def test_others_wait_and_a_run_that_is_paused_for_long_makes_way(
    desk: TrainingDesk, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, second = start(desk, "one", LONG), start(desk, "two")
    assert (second.state, desk.before("two"), desk.before("one")) == ("waiting", 1, 0)
    until(lambda: len(first.snapshots) > 0)
    assert second.state == "waiting"
    monkeypatch.setattr(live_training, "PATIENCE", 0.0)
    desk.tell("one", "pause")
    until(lambda: second.ended)
    assert (first.state, second.state) == ("stopped", "done")


def test_what_cannot_train_is_a_sentence(desk: TrainingDesk) -> None:
    run = desk.start("one", Request(SMALL, "a" * 20), always)
    until(lambda: run.ended)
    assert run.state == "failed"
    assert "take a longer text" in run.error


def test_a_full_disk_is_a_sentence(desk: TrainingDesk, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(worker, "write", full)
    with pytest.raises(GptlossError, match=r"No space left.*make room"):
        start(desk, "one")
    assert desk.of("one") is None


def test_too_many_wait(desk: TrainingDesk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(live_training, "MOST_WAITING", 0)
    start(desk, "one", LONG)
    with pytest.raises(GptlossError, match="try again later"):
        start(desk, "two")
