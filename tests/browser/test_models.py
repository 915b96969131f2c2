"""The page "Compare", the picker and the fetching of a model, in a real Chromium."""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from gptloss.models.catalogue import smollm2
from tests.helpers.driver import Server, chart, hovered, loss, open_page, server, still, unfold
from tests.helpers.fake_hub import Hub, tiny_gpt2

pytestmark = pytest.mark.browser
TOYS = "model=uniform&with=bigram"
HUB_MODEL = "hf:someone/tiny-gpt2"


def chosen_bar(page: Page, start: int) -> None:
    """In both panels the bar that starts at this byte is the solid one."""
    page.wait_for_function(
        "start => document.querySelector('.js-plotly-plot')?.layout?.shapes?.every(shape => shape.x0 === start)",
        arg=start,
    )
    expect(page.locator(".js-plotly-plot").first.locator(".shapelayer path, .shapelayer rect")).to_have_count(2)


@pytest.mark.parametrize("script", ["app.py", "server.py"])
def test_compare_opens_by_a_deep_link_on_a_fresh_server(page: Page, log_file: Path, script: str) -> None:
    with server(log_file, script) as fresh:
        open_page(page, f"{fresh.url}/compare?{TOYS}&spot=13&units=bits&text=tea time")
        loss(page, "8.0000")
        unfold(page, "text")
        expect(page.get_by_label("Text: each line is read on its own")).to_have_value("tea time")
        page.get_by_text("Ladders", exact=True).click()
        expect(page.get_by_role("button", name="p 13, target").first).to_have_attribute("aria-pressed", "true")
        assert fresh.complaints == []


@pytest.mark.skipif(not smollm2.here(), reason="smollm2-135m is not here: gptloss models pull smollm2-135m")
def test_the_lesson_is_seen_without_touching_anything(page: Page, app: Server) -> None:
    open_page(page, f"{app.url}/compare")
    numbers = page.get_by_test_id("stMetricValue")
    expect(numbers).to_have_count(6)
    assert 10.8 < float(numbers.nth(0).inner_text()) < 11.0
    assert 3.0 < float(numbers.nth(3).inner_text()) < 3.3
    assert app.complaints == []


def test_a_token_is_chosen_by_its_bar_and_by_its_column(page: Page, app: Server) -> None:
    open_page(page, f"{app.url}/compare?{TOYS}&text=tea time")
    page.locator(".js-plotly-plot").first.scroll_into_view_if_needed()
    bar = page.locator(".js-plotly-plot").first.locator(".barlayer .point").nth(2)
    page.mouse.click(*hovered(page, bar))
    chosen_bar(page, 3)
    expect(page).to_have_url(re.compile(r"[?&]spot=13(&|$)"))
    page.get_by_text("Ladders", exact=True).click()
    page.get_by_role("button", name="p 15, target").last.click()
    chosen_bar(page, 5)
    page.keyboard.press("ArrowRight")
    expect(page.get_by_role("button", name="p 16, target").first).to_have_attribute("aria-pressed", "true")


def test_the_menu_keeps_the_state(page: Page, app: Server) -> None:
    open_page(page, f"{app.url}/?input=tea time&units=bits&model=bigram")
    loss(page, "4.7098")
    page.get_by_role("link", name="Compare").click()
    unfold(page, "text")
    expect(page.get_by_label("Text: each line is read on its own")).to_contain_text("tea time")
    expect(page.get_by_role("combobox", name="Model", exact=True)).to_have_value("Byte bigram")
    page.get_by_role("link", name="Loss, step by step").click()
    loss(page, "4.7098")
    unfold(page, "editor")
    expect(page.get_by_label("Input", exact=True)).to_have_value("tea time")
    page.reload()
    loss(page, "4.7098")


def test_two_texts(page: Page, app: Server) -> None:
    open_page(page, f"{app.url}/compare?{TOYS}")
    page.get_by_text("Two texts under one model").click()
    expect(page.get_by_text("Text A costs 5.55 nats per token, Text B 5.55")).to_be_visible()
    unfold(page, "text")
    page.get_by_role("textbox", name="Text B").fill("<script>alert(1)</script>")
    page.get_by_role("textbox", name="Text A").focus()
    expect(page.get_by_test_id("stMetricValue")).to_have_count(6)
    expect(page.get_by_text("24 tokens, 24 bytes scored")).to_be_visible()


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Hub]:
    """A hub that has one tiny model, which any server started from here will ask."""
    # It has GPT-2's own vocabulary.
    files = {name: content for name, content in tiny_gpt2("1GB").items() if name != "tokenizer.json"}
    hub = Hub()
    hub.repos[HUB_MODEL.removeprefix("hf:")] = files
    monkeypatch.setenv("HF_ENDPOINT", hub.url)
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path / "hub"))
    monkeypatch.setenv("HF_HUB_DISABLE_TELEMETRY", "1")
    yield hub
    hub.close()


def test_a_model_is_named_fetched_and_used(page: Page, hub: Hub, log_file: Path) -> None:
    with server(log_file) as app:
        open_page(page, app.url)
        page.get_by_role("combobox", name="Model", exact=True).fill(HUB_MODEL)
        page.keyboard.press("Enter")
        expect(page.get_by_text("someone/tiny-gpt2 is not on this machine.")).to_be_visible()
        loss(page, "10.7940")
        page.get_by_role("button", name="Fetch it").click()
        expect(page.get_by_text("reads 1,024 at a time")).to_be_visible()
        expect(page.get_by_text("is not on this machine")).not_to_be_visible()
        chart(page, "p11 after")
        expect(page.get_by_test_id("stMetricValue").first).not_to_have_text("10.7940")
        assert app.complaints == []


def test_a_fetch_is_stopped_and_an_error_is_one_sentence(page: Page, hub: Hub, log_file: Path) -> None:
    hub.hangs["model.safetensors"] = 1000
    with server(log_file) as app:
        open_page(page, f"{app.url}/?model={HUB_MODEL}")
        page.get_by_role("button", name="Fetch it").click()
        assert hub.stalled.wait(30)
        page.get_by_role("button", name="Cancel").click()
        expect(page.get_by_role("button", name="Fetch it")).to_be_visible()
        hub.close()
        page.get_by_role("button", name="Fetch it").click()
        expect(page.get_by_text("cannot be reached")).to_be_visible()
        expect(page.get_by_text("Without a network: run")).to_be_visible()
        loss(page, "10.7940")
        page.get_by_role("button", name="Not now").click()
        expect(page.get_by_text("cannot be reached")).not_to_be_visible()
        assert app.complaints == []


# Of the labels under the bars that are seen: how many, and those that lie on the one before or are cut.
LABELS = """() => [...document.querySelectorAll('.js-plotly-plot')].slice(0, 3).map(plot => {
    const bottom = plot.getBoundingClientRect().bottom
    const groups = [...plot.querySelectorAll('[class^=xaxislayer]')]
    return groups.map(group => {
        const texts = [...group.querySelectorAll('text')].map(it => [it.textContent, it.getBoundingClientRect()])
        const seen = texts.filter(([, box]) => box.width)
        const wrong = seen.filter(([, box], k) => box.bottom > bottom || (k && box.left < seen[k - 1][1].right - 3))
        return [seen.length, wrong.map(([text]) => text)]
    }).filter(([count]) => count)
}).flat()"""


@pytest.mark.parametrize(
    "link",
    [
        "text=Water covers most of the earth. When the sun warms the sea, it rises.",
        "model=gpt2-untrained&compare=texts&pair=She poured hot water over the tea leaves."
        "&pair=She poured hot and extraordinarily muddy water over them.",
    ],
)
def test_labels_under_bars_can_be_read_on_a_phone(page: Page, app: Server, link: str) -> None:
    page.set_viewport_size({"width": 390, "height": 844})
    open_page(page, f"{app.url}/compare?{link if 'model=' in link else f'{TOYS}&{link}'}")
    still(page)
    found = page.evaluate(LABELS)
    assert len(found) == 3
    assert [wrong for _, wrong in found] == [[], [], []]
    assert all(count > 5 for count, _ in found)
