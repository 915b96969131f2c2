"""The page "Surprise in a text" in a real Chromium."""

import csv
import re
from pathlib import Path

import pytest
from playwright.sync_api import Locator, Page, expect

from tests.helpers.driver import IDLE, Server, chart, loss, open_page, still, unfold
from views.surprise.text import STORY

pytestmark = pytest.mark.browser

BYTES = "?model=bigram"

# Ends when the text has been scrolled.
SCROLLED = """text => new Promise(done => {
  const look = () => (text.scrollTop > 0 ? done() : requestAnimationFrame(look));
  look();
})"""


def opened(page: Page, app: Server, query: str = "?model=gpt2-untrained") -> None:
    open_page(page, f"{app.url}/surprise{query}")
    expect(page.locator(".strip .token").first).to_be_visible()


def settled(page: Page) -> None:
    """Nothing runs, and the charts below are drawn."""
    expect(page.locator(IDLE)).to_be_attached()
    expect(page.locator(".st-key-text-words .main-svg").first).to_be_attached()


def token(page: Page, k: int) -> Locator:
    return page.locator(f".strip .token[data-k='{k}']")


def write(page: Page, text: str) -> None:
    unfold(page, "text")
    box = page.get_by_role("textbox", name="Text")
    box.fill(text)
    box.press("Control+Enter")
    expect(page.get_by_test_id("stMetricDelta").first).to_have_text(f"over {len(text.encode()) - 1:,} tokens")
    settled(page)


def upload(page: Page, name: str, raw: bytes) -> None:
    page.get_by_test_id("stFileUploaderDropzoneInput").set_input_files(
        {"name": name, "mimeType": "text/plain", "buffer": raw}
    )


def mark(page: Page) -> Locator:
    """What the chart of losses says of the chosen token."""
    return page.locator(".st-key-text-losses .annotation-text").nth(1)


def test_click_and_walk_by_keys(page: Page, app: Server) -> None:
    opened(page, app)
    loss(page, "10.7940")
    chart(page, "p11 after “every”")
    token(page, 1).click()
    chart(page, "p12 after “every effort”")
    expect(mark(page)).to_have_text("·moves 10.3796")
    expect(page).to_have_url(f"{app.url}/surprise?at=12&model=gpt2-untrained")
    page.keyboard.press("ArrowRight")
    chart(page, "p13 after")
    expect(mark(page)).to_have_text("·you 11.3677")
    page.keyboard.press("End")
    chart(page, "p23 after")
    page.keyboard.press("Home")
    chart(page, "p11 after")
    page.keyboard.press("ArrowRight")
    chart(page, "p12 after")
    expect(page).to_have_url(f"{app.url}/surprise?at=12&model=gpt2-untrained")
    page.reload()
    chart(page, "p12 after")
    assert app.complaints == []


def test_a_click_leaves_the_charts_below_alone(page: Page, app: Server) -> None:
    opened(page, app)
    settled(page)
    for key in ("text-sentences", "text-ranks", "text-tokens", "text-words"):
        page.locator(f".st-key-{key} .main-svg").first.evaluate("svg => (svg.dataset.mark = 'same')")
    token(page, 4).click()
    chart(page, "p22 after")
    for key in ("text-sentences", "text-ranks", "text-tokens", "text-words"):
        expect(page.locator(f".st-key-{key} .main-svg").first).to_have_attribute("data-mark", "same")


def test_colours_and_figures(page: Page, app: Server) -> None:
    opened(page, app)
    expect(page.locator(".legend")).to_contain_text("Loss in nats")
    page.get_by_test_id("stMainBlockContainer").get_by_role("radio", name="Rank").or_(
        page.get_by_role("button", name="Rank")
    ).first.click()
    expect(page.locator(".legend")).to_contain_text("101 to 1,000")
    page.get_by_text("Figures under the tokens").click()
    expect(token(page, 0)).to_have_attribute("data-figure", "258")
    expect(page).to_have_url(f"{app.url}/surprise?colour=rank&figures=1&model=gpt2-untrained")
    page.reload()
    expect(token(page, 1)).to_have_attribute("data-figure", "7,247")


def test_a_good_file_and_one_that_is_not_utf8(page: Page, app: Server) -> None:
    opened(page, app, BYTES)
    unfold(page, "text")
    upload(page, "tea.txt", "tea 💙 for two.\nAnd cake.".encode())
    box = page.get_by_role("textbox", name="Text")
    expect(box).to_have_value("tea 💙 for two.\nAnd cake.")
    expect(page.get_by_test_id("stMetricDelta").nth(2)).to_have_text("over 26 bytes")
    settled(page)
    upload(page, "latin.txt", b"caf\xe9 au lait")
    expect(page.get_by_text("latin.txt is not UTF-8: byte 3 is 0xE9")).to_be_visible()
    expect(box).to_have_value("tea 💙 for two.\nAnd cake.")
    expect(page.get_by_test_id("stMetricDelta").nth(2)).to_have_text("over 26 bytes")
    still(page)  # the field that took the last file has gone, and an empty one is there
    upload(page, "good.md", b"# cake")
    expect(box.last).to_have_value("# cake")  # the old box is still there for as long as the script runs
    expect(box).to_have_count(1)
    expect(page.get_by_text("is not UTF-8")).to_have_count(0)


def test_half_an_emoji_and_equal_tokens(page: Page, app: Server) -> None:
    opened(page, app, "?input=the the the 💙")
    expect(page.locator(".strip .token").filter(has_text="the")).to_have_count(3)
    expect(page.locator(".strip .token").filter(has_text="<20 F0 9F>")).to_have_count(1)


def test_two_thousand_tokens_stay_smooth(page: Page, app: Server) -> None:
    """Scrolling and hovering are the browser's alone: not one frame to the server."""
    frames: list[int] = []
    page.on("websocket", lambda socket: socket.on("framesent", lambda frame: frames.append(len(frame))))
    opened(page, app, BYTES)
    write(page, STORY[:2001])
    still(page)
    frames.clear()
    letters = page.locator(".strip .token").filter(has_text=re.compile("[a-z]"))
    for k in range(0, 200, 20):
        letters.nth(k).hover()
    expect(page.locator(".strip .tip")).to_contain_text("The likeliest here")
    for _ in range(20):
        page.mouse.wheel(0, 200)
    page.locator(".strip .text").evaluate(SCROLLED)
    still(page)
    assert frames == []
    far = letters.nth(1_000)
    far.click()
    chart(page, f"p1,{int(far.get_attribute('data-k') or 0) + 1} after")
    assert frames


def test_a_click_at_two_thousand_tokens_sends_little(page: Page, app: Server) -> None:
    """Neither the tokens nor the charts that no click changes travel again."""
    sizes: list[int] = []
    page.on("websocket", lambda socket: socket.on("framereceived", lambda frame: sizes.append(len(frame))))
    opened(page, app, BYTES)
    write(page, STORY[:2001])
    still(page)
    sizes.clear()
    token(page, 40).click()
    chart(page, "p1,41 after")
    still(page)
    assert sum(sizes) < 120_000


def test_the_csv_is_made_on_the_click(page: Page, app: Server, tmp_path: Path) -> None:
    opened(page, app, f"{BYTES}&input==1%2B1 💙")
    settled(page)
    with page.expect_download() as download:
        page.get_by_role("button", name="All tokens as CSV").click()
    assert download.value.suggested_filename == "surprise.csv"
    download.value.save_as(tmp_path / "a.csv")
    with (tmp_path / "a.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    assert b"".join(bytes.fromhex(row["bytes"]) for row in rows).decode() == "=1+1 💙"
    assert [row["text"] for row in rows[:2]] == ['"="', '"1"']
    assert (rows[0]["log_proba"], rows[1]["rank"]) == ("", "1")
    assert float(rows[1]["log_proba"]) < 0
    assert app.complaints == []


@pytest.mark.parametrize("sample", ["One odd word", "Program code", "A short story"])
def test_samples(page: Page, app: Server, sample: str) -> None:
    opened(page, app, BYTES)
    page.get_by_role("button", name=sample).click()
    expect(page.get_by_test_id("stMetricDelta").first).not_to_have_text("over 43 tokens")
    settled(page)
    chart(page, "p11 after")
