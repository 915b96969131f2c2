"""The page "What a loss buys" in a real Chromium."""

import re
from pathlib import Path
from urllib.parse import quote

import pytest
from playwright.sync_api import Page, expect

from gptloss.cli.main import main
from tests.helpers.driver import TIMEOUT, Server, open_page
from views.visit.pages import ODD

pytestmark = pytest.mark.browser
PACKED = 4 * TIMEOUT


def test_a_text_is_packed_stopped_and_read_back(page: Page, app: Server, tmp_path: Path) -> None:
    open_page(page, f"{app.url}/compression?model=gpt2-untrained&input={quote(ODD)}")
    page.get_by_role("button", name="Pack and unpack").click()
    page.get_by_role("button", name="Stop").click()
    go_on = page.get_by_role("button", name="Go on")
    expect(go_on.or_(page.get_by_text("Every byte came back"))).to_be_visible(timeout=PACKED)
    if go_on.is_visible():
        go_on.click()
    expect(page.get_by_text("Every byte came back")).to_be_visible(timeout=PACKED)
    expect(page.locator(".st-key-decoded")).to_contain_text("be made entirely of soup")
    expect(page.get_by_text(re.compile("bytes of code for a sum of"))).to_be_visible()
    with page.expect_download() as download:
        page.get_by_role("button", name=re.compile("^The file")).click()
    download.value.save_as(tmp_path / "text.gptloss")
    assert main(["decompress", str(tmp_path / "text.gptloss"), "-o", str(tmp_path / "text.txt")]) == 0
    assert (tmp_path / "text.txt").read_text() == ODD
    assert app.complaints == []
