"""The page "One gradient step" in a real Chromium."""

import re

import pytest
from playwright.sync_api import Page, expect

from tests.helpers.driver import Server, open_page, still

pytestmark = pytest.mark.browser


def test_the_lectures_probabilities_climb_and_go_back(page: Page, app: Server) -> None:
    open_page(page, f"{app.url}/gradient_step")
    page.get_by_role("button", name="Take a step").click()
    after = page.get_by_test_id("stMetric").filter(has_text="Loss after")
    expect(after).to_contain_text("step 1, rate 0.01")
    expect(after).to_contain_text(re.compile(r"7\.47"))
    expect(page.get_by_test_id("stMetric").filter(has_text="Loss before")).to_contain_text("10.7940")
    expect(page.locator(".legendtext").filter(has_text="p23 ·chocolate")).to_be_attached()
    page.get_by_role("button", name="Step again").click()
    expect(after).to_contain_text("step 2, rate 0.01")
    page.get_by_role("button", name="Back to the start").click()
    expect(after).not_to_be_attached()
    expect(page.get_by_role("button", name="Take a step")).to_be_enabled()
    assert app.complaints == []


def test_another_target_is_chosen_by_its_token(page: Page, app: Server) -> None:
    open_page(page, f"{app.url}/gradient_step")
    still(page)
    page.get_by_role("option", name="chocolate").click()
    expect(page.locator(".gtitle").filter(has_text="23").first).to_be_attached()
    expect(page).to_have_url(re.compile("at=23"))
    assert app.complaints == []
