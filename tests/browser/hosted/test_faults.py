"""What a visitor sees when something breaks while a hosted app is at work: a sentence, and the text is kept."""

import os
import re
import shutil
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest
from playwright.sync_api import Page, expect

from tests.helpers import driver
from tests.helpers.checkpoints import save_gpt2
from tests.helpers.driver import ROOT, TIMEOUT, Server, open_page, unfold

pytestmark = pytest.mark.browser
READY = 2 * TIMEOUT


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("hosted") / "small"
    save_gpt2(folder)
    return folder


@pytest.fixture
def hosted(model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[Server, psutil.Process]]:
    """A hosted app with a small model, and its process."""
    monkeypatch.setenv("GPTLOSS_PROFILE", "hosted")
    monkeypatch.setenv("GPTLOSS_MODELS", f"bigram,{model}")
    with driver.server(tmp_path / "log") as app:
        port = app.url.rsplit(":", 1)[1]
        found = [p for p in psutil.Process().children(recursive=True) if f"--server.port={port}" in p.cmdline()]
        yield app, found[0]


def worker_of(server: psutil.Process) -> psutil.Process:
    """The process that computes, as soon as there is one."""
    for _ in range(600):
        found = [p for p in server.children() if "gptloss.serving.worker.process" in p.cmdline()]
        if found:
            return found[0]
        time.sleep(0.1)
    raise AssertionError("there is no worker")


def write(page: Page, text: str) -> None:
    unfold(page, "editor")
    page.get_by_label("Input", exact=True).fill(text)
    page.get_by_label("Input", exact=True).press("Enter")


def losses(page: Page) -> str:
    return page.locator(".st-key-loss [data-testid=stMetricValue]").inner_text()


def test_the_worker_is_killed_and_nobody_loses_anything(
    page: Page, hosted: tuple[Server, psutil.Process], model: Path
) -> None:
    app, server = hosted
    open_page(page, f"{app.url}/?model={model}&input=tea+time")
    first, before = losses(page), worker_of(server)
    before.kill()
    write(page, "tea time is at five")
    expect(page.locator(".st-key-loss [data-testid=stMetricValue]")).not_to_have_text(first, timeout=READY)
    expect(page.get_by_label("Input", exact=True)).to_have_value("tea time is at five")
    assert re.fullmatch(r"\d+\.\d{4}", losses(page))
    assert worker_of(server).pid != before.pid
    assert "Traceback" not in app.log.read_text("utf-8")


def test_a_model_is_deleted_under_the_server(page: Page, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / "gone"
    save_gpt2(folder)
    monkeypatch.setenv("GPTLOSS_PROFILE", "hosted")
    monkeypatch.setenv("GPTLOSS_MODELS", f"{folder},bigram")
    with driver.server(tmp_path / "log") as app:
        open_page(page, f"{app.url}/?model={folder}&input=tea+time")
        shutil.rmtree(folder)
        time.sleep(1.5)  # what was here a second ago counts as here
        write(page, "tea time is at five")
        expect(page.locator("[data-testid=stMain]")).to_contain_text("There is no folder", timeout=READY)
        expect(page.get_by_label("Input", exact=True)).to_have_value("tea time is at five")
        assert page.get_by_test_id("stException").count() == 0


def test_nothing_can_be_written(page: Page, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No room for models, for what was measured, for hashes: the app opens, and the numbers are there."""
    monkeypatch.setenv("GPTLOSS_PROFILE", "hosted")
    monkeypatch.setenv("GPTLOSS_HOME", "/proc/nowhere" if Path("/proc").is_dir() else str(tmp_path / "\0"))
    with driver.server(tmp_path / "log") as app:
        open_page(page, f"{app.url}/?model=bigram&input=tea+time")
        assert re.fullmatch(r"\d+\.\d{4}", losses(page))
        open_page(page, f"{app.url}/?input=every+effort+moves+you")
        assert re.fullmatch(r"\d+\.\d{4}", losses(page))
        assert app.complaints == []


@pytest.mark.skipif(os.name == "nt", reason="Windows has no such signal")
def test_told_to_end_it_ends_and_leaves_no_worker(hosted: tuple[Server, psutil.Process], page: Page) -> None:
    app, server = hosted
    open_page(page, f"{app.url}/?model=bigram&input=tea+time")
    worker = worker_of(server)
    server.send_signal(signal.SIGTERM)
    _, alive = psutil.wait_procs([server, worker], timeout=120)
    assert alive == []


def test_no_clock_that_can_jump_decides() -> None:
    """Waits are measured by a clock that only goes on; a clock that was set anew ends nothing early."""
    for top in ("gptloss/serving", "views"):
        for file in (ROOT / top).rglob("*.py"):
            assert "time.time()" not in file.read_text("utf-8"), file
