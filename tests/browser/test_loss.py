"""The app in a real Chromium, as a visitor meets it."""

import dataclasses
import re
from pathlib import Path
from urllib.parse import quote

import pytest
from playwright.sync_api import Page, expect

from gptloss import ScoredBatch
from gptloss.models.catalogue import smollm2
from tests.helpers.driver import Server, chart, column, hovered, loss, open_page, server, still, unfold
from views.components.ladder_table import SCRIPT, ladder_data

pytestmark = pytest.mark.browser

# Rules that Streamlit's own markup breaks, wherever they are broken.


def test_open_type_choose_and_reload(page: Page, app: Server) -> None:
    open_page(page, app.url)
    loss(page, "10.7940")
    chart(page, "p11 after “every”")
    expect(page.get_by_text("✓ equals F.cross_entropy")).to_be_visible()

    page.get_by_role("button", name="p 12, target").click()
    chart(page, "p12 after “every effort”")
    column(page, "12")
    expect(page).to_have_url(app.url + "/?at=12")

    page.keyboard.press("ArrowRight")
    chart(page, "p13 after")
    expect(page.get_by_role("button", name="p 13, target")).to_be_focused()
    page.keyboard.press("End")
    chart(page, "p23 after")
    page.keyboard.press("Home")
    chart(page, "p11 after")
    page.keyboard.press("ArrowLeft")
    column(page, "11")

    page.get_by_text("-11.4798", exact=True).click()
    chart(page, "p21 after")

    unfold(page, "editor")
    page.get_by_label("Target: what comes next").fill(" effort moves home")
    loss(page, "10.8448")
    expect(page.get_by_title("·home (id")).to_be_visible()
    column(page, "21")

    page.reload()
    loss(page, "10.8448")
    chart(page, "p21 after")
    assert app.complaints == []


def test_back_undoes_a_choice_and_an_edit(page: Page, app: Server) -> None:
    open_page(page, app.url)
    page.get_by_role("button", name="p 12, target").click()
    chart(page, "p12 after")
    page.get_by_text("bits", exact=True).click()
    loss(page, "15.5724")
    page.go_back()
    loss(page, "10.7940")
    column(page, "12")
    page.go_back()
    column(page, "11")
    page.go_forward()
    column(page, "12")
    chart(page, "p12 after")


def test_an_edit_changes_the_ladder_in_place(page: Page, app: Server) -> None:
    """The very element stays, so that nothing flickers and focus and scrolling survive."""
    open_page(page, app.url)
    page.locator(".ladder").evaluate("ladder => (ladder.dataset.mark = 'same')")
    unfold(page, "editor")
    page.get_by_label("Target: what comes next").fill(" effort moves home")
    loss(page, "10.8448")
    expect(page.get_by_title("·home (id")).to_be_visible()
    expect(page.locator(".ladder")).to_have_attribute("data-mark", "same")


@pytest.mark.parametrize("script", ["app.py", "server.py"])
def test_a_deep_link_opens_first_on_a_fresh_server(page: Page, log_file: Path, script: str) -> None:
    with server(log_file, script) as fresh:
        rows = "input=every effort moves&input=I really like&target= effort moves you&target= really like chocolate"
        page.goto(f"{fresh.url}/?{rows}&model=gpt2-untrained&at=23&units=nats&step=3")
        if script == "app.py":  # the other may be ready before one can look
            expect(page.get_by_text("Making the model and scoring the text")).to_be_visible()
            expect(page.get_by_test_id("stSkeletonElement").last).to_be_visible()
        loss(page, "10.7940")
        column(page, "23")
        chart(page, "p23 after “I really like”")
        expect(page.locator(".katex").first).to_be_visible()
        assert fresh.complaints == []


def test_a_bad_link_is_said_and_the_page_works(page: Page, app: Server) -> None:
    open_page(page, f"{app.url}/?at=77&units=bananas&model=gtp2&step=x")
    loss(page, "10.7940")
    for says in ("There is no p77", "'bananas'", "'gtp2'", "'x'"):
        expect(page.get_by_text(says)).to_be_visible()
    page.get_by_role("button", name="p 12, target").click()
    chart(page, "p12 after")


@pytest.mark.parametrize(
    "text", ["<script>alert(1)</script> ![](http://x/y.png)", "$x$ **b** <img src=http://evil/>", "שלום עולם", "☕💙"]
)
def test_text_from_a_link_is_shown_and_never_run(page: Page, app: Server, text: str) -> None:
    page.on("dialog", lambda dialog: pytest.fail(f"a script ran: {dialog.message}"))
    open_page(page, f"{app.url}/?input={quote(text)}")
    unfold(page, "editor")
    expect(page.get_by_label("Input", exact=True)).to_have_value(text)
    still(page)
    assert page.locator("img[src*=evil], img[src*='://x/']").count() == 0


def test_half_an_emoji_in_a_link(page: Page, app: Server) -> None:
    open_page(page, f"{app.url}/?input=tea%20%F0%9F")
    expect(page.get_by_title("<EF BF BD>").or_(page.get_by_title("·�")).first).to_be_attached()


def test_a_megabyte_is_answered_with_its_length(page: Page, app: Server) -> None:
    open_page(page, app.url)
    unfold(page, "editor")
    page.get_by_label("Target: what comes next").fill(" effort" * 150_000)
    expect(
        page.get_by_text("Row 1 has 1,050,000 characters, more than the 10,000 tokens that a page shows")
    ).to_be_visible()
    expect(page.get_by_text("too long for the address bar")).to_be_visible()
    loss(page, "11.1708")
    page.get_by_role("button", name="Lecture").click()
    loss(page, "10.7940")


def test_long_rows_are_paged_and_scroll(page: Page, app: Server) -> None:
    open_page(page, f"{app.url}/?input={quote(' word' * 200)}&at=1100")
    column(page, "1,100")
    expect(page.get_by_text("columns 97 to 128 of 199")).to_be_visible()
    page.get_by_role("button", name="later →").click()
    column(page, "1,129")
    page.keyboard.press("End")
    column(page, "1,199")


def test_the_badge_turns_red_with_both_numbers(page: Page, lecture: ScoredBatch) -> None:
    wrong = dataclasses.replace(lecture, logits=lecture.logits - 2e-5)
    data = {**ladder_data(wrong, 0, "nats"), "at": 0, "step": 0, "explains": False}
    assert data["agrees"] is False
    page.goto("data:text/html,<div id=host><div class=ladder></div></div>")
    page.evaluate(
        """async ([code, data]) => {
          const module = await import(URL.createObjectURL(new Blob([code], { type: "text/javascript" })));
          module.default({ data, parentElement: document.getElementById("host"), setTriggerValue() {} });
        }""",
        [SCRIPT, data],
    )
    expect(page.locator(".badge.differs")).to_have_text(
        f"✗ {wrong.loss:.7f} here, {lecture.cross_entropy:.7f} by F.cross_entropy"
    )


def test_the_steps_are_buttons_that_explain(page: Page, app: Server) -> None:
    open_page(page, app.url)
    page.get_by_role("button", name="2 · Softmax").click()
    expect(page.get_by_text("2 · Softmax. e to the power of each logit")).to_be_visible()
    expect(page).to_have_url(app.url + "/?step=2")
    page.get_by_role("button", name="2 · Softmax").press("ArrowDown")
    expect(page.get_by_text("3 · Target probability. Of the 50,257")).to_be_visible()
    page.get_by_role("button", name="7 · Power").click()
    expect(page.locator(".part.explained")).to_contain_text("48,725.8")
    page.get_by_role("button", name="7 · Power").click()  # closes it
    expect(page.locator(".part.explained")).to_have_count(0)
    expect(page).to_have_url(app.url + "/")


def test_the_result_and_an_explained_step_fit_a_projector(page: Page, app: Server) -> None:
    page.set_viewport_size({"width": 1280, "height": 720})
    open_page(page, f"{app.url}/?step=2")
    still(page)
    for place in (".result", ".st-key-explanation"):
        box = page.locator(place).bounding_box()
        assert box
        assert box["y"] + box["height"] <= 720, place


def test_a_bar_chooses_its_token(page: Page, app: Server) -> None:
    open_page(page, app.url)
    page.locator(".st-key-losses").scroll_into_view_if_needed()
    bar = page.locator(".st-key-losses .bars .point").nth(4)
    x, y = hovered(page, bar)
    page.mouse.click(x, y)
    column(page, "22")


@pytest.mark.skipif(not smollm2.here(), reason="smollm2-135m is not here: gptloss models pull smollm2-135m")
def test_one_click_between_untrained_and_trained(page: Page, app: Server) -> None:
    open_page(page, f"{app.url}/?at=23")
    expect(page.get_by_text("trained, beside it")).to_be_visible()
    page.get_by_text("Trained", exact=True).click()
    loss(page, "8.0909")
    column(page, "23")
    expect(page.get_by_text("untrained, beside it")).to_be_visible()
    page.get_by_text("Untrained", exact=True).click()
    loss(page, "10.7940")
    assert app.complaints == []


def test_back_leads_to_the_page_before_with_its_text(page: Page, app: Server) -> None:
    open_page(page, f"{app.url}/?input={quote('tea time')}&model=bigram")
    page.get_by_role("link", name="Surprise in a text").click()
    expect(page.get_by_role("heading", name="Surprise in a text")).to_be_visible()
    expect(page).to_have_url(re.compile("/surprise[?].*input=tea"))
    still(page)
    page.go_back()
    expect(page.get_by_role("heading", name="Loss, step by step")).to_be_visible()
    expect(page).to_have_url(re.compile(r":\d+/[?].*input=tea"))
