"""The page "Data set loss" in a real Chromium."""

import re
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Locator, Page, expect

from tests.helpers.driver import IDLE, TIMEOUT, Server, hovered, loss, open_page, still

pytestmark = pytest.mark.browser

BYTES = "?model=bigram"
# A run under the untrained GPT-2 takes about 20 s on two cores, and longer where much else runs.
LONG = 4 * TIMEOUT
NOT_YET = "–"


def opened(page: Page, app: Server, query: str = "") -> None:
    open_page(page, f"{app.url}/data_set_loss{query}")
    expect(page.locator(".st-key-split-chart .main-svg").first).to_be_attached()


def ours(page: Page, name: str) -> Locator:
    """A button of the page: Streamlit has a Stop of its own in its header."""
    return page.get_by_test_id("stMainBlockContainer").get_by_role("button", name=name, exact=True)


def press(page: Page, name: str) -> None:
    ours(page, name).click()


def done(page: Page, timeout: float = TIMEOUT) -> None:
    """The run has ended and all is drawn."""
    expect(page.locator(".st-key-by-context .main-svg").first).to_be_attached(timeout=timeout)
    expect(ours(page, "Stop")).to_have_count(0)
    expect(page.locator(IDLE)).to_be_attached()


def pasted(page: Page, text: str) -> None:
    page.get_by_role("radio", name="Paste").or_(page.get_by_role("button", name="Paste")).first.click()
    box = page.get_by_role("textbox", name="Paste a text")
    box.fill(text)
    box.press("Control+Enter")
    expect(
        page.get_by_text(f"{len(text.encode()) - len(text.encode()) // 10:,} tokens", exact=False).first
    ).to_be_visible()


def test_to_the_end_with_the_sample(page: Page, app: Server) -> None:
    opened(page, app, "?window=64")  # not the result of another test
    loss(page, NOT_YET)
    expect(
        page.get_by_text("Training: 4,612 tokens = 4,608 scored + 4 dropped; 72 windows, 36 batches of 2.")
    ).to_be_visible()
    press(page, "Run")
    expect(page.get_by_text(re.compile(r"tokens, \d+ s left|tokens, \d+ minutes left"))).to_be_visible(timeout=LONG)
    expect(page.locator(".st-key-running-chart .main-svg").first).to_be_attached()
    done(page, LONG)
    training, validation = (float(page.get_by_test_id("stMetricValue").nth(n).inner_text()) for n in (0, 1))
    assert 10.9 < training < 11.1
    assert 10.9 < validation < 11.1
    expect(page.get_by_text("5,120 tokens scored in")).to_be_visible()
    expect(page.locator(".st-key-ruler .main-svg").first).to_be_attached()
    assert page.evaluate("document.querySelector('.st-key-ruler .js-plotly-plot').data.length") == 2
    assert app.complaints == []


def test_stopped_half_way_and_on_again(page: Page, app: Server) -> None:
    opened(page, app, "?window=100")
    press(page, "Run")
    expect(page.get_by_test_id("stMetricValue").first).not_to_have_text(NOT_YET, timeout=LONG)
    press(page, "Stop")
    expect(page.get_by_text("Incomplete: the numbers are of those.")).to_be_visible()
    part = page.get_by_test_id("stMetricValue").first.inner_text()
    expect(page.get_by_test_id("stMetricValue").nth(1)).to_have_text(NOT_YET)
    expect(page.get_by_text("training, incomplete")).to_have_count(0)  # a canvas draws the table
    still(page, 1_500)
    loss(page, part)
    press(page, "Go on")
    expect(ours(page, "Stop")).to_be_visible()
    expect(page.get_by_test_id("stMetricValue").first).not_to_have_text(part, timeout=LONG)
    press(page, "Stop")
    expect(ours(page, "Go on")).to_be_visible()
    assert app.complaints == []


def test_it_survives_another_page(page: Page, app: Server) -> None:
    opened(page, app, "?window=120")
    press(page, "Run")
    bar = page.locator(".stProgress, [data-testid=stProgress]").first
    expect(bar).to_contain_text("tokens,", timeout=LONG)
    before = page.get_by_test_id("stMetricValue").first.inner_text()
    page.get_by_role("link", name="Loss, step by step").click()
    loss(page, "10.7940")
    still(page)
    page.get_by_role("link", name="Data set loss").click()
    expect(bar).to_be_visible()
    expect(page.get_by_test_id("stMetricValue").first).not_to_have_text(before, timeout=LONG)
    expect(page).to_have_url(f"{app.url}/data_set_loss?window=120")
    press(page, "Stop")
    expect(page.get_by_text("Incomplete")).to_be_visible()
    assert app.complaints == []


def test_a_visitor_who_leaves_stops_the_run(chromium: Browser, app: Server) -> None:
    """It would go on for minutes. The next visitor finds it where it was, and not at work."""
    minutes = "?convention=strided&stride=8"
    with chromium.new_context() as context:
        opened(page := context.new_page(), app, minutes)
        press(page, "Run")
        expect(page.get_by_test_id("stMetricValue").first).not_to_have_text(NOT_YET, timeout=LONG)
    with chromium.new_context() as context:
        opened(page := context.new_page(), app, minutes)
        expect(page.get_by_text("Incomplete: the numbers are of those.")).to_be_visible()
        expect(ours(page, "Go on")).to_be_visible()


def test_another_visitors_run_blocks_no_click(chromium: Browser, app: Server) -> None:
    with chromium.new_context() as one, chromium.new_context() as other:
        runner, page = one.new_page(), other.new_page()
        opened(runner, app, "?window=90")
        open_page(page, f"{app.url}/?model=bigram&input=tea time")
        press(runner, "Run")
        expect(runner.get_by_test_id("stMetricValue").first).not_to_have_text(NOT_YET, timeout=LONG)
        for column in ("12", "13", "14"):
            page.get_by_role("button", name=f"p {column}, target").click()
            expect(page).to_have_url(re.compile(f"at={column}"))
        expect(ours(runner, "Stop")).to_be_visible()
        press(runner, "Stop")


def test_a_point_chooses_a_window_and_surprise_shows_it(page: Page, app: Server) -> None:
    opened(page, app, BYTES)
    if ours(page, "Run").count():
        press(page, "Run")
    done(page)
    page.locator(".st-key-along").scroll_into_view_if_needed()
    point = page.locator(".st-key-along .scatterlayer .trace").first.locator(".point").nth(4)
    page.mouse.click(*hovered(page, point))
    expect(page.get_by_text("Window 5, training: loss")).to_be_visible()
    expect(page).to_have_url(re.compile("look=5"))
    press(page, "Next")
    expect(page.get_by_text("Window 6, training: loss")).to_be_visible()
    page.get_by_role("button", name="See it in").click()
    expect(page.locator(".strip .token").first).to_be_visible()
    expect(page.get_by_test_id("stMetricDelta").first).to_have_text("over 256 tokens")
    page.get_by_role("link", name="Data set loss").click()
    expect(page.get_by_text("Window 6, training: loss")).to_be_visible()
    assert app.complaints == []


def test_files_pasted_text_and_one_that_is_not_utf8(page: Page, app: Server) -> None:
    opened(page, app, BYTES)
    page.get_by_role("radio", name="My files").or_(page.get_by_role("button", name="My files")).first.click()
    page.get_by_test_id("stFileUploaderDropzoneInput").set_input_files(
        [
            {"name": "a.txt", "mimeType": "text/plain", "buffer": b"<b>tea</b> for two. " * 300},
            {"name": "b.md", "mimeType": "text/plain", "buffer": b"caf\xe9"},
        ]
    )
    expect(page.get_by_text("a.txt · 6,000 characters")).to_be_visible()
    expect(page.get_by_text("b.md is not UTF-8: byte 3 is 0xE9")).to_be_visible()
    press(page, "Run")
    done(page)
    loss(page, page.get_by_test_id("stMetricValue").first.inner_text())
    pasted(page, "another text of my own; " * 200)
    loss(page, NOT_YET)
    expect(page).to_have_url(re.compile("data=paste"))
    press(page, "Run")
    done(page)
    page.reload()
    expect(page.get_by_text("which does not travel in a link")).to_be_visible()


def test_the_files_are_made_on_the_click(page: Page, app: Server, tmp_path: Path) -> None:
    opened(page, app, f"{BYTES}&window=128")
    press(page, "Run")
    done(page)
    for name, start in (("All windows as CSV", b"model,window,part"), ("All tokens as Parquet", b"PAR1")):
        with page.expect_download() as download:
            press(page, name)
        download.value.save_as(tmp_path / "file")
        assert (tmp_path / "file").read_bytes().startswith(start)
    assert app.complaints == []
