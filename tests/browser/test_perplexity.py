"""The page "Perplexity and pitfalls" in a real Chromium."""

import re

import pytest
from playwright.sync_api import Page, expect

from gptloss.lessons.pitfalls.catalogue import PITFALLS
from tests.helpers.driver import Server, flaws, open_page, still

pytestmark = pytest.mark.browser
PARTS = ("ruler", "pitfalls", "log", "classes", "whatif")
LECTURE = "10.7940"


@pytest.mark.parametrize("part", PARTS[1:])
def test_every_part_light_dark_and_on_a_phone(part: str, page: Page, app: Server) -> None:
    open_page(page, f"{app.url}/perplexity?part={part}&halfsign=1&mistake=top-entropy&model=bigram&input=tea%20time")
    still(page)
    assert flaws(page) == []
    assert app.complaints == []


def test_every_switch_breaks_the_calculation_and_mends_it(page: Page, app: Server) -> None:
    open_page(page, f"{app.url}/perplexity?part=log")  # a page with a chart, and then the switches
    page.get_by_role("radio", name="Pitfalls").click()
    wrong, right = page.locator(".st-key-wrong-number"), page.locator(".st-key-right-number")
    for pitfall in PITFALLS:
        switch = page.get_by_role("radio", name=re.compile(rf"^[0-9]+ {re.escape(pitfall.title)}$"))
        switch.click()
        expect(page.get_by_text(f"Mistake: {pitfall.title}")).to_be_visible()
        expect(wrong).to_be_visible()
        numbers = [place.get_by_test_id("stMetricValue").inner_text() for place in (wrong, right)]
        assert numbers[0] != numbers[1]
        switch.click()
        expect(wrong).not_to_be_attached()
        expect(right.get_by_test_id("stMetricValue")).to_have_text(LECTURE)
    assert app.complaints == []


def test_the_quiz_is_played_by_keyboard(page: Page, app: Server) -> None:
    open_page(page, f"{app.url}/perplexity?part=log")
    page.get_by_role("radio", name="Pitfalls").click()
    page.get_by_text("Quiz", exact=True).click()
    answers = page.locator(".st-key-answers button")
    expect(answers).to_have_count(4)
    answers.first.focus()
    page.keyboard.press("Enter")
    expect(page.get_by_text(re.compile("^(Right: |No, not )"))).to_be_visible()
    expect(page.get_by_text(re.compile("of 1 right"))).to_be_visible()
    page.get_by_role("button", name="Next question").click()
    expect(page.get_by_text(re.compile("^Question 2"))).to_be_visible()
    expect(page).to_have_url(re.compile("asked=1"))
    assert app.complaints == []


def test_a_token_is_forced_kept_and_comes_back_by_the_link(page: Page, app: Server) -> None:
    open_page(page, f"{app.url}/perplexity?part=whatif")
    still(page)
    page.get_by_role("option", name="effort").click()
    page.get_by_label("Any token, by text or id").fill(" pizza")
    page.keyboard.press("Enter")
    after = page.get_by_test_id("stMetric").filter(has_text="Loss after")
    expect(page.get_by_test_id("stMetric").filter(has_text="Change of the loss")).to_contain_text("·effort → ·pizza")
    number = after.get_by_test_id("stMetricValue").inner_text()
    page.get_by_label("Name", exact=True).fill("with pizza")
    page.keyboard.press("Enter")
    page.get_by_role("button", name="Keep").click()
    expect(page).to_have_url(re.compile("branch=11t14256"))
    page.get_by_role("button", name="Take back").click()
    expect(page.get_by_text("For example")).to_be_visible()
    open_page(page, page.url)
    page.get_by_role("button", name="with pizza").click()
    expect(after.get_by_test_id("stMetricValue")).to_have_text(number)
    assert app.complaints == []


def test_the_converter_and_a_probability(page: Page, app: Server) -> None:
    open_page(page, f"{app.url}/perplexity")
    page.get_by_label("Bits per token").fill("3")
    page.keyboard.press("Enter")
    expect(page.get_by_label("Perplexity", exact=True)).to_have_value("8.0000")
    expect(page.get_by_label("Nats per token")).to_have_value("2.0794")
    page.get_by_role("radio", name="Two classes").click()
    page.get_by_text("y = 0", exact=True).click()
    expect(page.locator(".gtitle-subtitle, .gsubtitle, .gtitle").filter(has_text="y = 0").first).to_be_attached()
    page.get_by_text("Forget the bracket").click()
    expect(page.locator(".st-key-wrong-number").get_by_test_id("stMetricValue")).to_have_text("-0.2027")
    assert app.complaints == []
