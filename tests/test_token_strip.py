"""The token strip: what is sent, and what a real Chromium makes of it."""

import base64
import json
import math
import re
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any, Literal

import numpy as np
import pytest
import torch
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, Locator, Page, expect

from gptloss import ScoredBatch, score
from gptloss.models import LanguageModel
from gptloss.numbers import odds_text, proba_text
from gptloss.tokens import Token
from views.components import token_strip as module
from views.components.token_strip import HERE, SCRIPT, Cell, batch_data, running_text, strip_data

CSS = (HERE / "token_strip.css").read_text("utf-8")
COLOURS = {
    "light": ("#ffffff", "#17202e", "#5b6778", "#a83808"),
    "dark": ("#0f141b", "#eef2f7", "#9aa7b8", "#ff9460"),
}
NAMES = ("background", "text", "gray", "primary")
VERDICT = "I HAD always thought Jack Gisburn rather a cheap genius--though a good fellow enough. "


def unpacked(data: dict[str, Any], name: str, kind: type) -> list[Any]:
    return np.frombuffer(base64.b64decode(data[name]), kind).tolist()


def texts(data: dict[str, Any]) -> list[str]:
    words = data["words"].split("\r")
    return [words[index] for index in unpacked(data, "texts", np.int32)]


def test_the_lecture_in_numbers(lecture: ScoredBatch) -> None:
    data = batch_data(lecture)
    assert (data["rows"], data["numbers"], data["count"], data["v"]) == ([4, 4], [1, 2], 6, 50257)
    assert texts(data) == ["every", " effort", " moves", " you", "I", " really", " like", " chocolate"]
    assert unpacked(data, "ks", np.int32) == [-1, 0, 1, 2, -1, 3, 4, 5]
    assert data["titles"].split("\r") == ["", "p11", "p12", "p13", "", "p21", "p22", "p23"]
    predicted = [1, 2, 3, 5, 6, 7]
    logs = np.array(unpacked(data, "log_probas", np.float32))
    assert (logs[predicted] == lecture.log_probas.numpy()).all()
    assert np.isnan(logs[[0, 4]]).all()
    assert np.array(unpacked(data, "ranks", np.int32))[predicted].tolist() == lecture.ranks.tolist()
    top = np.array(unpacked(data, "top_log_probas", np.float32)).reshape(8, 10)
    assert (top[predicted] == lecture.top_log_probas.numpy()).all()
    words, indices = data["words"].split("\r"), unpacked(data, "top_texts", np.uint16)
    assert words[indices[10]] == lecture.argmax[0].text


def test_the_the_the_is_three_tokens_and_half_an_emoji_is_bytes(tiny: LanguageModel) -> None:
    data = batch_data(score(tiny, "the the the ☕💙"))
    shown = texts(data)
    assert shown[:3] == ["the", " the", " the"]
    assert "<92>" in shown
    assert len(shown) == data["count"] + 1


def test_running_text_keeps_blanks_and_newlines_alone() -> None:
    kept = {b" moves": " moves", b"\n\n": "\n\n", b"\t": "\t", b"\r\n": "␍\n", b"\xf0\x9f": "<F0 9F>", b"": "<id 7>"}
    kept |= {"·".encode(): "·", "\u202e".encode(): "<U+202E>", b"<b>": "<b>"}
    assert {raw: running_text(Token(7, raw)) for raw in kept} == kept


def test_unshifted_rows_say_what_was_read(tiny: LanguageModel) -> None:
    data = batch_data(score(tiny, "every effort moves", " pizza the chocolate"))
    words = data["words"].split("\r")
    assert texts(data) == [" pizza", " the", " chocolate"]
    assert [words[n] for n in unpacked(data, "givens", np.int32)] == ["every", " effort", " moves"]
    assert unpacked(data, "ks", np.int32) == [0, 1, 2]


def test_a_start_token_stands_for_no_text(gpt2: LanguageModel) -> None:
    assert texts(batch_data(score(gpt2, "every effort", bos=True))) == ["every", " effort"]
    data = batch_data(score(gpt2, "every effort", " effort moves", bos=True))
    assert texts(data) == ["every", " effort", " moves"]


def test_two_thousand_tokens_of_an_untrained_model_are_small(tiny: LanguageModel) -> None:
    """Its guesses are many different words: no other model's data are larger."""
    batch = score(tiny, [[n % 50257 for n in range(k * 7919, k * 7919 + 17 * 101, 101)] for k in range(125)])
    assert len(batch) == 2000
    assert len(json.dumps(batch_data(batch))) <= 350_000


def test_custom_cells_may_have_fewer_guesses_and_carriage_returns() -> None:
    data = strip_data([[Cell("a\rb", 0, log_proba=-1.0, top=(("x", -0.5),))], [Cell("c")]], 256)
    assert texts(data) == ["a␍b", "c"]
    assert (data["count"], data["width"], data["rows"]) == (1, 1, [1, 1])
    assert data["digest"] != strip_data([[Cell("a", 0)], [Cell("c")]], 256)["digest"]


class Strip:
    """A page that draws the strip run by run, and a browser that answers."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.state: dict[str, Any] = {}
        self.mounts: list[dict[str, Any]] = []
        monkeypatch.setattr(module.st, "session_state", self.state)
        monkeypatch.setattr(module, "_mount", self._mount)

    def _mount(self, data: dict[str, Any], key: str, on_chosen_change: Callable[[], None]) -> None:
        self.mounts.append(data)
        self.state[key] = SimpleNamespace(chosen=None)
        self.heard = on_chosen_change

    def run(self, at: int | None, on_choose: Callable[[], None] | None = lambda: None) -> tuple[int, int]:
        """Draw it with `at` chosen; what the browser is told to mark, and the how-manieth time."""
        module.token_strip(strip_data([[Cell("x", k) for k in range(9)]], 256), at, "strip", on_choose)
        return tuple(self.mounts[-1]["at"])

    def click(self, said: Any) -> None:
        self.state["strip"] = SimpleNamespace(chosen=said)
        self.heard()


def test_a_click_sends_the_same_again_and_a_change_from_elsewhere_does_not(monkeypatch: pytest.MonkeyPatch) -> None:
    strip = Strip(monkeypatch)
    assert strip.run(2) == (2, 0)
    strip.click(5)
    assert strip.run(5) == (2, 0)
    assert strip.mounts[0] == strip.mounts[1]
    strip.click(7)
    assert strip.run(7) == (2, 0)
    assert strip.run(2) == (2, 1)  # a link back to the first
    assert strip.run(2) == (2, 1)
    strip.click(8)
    assert strip.run(2) == (2, 2)  # the page does not follow the click
    assert strip.run(None) == (-1, 3)


@pytest.mark.parametrize(("said", "marked"), [("7", 7), (99, 8), (-5, 0), (None, 0), ("x", 0), ([1], 0)])
def test_whatever_the_browser_says_is_a_token(monkeypatch: pytest.MonkeyPatch, said: Any, marked: int) -> None:
    strip = Strip(monkeypatch)
    strip.run(3)
    strip.click(said)
    assert strip.run(marked) == (3, 0)


def test_a_strip_to_look_at_asks_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    strip = Strip(monkeypatch)
    assert strip.run(None, None) == (-1, 0)
    assert strip.mounts[0]["asks"] is False
    assert strip.heard is None


def luminance(colour: str) -> float:
    channels = [int(colour[k : k + 2], 16) / 255 for k in (1, 3, 5)]
    parts = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in channels]
    return float(np.dot(parts, [0.2126, 0.7152, 0.0722]))


def contrast(one: str, other: str) -> float:
    low, high = sorted(map(luminance, (one, other)))
    return (high + 0.05) / (low + 0.05)


@pytest.mark.parametrize("scheme", [0, 1])
def test_text_stands_out_on_every_step_and_steps_are_even(scheme: int) -> None:
    steps = re.findall(r"\.s\d \{ --fill: light-dark\((.*?), (.*?)\); --ink: light-dark\((.*?), (.*?)\);", CSS)
    fills, inks = [step[scheme] for step in steps], [step[2 + scheme] for step in steps]
    assert len(fills) == 9
    assert min(map(contrast, fills, inks)) >= 4.5
    lightness = [116 * max(luminance(fill), 0.008856) ** (1 / 3) - 16 for fill in fills]
    jumps = np.abs(np.diff(lightness))
    assert jumps.min() > 0.8 * jumps.max()
    assert fills[0] == ("#ffffff", "#0f141b")[scheme]


# In the browser


def options(**changed: Any) -> dict[str, Any]:
    look = {"flow": False, "colour": None, "figures": False, "units": "nats", "named": False}
    return {"key": "strip", "at": [-1, 0], "asks": True, **look, **changed}


def mount(page: Page, data: dict[str, Any], scheme: str = "light", **changed: Any) -> None:
    """The component on a page of its own; `window.sent` is what it has told the server."""
    theme = "; ".join(f"--st-{name}-color: {value}" for name, value in zip(NAMES, COLOURS[scheme], strict=True))
    page.goto("data:text/html,<!doctype html><meta charset=utf-8><main id=host><div class=strip></div></main>")
    page.evaluate(
        """async ([code, css, theme, scheme]) => {
          document.title = "strip"; document.documentElement.lang = "en";
          document.documentElement.style = `${theme}; --st-font: sans-serif; color-scheme: ${scheme}`;
          document.body.style.background = "var(--st-background-color)";
          document.head.append(Object.assign(document.createElement("style"), { textContent: css }));
          window.strip = await import(URL.createObjectURL(new Blob([code], { type: "text/javascript" })));
          window.sent = [];
          const parentElement = document.getElementById("host");
          const setTriggerValue = (name, k) => window.sent.push([name, k]);
          window.draw = (data) => void strip.default({ data, parentElement, setTriggerValue });
        }""",
        [SCRIPT, CSS, theme, scheme],
    )
    draw(page, data, **changed)


def draw(page: Page, data: dict[str, Any], **changed: Any) -> None:
    page.evaluate("data => draw(data)", {**data, **options(**changed)})


def token(page: Page, k: int) -> Locator:
    return page.locator(f"[data-k='{k}']")


def sent(page: Page) -> list[int]:
    said = page.evaluate("sent")
    assert {name for name, _ in said} <= {"chosen"}
    return [k for _, k in said]


@pytest.mark.browser
def test_numbers_are_as_in_python(page: Page, lecture: ScoredBatch) -> None:
    generator = torch.Generator().manual_seed(1)
    logs = (-torch.logspace(-9, 3.3, 3000, dtype=torch.float64)).tolist()
    logs += (-30 * torch.rand(3000, generator=generator, dtype=torch.float64)).tolist()
    logs += [
        0.0,
        1e-7,
        math.log(0.5),
        math.log(0.001),
        math.log(0.99995),
        -math.log(10),
        -math.log(1e12),
        -4 * math.log(10),
    ]
    mount(page, batch_data(lecture))
    shown = page.evaluate(
        "logs => logs.map((x) => [strip.probaText(x), strip.probaText(x, 1), strip.oddsText(x)])", logs
    )
    assert shown == [[proba_text(x), proba_text(x, 1), odds_text(x)] for x in logs]
    assert not [proba for proba, _, _ in shown if float(proba.split()[-1].split("e")[0]) == 0]


@pytest.mark.browser
def test_click_and_keys_choose_and_are_told_once(page: Page, lecture: ScoredBatch) -> None:
    mount(page, batch_data(lecture), at=[0, 0])
    expect(token(page, 0)).to_have_attribute("aria-selected", "true")
    page.evaluate("() => void (document.onkeydown = () => (window.leaked = true))")
    token(page, 1).click()
    for key in ("ArrowRight", "ArrowDown", "ArrowUp", "End", "ArrowRight", "Home", "ArrowLeft", "ArrowRight"):
        page.keyboard.press(key)
    assert sent(page) == [1, 2, 5, 2, 5, 0, 1]
    assert page.evaluate("window.leaked") is None
    expect(page.locator(".on")).to_have_text("·moves")
    expect(page.locator("[aria-selected=true]")).to_have_count(1)
    active = page.get_by_role("listbox").get_attribute("aria-activedescendant")
    expect(page.locator(f"#{active}")).to_have_accessible_name("p12, token ·moves, loss 10.3796 nats, rank 7,247")
    expect(page.locator(".later")).to_have_text(["·you"])


@pytest.mark.browser
def test_the_token_that_is_only_read_cannot_be_chosen(page: Page, lecture: ScoredBatch) -> None:
    mount(page, batch_data(lecture))
    page.get_by_text("every", exact=True).click(force=True)
    assert sent(page) == []
    expect(page.locator(".on")).to_have_count(0)
    expect(page.get_by_title("read only, not predicted")).to_have_count(2)


@pytest.mark.browser
def test_what_the_visitor_chose_stays_until_another_is_told(page: Page, lecture: ScoredBatch) -> None:
    data = batch_data(lecture)
    mount(page, data, at=[0, 0])
    token(page, 3).click()
    draw(page, data, at=[0, 0], units="bits")  # the same told again: the server follows the click
    expect(page.locator(".on")).to_have_text("·really")
    draw(page, data, at=[0, 1])  # told anew: from a link or a button
    expect(page.locator(".on")).to_have_text("·effort")
    assert sent(page) == [3]
    draw(page, data, at=[-1, 2], asks=False)
    expect(page.locator(".on")).to_have_count(0)
    token(page, 4).click()
    expect(page.locator(".on")).to_have_text("·like")
    assert sent(page) == [3]


@pytest.mark.browser
def test_a_strip_that_was_away_knows_what_was_chosen(page: Page, lecture: ScoredBatch) -> None:
    data = batch_data(lecture)
    mount(page, data, at=[0, 4])
    token(page, 3).click()
    for turn, marked in ((4, "·really"), (5, "·effort")):
        page.evaluate("() => { host.innerHTML = '<div class=strip></div>'; }")
        draw(page, data, at=[0, turn])
        expect(page.locator(".on")).to_have_text(marked)


@pytest.mark.browser
def test_the_tip_says_everything_within_the_window(page: Page, lecture: ScoredBatch) -> None:
    mount(page, batch_data(lecture))
    tip = page.get_by_role("tooltip")
    expect(tip).to_be_hidden()
    token(page, 5).hover()
    facts = [
        "p23",
        "·chocolate",
        "12.2561 nats",
        f"4.76e-06, {odds_text(lecture.log_probas[5].item())}",
        "rank",
        "of 50,257",
        "entropy",
    ]
    for fact in facts:
        expect(tip).to_contain_text(fact)
    top = lecture.top(2, 3, 10)
    expect(tip.locator(".likely .word")).to_have_text([guess.token.label for guess in top])
    expect(tip.locator(".likely .proba")).to_have_text([proba_text(guess.log_proba) for guess in top])
    expect(tip.locator(".true")).to_have_count(0)
    page.keyboard.press("Escape")
    expect(tip).to_be_hidden()
    token(page, 5).hover(position={"x": 12, "y": 8})
    expect(tip).to_be_hidden()  # until the pointer has been elsewhere
    token(page, 0).hover()
    expect(tip).to_contain_text("p11")
    page.set_viewport_size({"width": 390, "height": 500})
    for k in range(6):
        token(page, k).click()
        box = tip.bounding_box()
        assert box is not None
        assert min(box["x"], box["y"], 390 - box["x"] - box["width"], 500 - box["y"] - box["height"]) >= 0
    draw(page, batch_data(lecture), units="bits")
    token(page, 4).hover()
    expect(tip).to_contain_text("bits")


@pytest.mark.browser
def test_the_true_token_is_marked_among_the_likeliest(page: Page) -> None:
    top = ((" b", -0.5), (" c", -1.5), (" tiny", -920.0))
    mount(page, strip_data([[Cell("·c", 0, "p11", "", -1.5, 2, 1.0, top, " c")]], 256))
    token(page, 0).hover()
    expect(page.locator(".tip .place.true")).to_have_text("✓ 2")
    expect(page.locator(".tip .proba")).to_have_text(["0.6065", "0.2231", proba_text(-920.0)])


@pytest.mark.browser
def test_recolouring_keeps_every_element(page: Page, tiny: LanguageModel) -> None:
    batch = score(tiny, VERDICT[:40])
    data = batch_data(batch)
    mount(page, data, flow=True, colour="loss", at=[0, 0])
    token(page, 2).evaluate("element => (element.mark = 'same')")
    for colour in ("probability", "rank", "entropy", "loss"):
        draw(page, data, flow=True, colour=colour, figures=True, at=[0, 0])
        expect(page.locator(".legend")).to_contain_text(colour.capitalize())
        assert token(page, 2).evaluate("element => element.mark") == "same"
    expect(page.locator(".ticks")).to_have_text("0481216")
    losses = [f"{-log:.2f}" for log in batch.log_probas.tolist()]
    assert page.locator("[data-k]").evaluate_all("all => all.map((one) => one.dataset.figure)") == losses
    draw(page, data, flow=True, colour="rank", figures=True)
    ranks = [f"{rank:,}" for rank in batch.ranks.tolist()]
    assert page.locator("[data-k]").evaluate_all("all => all.map((one) => one.dataset.figure)") == ranks


@pytest.mark.browser
@pytest.mark.parametrize(
    ("colour", "steps"),
    [
        ("loss", ["s0", "s0", "s1", "s5", "s8"]),
        ("probability", ["s0", "s0", "s1", "s5", "s8"]),
        ("rank", ["s0", "s2", "s4", "s6", "s8"]),
        ("entropy", ["s0", "s1", "s4", "s8", "s8"]),
    ],
)
def test_the_steps_of_each_colour(page: Page, colour: str, steps: list[str]) -> None:
    ln_v = math.log(50257)
    values = [
        (0.0, 1, 0.0),
        (-0.69, 10, ln_v / 8),
        (-2.4, 11, ln_v / 2),
        (-10.0, 1000, ln_v),
        (-15.0, 1001, ln_v + 1),
    ]
    cells = [Cell("x", k, "", "", *value) for k, value in enumerate(values)]
    mount(page, strip_data([cells], 50257), flow=True, colour=colour)
    classes = page.locator("[data-k]").evaluate_all("all => all.map((one) => one.classList.item(2))")
    assert classes == steps


@pytest.mark.browser
def test_a_larger_loss_widens_the_scale(page: Page) -> None:
    cells = [Cell("x", 0, log_proba=-8.0, rank=1), Cell("y", 1, log_proba=-29.5, rank=9)]
    mount(page, strip_data([cells], 9), flow=True, colour="loss")
    expect(page.locator(".ticks span")).to_have_text(["0", "8", "16", "24", "32"])
    draw(page, strip_data([cells], 9), flow=True, colour="loss", units="bits")
    expect(page.locator(".ticks span").last).to_have_text("46.2")


@pytest.mark.browser
def test_text_is_text_and_lines_break_where_it_does(page: Page, gpt2: LanguageModel) -> None:
    page.on("dialog", lambda dialog: pytest.fail(f"a script ran: {dialog.message}"))
    batch = score(gpt2, "<img src=x onerror=alert(1)>\n\nשלום")
    mount(page, batch_data(batch), flow=True)
    assert page.locator(".text img").count() == 0
    shown = page.locator(".text").evaluate("text => text.textContent")
    assert shown.startswith("<img src=x onerror=alert(1)>↵")
    assert shown.count("↵") == shown.count("\n") == 2
    mount(
        page,
        strip_data([[Cell("a", 0, text="a"), Cell("↵↵", 1, text="\n\n"), Cell("·b", 2, text="  b")]], 9),
        flow=True,
    )
    tops = page.locator("[data-k]").evaluate_all("all => all.map((one) => one.getBoundingClientRect().top)")
    assert tops[0] == tops[1]
    line = tops[2] - tops[0]
    mount(
        page, strip_data([[Cell("a", 0, text="a"), Cell("↵", 1, text="\n"), Cell("·b", 2, text="  b")]], 9), flow=True
    )
    tops = page.locator("[data-k]").evaluate_all("all => all.map((one) => one.getBoundingClientRect().top)")
    assert line == pytest.approx(2 * (tops[2] - tops[0]), abs=1)
    expect(token(page, 2)).to_have_css("unicode-bidi", "isolate")
    assert token(page, 2).evaluate("one => one.textContent") == "\u00a0\u00a0b"  # that begin a line, keep their width


@pytest.mark.browser
def test_chips_of_bytes_names_and_what_was_read(page: Page, tiny: LanguageModel) -> None:
    mount(page, batch_data(score(tiny, "the the the 💙")), named=True)
    shown = page.locator(".token").all_text_contents()
    assert shown[:4] == ["the", "·the", "·the", "<20 F0 9F>"]
    expect(token(page, 0)).to_have_attribute("data-name", "p11")
    mount(page, batch_data(score(tiny, "every effort moves", " pizza the chocolate")))
    expect(page.locator(".token")).to_have_text(["every → ·pizza", "·effort → ·the", "·moves → ·chocolate"])


@pytest.mark.browser
def test_ten_thousand_tokens_are_drawn_at_once_and_found(page: Page) -> None:
    cells = [Cell("x", k, f"p1,{k}", "", -1.0 - k % 9, 5, 2.0, (), f" word{k}") for k in range(10_000)]
    for k in range(99, 10_000, 100):
        cells[k] = Cell("↵", k, text="\n", log_proba=-1.0, rank=1)
    mount(page, strip_data([cells], 50257), flow=True, colour="loss", at=[9_000, 0])
    expect(token(page, 9_000)).to_be_in_viewport()
    token(page, 9_001).click()
    page.keyboard.press("Home")
    expect(token(page, 0)).to_be_in_viewport()
    assert sent(page) == [9_001, 0]


@pytest.mark.browser
@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("flow", [True, False])
def test_axe_finds_nothing(
    chromium: Browser, lecture: ScoredBatch, scheme: Literal["light", "dark"], flow: bool
) -> None:
    with chromium.new_context(viewport={"width": 1280, "height": 720}) as context:
        page = context.new_page()
        for colour in (None, "loss"):
            mount(page, batch_data(lecture), scheme, flow=flow, colour=colour, figures=flow, at=[4, 0], named=True)
            token(page, 1).hover()
            found = [v for v in Axe().run(page).response["violations"] if v["id"] != "page-has-heading-one"]
            assert [(v["id"], [node["html"][:200] for node in v["nodes"]]) for v in found] == []
