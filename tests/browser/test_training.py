"""The page "Training" in a real Chromium."""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import BrowserContext, Page, expect

from gptloss.models.catalogue import runs
from tests.helpers.driver import IDLE, TIMEOUT, Server, open_page, still

pytestmark = pytest.mark.browser
A_RUN = 4 * TIMEOUT


@pytest.fixture
def swept() -> Iterator[None]:
    """The app keeps its runs where its user's are: those of a test go again."""
    before = runs.kept()
    yield
    for name in set(runs.kept()) - set(before):
        runs.remove(name)


def open_live(page: Page, app: Server, query: str) -> None:
    page.goto(f"{app.url}/training?mode=live&{query}")
    expect(page.locator(IDLE)).to_be_attached(timeout=A_RUN)


def test_one_slider_moves_everything(page: Page, app: Server) -> None:
    open_page(page, f"{app.url}/training")
    still(page)
    bar = page.locator(".replay")
    slider = page.get_by_role("slider", name="Step of the run")
    expect(bar.locator(".step")).to_have_text("800 · epoch 22.9")
    expect(bar.locator(".frame")).to_have_count(2)
    before = bar.locator(".line").bounding_box()
    frame = bar.locator(".frame").first.bounding_box()
    slider.focus()
    page.keyboard.press("End")
    expect(bar.locator(".step")).to_have_text("1,400 · epoch 40.0")
    expect(bar.locator(".figure.training b")).to_have_text("0.35")
    expect(bar.locator(".sample .now")).to_contain_text("I HAD always thought Jack Gisburn")
    after = bar.locator(".line").bounding_box()
    lower = bar.locator(".frame").first.bounding_box()
    assert before and after and frame and lower  # noqa: PT018
    assert after["x"] > before["x"] + 100
    assert lower["y"] > frame["y"] + 20
    expect(page).to_have_url(re.compile("moment=1400"))
    page.keyboard.press("Home")
    page.get_by_role("button", name="Play").click()
    expect(bar.locator(".step")).not_to_have_text("0 · epoch 0.0")
    slider.focus()
    page.keyboard.press("Home")  # a move of the slider stops what plays
    expect(page.get_by_role("button", name="▶ Play")).to_be_visible()
    expect(bar.locator(".step")).to_have_text("0 · epoch 0.0")
    assert app.complaints == []


def test_the_line_stands_where_the_chart_has_the_step(page: Page, app: Server) -> None:
    open_page(page, f"{app.url}/training?moment=260")
    still(page)
    line = page.locator(".replay .line").bounding_box()
    turn = page.locator(".st-key-replay-curve .scatterlayer .point").last.bounding_box()
    assert line
    assert turn
    assert line["x"] + line["width"] / 2 == pytest.approx(turn["x"] + turn["width"] / 2, abs=2)


def test_two_visitors_train_one_after_the_other(
    page: Page, window: BrowserContext, app: Server, tmp_path: Path, swept: None
) -> None:
    """The first one trains, the second one waits; the model is used, taken away and brought back."""
    small = "width=32&layers=1&context=16&windows=8"
    open_live(page, app, "steps=5000&budget=300")
    page.get_by_role("button", name="Train", exact=True).click()
    expect(page.get_by_text(re.compile("weights: step [1-9]"))).to_be_visible(timeout=A_RUN)
    other = window.new_page()
    open_live(other, app, f"{small}&steps=40")
    other.get_by_role("button", name="Train", exact=True).click()
    expect(other.get_by_text("1 before you")).to_be_visible()
    page.get_by_role("button", name="Pause").click()
    expect(page.get_by_text(re.compile("paused after step"))).to_be_visible(timeout=A_RUN)
    page.get_by_role("button", name="One step").click()
    page.get_by_role("button", name="Stop").click()
    expect(page.get_by_role("button", name="Use it on all pages")).to_be_visible(timeout=A_RUN)
    expect(other.get_by_text("all 40 steps are done")).to_be_visible(timeout=A_RUN)
    other.close()

    page.bring_to_front()
    still(page)
    with page.expect_download(timeout=A_RUN) as download:
        page.get_by_role("button", name="Download it").click()
    download.value.save_as(tmp_path / "run.zip")
    page.get_by_role("button", name="Use it on all pages").click()
    expect(page).to_have_url(re.compile(r"model=run%3A|model=run:"))
    page.get_by_text("Load a model that was downloaded here").click()
    page.get_by_test_id("stFileUploaderDropzoneInput").set_input_files(tmp_path / "run.zip")
    expect(page.get_by_text("The model is run:loaded")).to_be_visible(timeout=A_RUN)
    page.get_by_role("link", name="Token probabilities").click()
    expect(page.get_by_text("trained here").first).to_be_visible(timeout=A_RUN)
    expect(page.locator(".gtitle").first).to_be_attached()
    assert app.complaints == []
