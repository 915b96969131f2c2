"""The worker: what it computes is what this process computes, and its death is not the visitor's."""

import logging
import os
import signal
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from queue import Queue
from typing import Any

import numpy as np
import pytest
import torch

from gptloss import GptlossError, load_model, score
from gptloss.corpus.head import log_probas
from gptloss.errors import NotHereError, TooLongError
from gptloss.models import LanguageModel, ModelInfo, find
from gptloss.models.base import Reader
from gptloss.prediction.sampling import Sampler, generate
from gptloss.serving import models
from gptloss.serving.worker import client, model, process
from gptloss.serving.worker.client import DIED, Worker
from gptloss.serving.worker.model import WorkerModel
from tests.helpers.checkpoints import save_gpt2

TEXT = "every effort moves you"
CLOSE = 1e-5


@pytest.fixture(scope="module")
def worker() -> Iterator[Worker]:
    made = Worker()
    yield made
    made.end()


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small checkpoint."""
    place = tmp_path_factory.mktemp("models") / "small"
    save_gpt2(place)
    return place


@pytest.fixture
def remote(worker: Worker, folder: Path, monkeypatch: pytest.MonkeyPatch) -> WorkerModel:
    """The small model in the worker."""
    monkeypatch.setattr(model, "WORKER", worker)
    return WorkerModel(find(str(folder)).info)


@pytest.fixture
def here(folder: Path) -> LanguageModel:
    """The same model in this process."""
    return load_model(str(folder))


def test_it_gives_what_this_process_gives(remote: WorkerModel, here: LanguageModel) -> None:
    ours, theirs = score(here, [TEXT, "one two"]), score(remote, [TEXT, "one two"])
    assert isinstance(remote, LanguageModel)
    assert theirs.loss == pytest.approx(ours.loss, abs=CLOSE)
    torch.testing.assert_close(theirs.hidden, ours.hidden, rtol=CLOSE, atol=CLOSE)
    assert theirs.ranks.tolist() == ours.ranks.tolist()
    targets = torch.tensor([5] * len(ours.hidden))
    torch.testing.assert_close(
        log_probas(remote, ours.hidden, targets), log_probas(here, ours.hidden, targets), rtol=CLOSE, atol=CLOSE
    )


def test_its_reader_reads_on_and_reads_again_what_the_worker_has_lost(
    worker: Worker, remote: WorkerModel, here: LanguageModel
) -> None:
    ids = torch.tensor([token.id for token in here.tokenizer.encode(TEXT)])
    reader, whole = remote.reader(), here.hidden(ids[None])[0]
    assert isinstance(reader, Reader)
    first = reader.read(ids[:2])
    worker.end()
    rest = reader.read(ids[2:])
    torch.testing.assert_close(torch.cat([first, rest]), whole, rtol=CLOSE, atol=CLOSE)
    assert reader.length == len(ids)
    one, other = (
        [made.token.id for _, made in zip(range(4), generate(each, ids.tolist(), Sampler(), seed=1), strict=False)]
        for each in (remote, here)
    )
    assert one == other


def test_errors_come_through_whole(remote: WorkerModel) -> None:
    reader = remote.reader()
    with pytest.raises(TooLongError) as caught:
        reader.read(torch.zeros(remote.info.context_length + 1, dtype=torch.long))
    assert caught.value.limit == remote.info.context_length
    with pytest.raises(GptlossError, match="no token to read"):
        reader.read(torch.empty(0, dtype=torch.long))


def test_a_missing_model_is_said(worker: Worker, folder: Path) -> None:
    with pytest.raises(NotHereError, match="hf:nobody/nothing"):
        worker.ask("load", ModelInfo("hf:nobody/nothing", "", "", 9, 9, 9))


def test_killed_it_is_started_again_and_asked_again(
    worker: Worker, remote: WorkerModel, here: LanguageModel, caplog: pytest.LogCaptureFixture
) -> None:
    ids = torch.zeros(1, 8, dtype=torch.long)
    before = worker.process
    assert before is not None
    os.kill(before, signal.SIGSTOP)  # so that it dies while it is asked
    with ThreadPoolExecutor(1) as threads, caplog.at_level(logging.WARNING):
        asked = threads.submit(remote.hidden, ids)
        for _ in range(3000):
            if worker._process and worker._process._slots:
                break
            time.sleep(0.01)
        os.kill(before, signal.SIGKILL)
        torch.testing.assert_close(asked.result(60), here.hidden(ids), rtol=CLOSE, atol=CLOSE)
    assert worker.process not in (None, before)
    assert "asked again" in caplog.text


FAKE = "import pickle, sys, os\nwhile True:\n    number, *_ = pickle.load(sys.stdin.buffer)\n"


def test_a_request_that_kills_it_twice_is_a_sentence() -> None:
    made = Worker((sys.executable, "-c", FAKE + "    os._exit(3)"))
    with pytest.raises(GptlossError, match="has ended twice"):
        made.ask("hidden", find("bigram").info)
    assert DIED.endswith("another model.")


def test_one_that_hangs_is_ended(caplog: pytest.LogCaptureFixture) -> None:
    made = Worker((sys.executable, "-c", FAKE + "    pass"), hangs=0.5)
    with pytest.raises(GptlossError, match="has ended twice"), caplog.at_level(logging.WARNING):
        made.ask("hidden", find("bigram").info)
    assert "has said nothing" in caplog.text


def test_what_it_prints_is_no_answer(worker: Worker, folder: Path) -> None:
    """Its standard output carries answers alone; a half answer of one that is killed is none."""
    made = Worker((sys.executable, "-c", FAKE + "    sys.stdout.buffer.write(b'\\x80\\x05half'); os._exit(0)"))
    with pytest.raises(GptlossError, match="has ended twice"):
        made.ask("hidden", find("bigram").info)


class Counted:
    """A model that notes how many rows it was given at once."""

    def __init__(self, model: LanguageModel) -> None:
        self._model, self.sizes = model, list[tuple[int, ...]]()
        self.info, self.tokenizer, self.reader = model.info, model.tokenizer, model.reader

    def hidden(self, ids: Any) -> Any:
        self.sizes.append(tuple(ids.shape))
        return self._model.hidden(ids)

    def head(self, hidden: Any) -> Any:
        self.sizes.append(tuple(hidden.shape[:1]))
        return self._model.head(hidden)


def request(number: int, what: str, *shape: int) -> process.Request:
    array = np.zeros(shape, dtype=np.int64 if what == "hidden" else np.float32)
    return process.Request(number, what, find("bigram").info, (array,))


def test_short_texts_that_wait_together_run_together_and_each_gets_its_own(
    here: LanguageModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    counted = Counted(here)
    monkeypatch.setattr(process, "loaded_as", lambda info: models.LoadedModel(counted))
    answers: dict[int, Any] = {}
    rows = [np.array([[1, 2, 3]]), np.array([[4, 5]]), np.array([[6, 7, 8, 9]])]
    requests = [process.Request(n, "hidden", here.info, (ids,)) for n, ids in enumerate(rows)]
    answers = dict(enumerate(process._done(requests)))
    assert counted.sizes == [(3, 4)]
    for n, ids in enumerate(rows):
        torch.testing.assert_close(
            torch.from_numpy(answers[n]), here.hidden(torch.from_numpy(ids)), rtol=CLOSE, atol=CLOSE
        )
    states = [process.Request(n, "head", here.info, (answers[n][0],)) for n in answers]
    heads = process._done(states)
    assert counted.sizes[1:] == [(9,)]
    torch.testing.assert_close(
        torch.from_numpy(heads[2]), here.head(torch.from_numpy(answers[2][0])), rtol=CLOSE, atol=CLOSE
    )


def test_who_runs_with_whom(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(process.Bench, "start", lambda self: None)
    bench = process.Bench(lambda number, value, error: None)
    for asked in (
        request(1, "hidden", 1, 4),
        request(2, "head", 3, 8),
        request(3, "hidden", 2, 4),
        request(4, "hidden", 1, 60),
        request(5, "hidden", 1, 60),
        request(6, "read", 3),
    ):
        bench.add(asked)
    batches = []
    while bench._waiting:
        batches.append([asked.number for asked in bench._next()])
    assert batches == [[1, 3, 4], [2], [5], [6]]
    assert [request(1, "hidden", 1, n).long for n in (model.SHORT, model.SHORT + 1)] == [False, True]


def test_one_input_is_read_once_whatever_its_targets_are(
    here: LanguageModel, worker: Worker, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[str] = []

    class Counting:
        def ask(self, what: str, *args: Any) -> Any:
            asked.append(what)
            return worker.ask(what, *args)

    monkeypatch.setattr(model, "WORKER", Counting())
    there = WorkerModel(here.info)
    given, targets = [65, 66, 67], ([66, 67, 68], [70, 70, 71])
    losses = [score(there, given, target).loss for target in targets]
    assert asked.count("hidden") == 1
    assert losses == pytest.approx([score(here, given, target).loss for target in targets], abs=CLOSE)
    long = torch.arange(model.SHORT + 1)[None]
    for _ in range(2):
        there.hidden(long)
    assert asked.count("hidden") == 3


def test_in_a_crowd_a_request_waits_for_company(monkeypatch: pytest.MonkeyPatch) -> None:
    passes: list[int] = []

    def done(requests: Any) -> list[Any]:
        passes.append(len(requests))
        return [None for _ in requests]

    monkeypatch.setattr(process, "_done", done)
    monkeypatch.setattr(process, "COMPANY", 3)
    monkeypatch.setattr(process, "PAUSE", 3600.0)
    told: Queue[int] = Queue()
    bench = process.Bench(lambda number, value, error: told.put(number))
    info, args = find("bigram").info, (np.array([[65]]),)
    bench.add(process.Request(0, "hidden", info, args, process.CROWD - 1))
    assert told.get(timeout=60) == 0  # nobody else is there: at once
    for number in (1, 2, 3):
        bench.add(process.Request(number, "hidden", info, args, process.CROWD))
    assert {told.get(timeout=60) for _ in range(3)} == {1, 2, 3}
    assert passes == [1, 3]


def test_what_writes_a_text_waits_for_nobody(monkeypatch: pytest.MonkeyPatch) -> None:
    """It asks for one token after another, and each pause would be added to the others. Nor may others hold it up."""
    monkeypatch.setattr(process, "_done", lambda requests: [None for _ in requests])
    monkeypatch.setattr(process, "PAUSE", 3600.0)
    told: Queue[int] = Queue()
    bench = process.Bench(lambda number, value, error: told.put(number))
    info, args = find("bigram").info, (np.array([[65]]),)
    bench.add(process.Request(1, "head", info, args, process.CROWD))
    assert told.get(timeout=60) == 1
    bench.add(process.Request(2, "hidden", info, args, process.CROWD))
    bench.add(process.Request(3, "read", info, args, process.CROWD))
    assert {told.get(timeout=60) for _ in range(2)} == {2, 3}


def test_a_program_error_is_a_sentence_and_the_bench_goes_on(caplog: pytest.LogCaptureFixture) -> None:
    told: dict[int, Any] = {}
    with Path(os.devnull).open("wb") as nowhere:
        office = process.Office(nowhere)
    office._send = lambda number, value, error: told.update({number: error or value})  # type: ignore[method-assign]
    broken = process.Request(1, "hidden", find("bigram").info, (np.array([[-999]]),))
    with caplog.at_level(logging.ERROR):
        office.take(broken)
        office.take(process.Request(2, "load", find("bigram").info, ()))
        for _ in range(600):
            if len(told) == 2:
                break
            time.sleep(0.05)
    assert str(told[1]) == client.BUSY
    assert told[2] == {"moves": False, "kernels": {}}
    assert "has failed" in caplog.text


def test_one_mistake_in_a_pass_is_not_the_others(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(process.Bench, "start", lambda self: None)
    told: dict[int, Any] = {}
    bench = process.Bench(lambda number, value, error: told.update({number: error or value}))
    info = find("bigram").info
    bench._do([process.Request(n, "hidden", info, (np.array([[id]]),)) for n, id in ((1, 65), (2, -999), (3, 66))])
    assert str(told[2]) == client.BUSY
    assert told[1].shape == told[3].shape
    assert told[1].shape[:2] == (1, 1)


def test_the_profile_decides(monkeypatch: pytest.MonkeyPatch, worker: Worker) -> None:
    monkeypatch.setattr(model, "WORKER", worker)
    models.unload_all()
    assert not isinstance(models.loaded("bigram").model, WorkerModel)
    monkeypatch.setenv("GPTLOSS_PROFILE", "hosted")
    models.unload_all()
    assert isinstance(models.loaded("bigram").model, WorkerModel)
    assert not isinstance(models.with_weights("bigram"), WorkerModel)
    models.unload_all()


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux holds a process to its memory")
def test_what_needs_more_memory_than_the_profile_gives_is_a_sentence(
    monkeypatch: pytest.MonkeyPatch, folder: Path
) -> None:
    monkeypatch.setattr(client, "_home", lambda: {"GPTLOSS_PROFILE": "local", "GPTLOSS_MEMORY_MB": "1500"})
    made, info = Worker(), find(str(folder)).info
    try:
        with pytest.raises(GptlossError, match="needs more memory than this server gives it; choose a smaller"):
            made.ask("head", info, np.zeros((1_000_000, 32), dtype=np.float32))  # 1.2 GB of logits
        first = made.process
        assert made.ask("hidden", info, np.zeros((1, 4), dtype=np.int64)).shape == (1, 4, 32)
        assert made.process == first  # the others go on
    finally:
        made.end()


@pytest.mark.skipif(sys.platform != "linux", reason="other systems do not let a mapped file be cut")
def test_cut_in_place_a_model_file_ends_the_worker_and_not_the_server(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """The weights are mapped, so reading them is a bus error; the new worker finds the file cut and says so."""
    place = tmp_path / "cut"
    save_gpt2(place, n_embd=128)
    info, made = find(str(place)).info, Worker()
    ids = np.zeros((1, 4), dtype=np.int64)
    try:
        made.ask("hidden", info, ids)
        with (place / "model.safetensors").open("r+b") as stream:
            stream.truncate(4096)
        with pytest.raises(GptlossError, match="is cut short or damaged"), caplog.at_level(logging.WARNING):
            made.ask("hidden", info, ids)
        assert f"has ended with status -{signal.SIGBUS.value}" in caplog.text
        assert made.ask("load", find("bigram").info) == {"moves": False, "kernels": {}}
    finally:
        made.end()
