"""The page "Temperature and sampling" in a real Chromium."""

import re
from urllib.parse import quote

import pytest
from playwright.sync_api import Page, expect

from tests.helpers.driver import IDLE, ROOT, Server, open_page, still, unfold

pytestmark = pytest.mark.browser

BOOK = "?input=Every%20effort%20moves%20you&temperature=1"
TOY = "?model=bigram&input=The%20clock%20on%20the%20wall"
SAMPLE = (ROOT / "gptloss" / "data" / "sample.txt").read_text("utf-8")


def temperature(page: Page, app: Server, query: str = BOOK) -> None:
    open_page(page, f"{app.url}/temperature{query}")


def subtitle(page: Page, text: str) -> None:
    """Some chart says this below its title."""
    expect(page.locator(".gtitle-subtitle").filter(has_text=text).first).to_be_attached()


def copied(page: Page, n: int) -> str:
    """The text of the greedy (0) or the sampled (1) path."""
    return page.get_by_test_id("stCode").nth(n).inner_text().strip("\n")


def made(page: Page) -> int:
    """How many tokens the greedy path shows."""
    said = page.locator(".st-key-path-0").get_by_text(re.compile(r"\d+ tokens; the loss of the path"))
    return int(said.inner_text().split()[0]) if said.count() else 0


def wait_until_made(page: Page, least: int) -> None:
    page.wait_for_function(
        """least => {
          const said = document.querySelector('.st-key-path-0')?.innerText.match(/(\\d+) tokens; the loss/);
          return said && Number(said[1]) >= least;
        }""",
        arg=least,
    )


def test_the_temperature_changes_the_charts_and_the_link_and_nothing_else(page: Page, app: Server) -> None:
    temperature(page, app)
    subtitle(page, "all 50,257 tokens, temperature 1")
    page.locator(".st-key-path-0").evaluate("path => (path.dataset.mark = 'same')")
    slider = page.get_by_role("slider", name="Temperature (0: greedy)")
    slider.focus()
    page.keyboard.press("ArrowRight")
    page.keyboard.press("ArrowRight")
    subtitle(page, "all 50,257 tokens, temperature 1.2")
    subtitle(page, "now, 1.2:")
    expect(page).to_have_url(re.compile("temperature=1.2$"))
    page.get_by_role("button", name="Top-k 50").click()
    subtitle(page, "renormalised over 50 of 50,257 tokens")
    expect(page.get_by_text("50,207 cut off")).to_be_visible()
    expect(page.locator(".st-key-path-0")).to_have_attribute("data-mark", "same")
    expect(page).to_have_url(re.compile("top_k=50"))
    page.reload()
    subtitle(page, "renormalised over 50 of 50,257 tokens")
    assert app.complaints == []


def test_a_click_on_a_token_changes_the_distribution(page: Page, app: Server) -> None:
    temperature(page, app)
    page.locator(".strip .token[data-k='1']").click()
    expect(page.locator(".gtitle").filter(has_text="after “Every effort”")).to_be_attached()
    expect(page).to_have_url(re.compile("at=12"))


def test_the_books_nine_words(page: Page, app: Server) -> None:
    temperature(page, app)
    page.get_by_text("The book’s nine words").click()
    page.get_by_role("button", name="Top-k 3").click()
    subtitle(page, "renormalised over 3 of 9 tokens")
    for figure in ("0.5775", "0.3610", "0.0615"):
        expect(page.locator(".bartext").filter(has_text=figure)).to_be_attached()
    expect(page.locator(".bartext").filter(has_text="cut off")).to_have_count(6)
    expect(page.get_by_role("heading", name="Generate")).to_have_count(0)
    expect(page.get_by_text("The chosen position of my text")).to_be_visible()


def test_the_text_outlives_the_books_words_while_parts_of_the_page_tick(page: Page, app: Server) -> None:
    """A tick that leaves before the text box is drawn again carries an empty one."""
    text = f"{SAMPLE[:3000]} A text that no other test has read."
    temperature(page, app, f"?model=bigram&input={quote(text)}")
    for quiet in (100, 300, 600, 200):  # at other moments between two ticks
        page.get_by_text("The book’s nine words").click()
        expect(page.get_by_role("button", name="Top-k 3")).to_be_visible()
        still(page, quiet)
        page.get_by_text("The chosen position of my text").click()
        unfold(page, "text")
        expect(page.get_by_role("textbox", name="Text")).to_have_value(text)
        still(page)
        unfold(page, "text")
        expect(page.get_by_role("textbox", name="Text")).to_have_value(text)
    assert app.complaints == []


def test_another_source_or_text_stops_what_plays(page: Page, app: Server) -> None:
    temperature(page, app, TOY)
    page.get_by_role("button", name="Play").click()
    wait_until_made(page, 2)
    page.get_by_text("The book’s nine words").click()
    expect(page.get_by_role("button", name="Top-k 3")).to_be_visible()
    page.get_by_text("The chosen position of my text").click()
    expect(page.get_by_role("button", name="Play")).to_be_visible()
    unfold(page, "text")
    expect(page.get_by_role("textbox", name="Text")).to_have_value("The clock on the wall")
    page.get_by_role("button", name="Play").click()
    expect(page.get_by_role("button", name="Stop", exact=True).last).to_be_visible()
    page.get_by_role("textbox", name="Text").fill("Another text")
    page.keyboard.press("Control+Enter")
    expect(page.get_by_role("button", name="Play")).to_be_visible()
    expect(page.get_by_test_id("stCode").first).to_have_text("Another text")
    assert app.complaints == []


def test_step_shows_the_token_and_what_else_was_likely(page: Page, app: Server) -> None:
    temperature(page, app)
    page.get_by_role("button", name="Step").click()
    path = page.locator(".st-key-path-0")
    expect(path.get_by_text("Newest: ·renting · probability")).to_be_visible()
    page.get_by_role("button", name="Step").click()
    token = path.get_by_role("option").filter(has_text="renting")
    expect(path.get_by_role("option").filter(has_text="etic")).to_be_visible()
    token.hover()
    expect(path.get_by_text("The likeliest here")).to_be_visible()
    expect(page).to_have_url(re.compile("made=2"))
    assert copied(page, 0) == "Every effort moves you rentingetic"


def test_play_stop_half_way_and_reload(page: Page, app: Server) -> None:
    temperature(page, app)
    entries = page.evaluate("history.length")
    page.get_by_role("button", name="Play").click()
    wait_until_made(page, 4)
    assert "made=" not in page.url
    page.locator(".st-key-stop button").click()
    expect(page.get_by_role("button", name="Play")).to_be_enabled()
    expect(page).to_have_url(re.compile("made="))
    count, texts = made(page), (copied(page, 0), copied(page, 1))
    assert 4 <= count < 40
    assert page.evaluate("history.length") <= entries + 2
    still(page, 1_000)
    assert made(page) == count
    assert page.url.endswith(f"made={count}")
    page.reload()
    wait_until_made(page, count)
    assert (copied(page, 0), copied(page, 1)) == texts
    page.get_by_role("button", name="Start over").click()
    expect(page.get_by_test_id("stCode").first).to_have_text("Every effort moves you")


def test_the_books_continuation(page: Page, app: Server) -> None:
    temperature(page, app, f"{BOOK}&made=10")
    wait_until_made(page, 10)
    assert copied(page, 0) == "Every effort moves you rentingetic wasnم refres RexMeCHicular stren"


def test_the_controls_show_what_counts(page: Page, app: Server) -> None:
    """Running the page again at once would lose the values that its widgets have just been given."""
    text = "Tokens that no other test has made"
    temperature(page, app, f"?input={quote(text)}&made=3&temperature=0.4&top_k=9&top_p=0.8&seed=5")
    slider = page.get_by_role("slider", name="Temperature (0: greedy)")
    expect(page.get_by_text("Sampled path: temperature 0.4, top-k 9, top-p 0.8, seed 5")).to_be_visible()
    wait_until_made(page, 3)
    still(page)
    expect(slider).to_have_value("0.4")
    expect(page.get_by_label("Text", exact=True)).to_have_value(text)
    expect(page.get_by_role("spinbutton", name="Seed")).to_have_value("5")
    page.get_by_role("button", name="Temperature 2").click()
    expect(page.get_by_text("Sampled path: temperature 2, seed 5")).to_be_visible()
    still(page)
    expect(slider).to_have_value("2")
    expect(page.get_by_role("spinbutton", name="Top-k (0: all)")).to_have_value("0")


def test_the_sampler_can_be_changed_while_it_plays(page: Page, app: Server) -> None:
    temperature(page, app, TOY)
    page.get_by_role("button", name="Play").click()
    wait_until_made(page, 3)
    page.get_by_role("button", name="Temperature 0.5").click()
    expect(page.get_by_text("Sampled path: temperature 0.5, seed 123")).to_be_visible()
    for name, value in (("Temperature 2", "2"), ("Top-k 50", "1"), ("Temperature 0.5", "0.5")):
        page.get_by_role("button", name=name).click()
        reached = made(page)
        wait_until_made(page, reached + 5)  # no tick took it back
        expect(page.get_by_role("slider", name="Temperature (0: greedy)")).to_have_value(value)
    expect(page.get_by_text("Sampled path: temperature 0.5, seed 123")).to_be_visible()
    subtitle(page, "all 256 tokens, temperature 0.5")
    page.locator(".st-key-stop button").click()
    expect(page.get_by_role("button", name="Play")).to_be_enabled()
    page.get_by_role("button", name="Greedy").click()
    expect(page.get_by_text("both paths are the same")).to_be_visible()
    assert copied(page, 0) == copied(page, 1)


def test_it_ends_by_itself_at_a_hundred(page: Page, app: Server) -> None:
    temperature(page, app, f"{TOY}&made=97")
    wait_until_made(page, 97)
    page.get_by_role("button", name="Play").click()
    expect(page.get_by_text("100 tokens are made, and the page makes no more.")).to_be_visible()
    expect(page.get_by_role("button", name="Play")).to_be_disabled()
    expect(page).to_have_url(re.compile("made=100"))


def test_a_long_continuation_can_be_stopped_while_it_is_made_again(page: Page, app: Server) -> None:
    temperature(page, app, "?input=A%20continuation%20nobody%20has%20made&made=100&temperature=1.3")
    page.get_by_role("button", name="Start over").click()
    expect(page.get_by_test_id("stCode").first).to_have_text("A continuation nobody has made")
    expect(page.locator(IDLE)).to_be_attached()
    still(page)
    assert made(page) == 0
    assert "made=" not in page.url


def test_a_long_text_has_its_curve_while_the_controls_work(page: Page, app: Server) -> None:
    text = quote("The clock on the wall was slow, so she read on. " * 60)
    temperature(page, app, f"?model=bigram&input={text}")
    page.get_by_role("button", name="Temperature 2").click()
    subtitle(page, "all 256 tokens, temperature 2")
    subtitle(page, "best temperature")
    subtitle(page, "now, 2:")


def test_the_controls_fit_into_their_frame(page: Page, app: Server) -> None:
    page.set_viewport_size({"width": 1280, "height": 720})
    open_page(page, f"{app.url}/temperature")
    still(page)
    frame, plus = page.locator(".st-key-sampler"), page.get_by_test_id("stNumberInputStepUp").last
    inside, button = frame.bounding_box(), plus.bounding_box()
    assert inside
    assert button
    assert button["x"] + button["width"] < inside["x"] + inside["width"] - 8
