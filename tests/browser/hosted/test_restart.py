"""The server is started again under open pages: nothing that was typed is lost."""

import re
from pathlib import Path

import pytest
from playwright.sync_api import BrowserContext, expect

from tests.helpers import driver
from tests.helpers.driver import open_page, still, unfold

pytestmark = pytest.mark.browser
# Too long for a link, in 9,350 tokens of one byte.
LONG = "coffee with milk " * 550


def test_what_stands_in_the_boxes_survives_a_restart(window: BrowserContext, tmp_path: Path) -> None:
    port = driver.free_port()
    text, rows = window.new_page(), window.new_page()
    with driver.server(tmp_path / "one.log", port=port) as app:
        open_page(text, f"{app.url}/surprise?model=bigram&input=tea")
        unfold(text, "text")
        text.get_by_label("Text", exact=True).fill(LONG)
        text.keyboard.press("Control+Enter")
        expect(text.get_by_text("over 9,349 tokens")).to_be_visible()
        open_page(rows, f"{app.url}/?model=bigram&input=tea&target=ea%20")
        unfold(rows, "editor")
        still(rows)
    with driver.server(tmp_path / "two.log", port=port):
        expect(rows.get_by_test_id("stConnectionStatus")).not_to_be_attached()
        target = rows.locator(".st-key-target-0 input")
        target.fill("ea!")
        target.press("Enter")
        expect(rows).to_have_url(re.compile("target=ea%21"))
        expect(target).to_have_value("ea!")
        text.get_by_role("radio", name="Rank").click()
        still(text)
        expect(text.get_by_text("over 9,349 tokens")).to_be_visible()
        expect(text.get_by_label("Text", exact=True)).to_have_value(LONG)
    text.close()
    rows.close()
