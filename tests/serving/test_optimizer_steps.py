"""Copies of models for visitors: few at a time, and gone when their visitor has left."""

import gc
import threading
import weakref
from collections.abc import Iterator
from typing import Any

import pytest
from transformers import GPT2Config, GPT2LMHeadModel

from gptloss import GptlossError
from gptloss.serving import optimizer_steps
from gptloss.serving.optimizer_steps import BusyError, StepDesk, Steps
from gptloss.serving.question import Question
from gptloss.training.optimizer_steps import OptimizerSteps


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A model that is no toy: more than 10 MB."""
    folder = tmp_path_factory.mktemp("small")
    GPT2LMHeadModel(GPT2Config(n_layer=1, n_embd=64, n_head=2, n_positions=32)).save_pretrained(folder)
    return str(folder)


@pytest.fixture
def desk(monkeypatch: pytest.MonkeyPatch) -> Iterator[StepDesk]:
    monkeypatch.setattr(optimizer_steps, "LOOK", 0.02)
    desk = StepDesk()
    yield desk
    desk.clear()
    for thread in threading.enumerate():
        if thread.name == "step-desk":
            thread.join()


def asked(folder: str, text: str = "every effort moves you") -> Steps:
    return Steps(Question(folder, (text,), None, False), "sgd")


def always(_: str) -> bool:
    return True


def test_steps_add_up_and_other_rows_begin_anew(desk: StepDesk, folder: str) -> None:
    rows = asked(folder)
    desk.step("one", rows, 0.01, always)
    steps = desk.step("one", rows, 0.02, always)
    assert [step.learning_rate for step in steps] == [0.01, 0.02]
    others = asked(folder, "I really like chocolate")
    assert len(desk.step("one", others, 0.01, always)) == 1
    desk.forget("one")
    assert desk.step("one", rows, 0.01, always) == steps[:1]


def test_one_large_copy_at_a_time(desk: StepDesk, folder: str, monkeypatch: pytest.MonkeyPatch) -> None:
    desk.step("one", asked(folder), 0.01, always)
    with pytest.raises(BusyError, match=r"Another visitor is taking steps.* try again in \d+ seconds"):
        desk.step("other", asked(folder), 0.01, always)
    assert len(desk.step("one", asked(folder), 0.01, always)) == 2  # who has it goes on
    monkeypatch.setattr(optimizer_steps, "IDLE", 0.0)
    assert len(desk.step("other", asked(folder), 0.01, always)) == 1  # who has not used it for a while loses it
    assert len(desk.step("one", asked(folder), 0.01, always)) == 1


def test_the_copy_of_a_visitor_who_leaves_goes(desk: StepDesk, folder: str, monkeypatch: pytest.MonkeyPatch) -> None:
    copies = weakref.WeakSet[OptimizerSteps]()

    def seen(*arguments: Any) -> OptimizerSteps:
        copies.add(made := OptimizerSteps(*arguments))
        return made

    monkeypatch.setattr(optimizer_steps, "OptimizerSteps", seen)
    here = {"one"}
    desk.step("one", asked(folder), 0.01, here.__contains__)
    assert len(copies) == 1
    watcher = next(thread for thread in threading.enumerate() if thread.name == "step-desk")
    here.clear()
    watcher.join()
    gc.collect()
    assert len(copies) == 0


def test_a_model_that_cannot_learn_holds_no_place(desk: StepDesk, folder: str) -> None:
    with pytest.raises(GptlossError, match="bigram has no weights"):
        desk.step("one", asked("bigram"), 0.01, always)
    long = asked(folder, "and so on " * 300)
    with pytest.raises(GptlossError, match="steps are taken on 256 at most"):
        desk.step("one", long, 0.01, always)
    assert len(desk.step("other", asked(folder), 0.01, always)) == 1
