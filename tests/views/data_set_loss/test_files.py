"""The results of "Data set loss" as files."""

import io
from typing import Any

import pandas as pd
import pytest

from gptloss import load_model
from gptloss.corpus.conventions import plan
from gptloss.corpus.job import Document, Job, texts_of
from gptloss.serving import runs
from tests.helpers.data_set_loss import (
    PAGE,
    ran,
)
from tests.helpers.pages import opened
from views.data_set_loss import files as dataset_files

pytestmark = pytest.mark.filterwarnings("ignore")


def done(text: str = "=1+1 tea 💙 " * 30, convention: Any = "rolling") -> runs.BackgroundRun:
    job = Job("bigram", texts_of((Document("a.txt", text),)), plan(convention, load_model("bigram").info, 64), 0.9)
    runs.start([job], "me")
    run = runs.find_run(job)
    assert run is not None
    run.wait(20)
    return run


def test_the_files_hold_every_token_and_window() -> None:
    run = done()
    tokens = pd.read_csv(io.StringIO(dataset_files.csv(dataset_files.tokens_frame(run))))
    assert len(tokens) == run.tokens
    raw = b"".join(bytes.fromhex(word) for word in tokens[tokens.part == "training"].bytes)
    text = run.job.texts.documents[0].text
    assert raw == text[: int(0.9 * len(text))].encode()[1:]
    assert all(word.startswith('"') for word in tokens.text)
    windows = pd.read_parquet(io.BytesIO(dataset_files.parquet(dataset_files.windows_frame(run))))
    assert windows.tokens.sum() == run.tokens
    weighted = (windows.loss * windows.tokens).sum()
    assert weighted == pytest.approx(-tokens.log_proba.sum())
    assert "".join(windows[windows.part == "training"].text) == text[1 : int(0.9 * len(text))]
    assert list(tokens.context[:64]) == list(range(1, 65))


def test_files_are_made_when_they_are_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dataset_files, "csv", lambda frame: pytest.fail("made too early"))
    app = ran(opened(PAGE, model="bigram"))
    names = [each.proto.label for each in app.get("download_button")]
    assert names == ["All windows as CSV", "All windows as Parquet", "All tokens as CSV", "All tokens as Parquet"]
