"""The token strip in a real Chromium, on a page of its own."""

import math
from typing import Any, Literal

import pytest
import torch
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, Locator, Page, expect

from gptloss import ScoredBatch, score
from gptloss.models import LanguageModel
from gptloss.numbers import odds_text, proba_text
from views.components.bundle import FOLDER
from views.components.token_strip import SCRIPT, Cell, batch_data, strip_data

pytestmark = pytest.mark.browser

CSS = (FOLDER / "token_strip.css").read_text("utf-8")
COLOURS = {
    "light": ("#ffffff", "#17202e", "#5b6778", "#a83808"),
    "dark": ("#0f141b", "#eef2f7", "#9aa7b8", "#ff9460"),
}
NAMES = ("background", "text", "gray", "primary")
VERDICT = "I HAD always thought Jack Gisburn rather a cheap genius--though a good fellow enough. "


def options(**changed: Any) -> dict[str, Any]:
    look = {"flow": False, "colour": None, "figures": False, "units": "nats", "named": False, "legend": True}
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


def test_the_token_that_is_only_read_cannot_be_chosen(page: Page, lecture: ScoredBatch) -> None:
    mount(page, batch_data(lecture))
    page.get_by_text("every", exact=True).click(force=True)
    assert sent(page) == []
    expect(page.locator(".on")).to_have_count(0)
    expect(page.get_by_title("read only, not predicted")).to_have_count(2)


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


def test_a_strip_that_was_away_knows_what_was_chosen(page: Page, lecture: ScoredBatch) -> None:
    data = batch_data(lecture)
    mount(page, data, at=[0, 4])
    token(page, 3).click()
    for turn, marked in ((4, "·really"), (5, "·effort")):
        page.evaluate("() => { host.innerHTML = '<div class=strip></div>'; }")
        draw(page, data, at=[0, turn])
        expect(page.locator(".on")).to_have_text(marked)


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


def test_the_true_token_is_marked_among_the_likeliest(page: Page) -> None:
    top = ((" b", -0.5), (" c", -1.5), (" tiny", -920.0))
    mount(page, strip_data([[Cell("·c", 0, "p11", "", -1.5, 2, 1.0, top, " c")]], 256))
    token(page, 0).hover()
    expect(page.locator(".tip .place.true")).to_have_text("✓ 2")
    expect(page.locator(".tip .proba")).to_have_text(["0.6065", "0.2231", proba_text(-920.0)])


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


def test_a_larger_loss_widens_the_scale(page: Page) -> None:
    cells = [Cell("x", 0, log_proba=-8.0, rank=1), Cell("y", 1, log_proba=-29.5, rank=9)]
    mount(page, strip_data([cells], 9), flow=True, colour="loss")
    expect(page.locator(".ticks span")).to_have_text(["0", "8", "16", "24", "32"])
    draw(page, strip_data([cells], 9), flow=True, colour="loss", units="bits")
    ticks = page.locator(".ticks span")
    expect(ticks).to_have_text(["0", "10", "20", "30", "40"])
    end = 32 / math.log(2)
    assert [float(tick.evaluate("one => parseFloat(one.style.left)")) for tick in ticks.all()] == pytest.approx(
        [100 * value / end for value in (0, 10, 20, 30, 40)], abs=0.01
    )
    draw(page, strip_data([cells], 50257), flow=True, colour="entropy")
    expect(ticks).to_have_text(["0", "4", "ln V = 10.82"])


def test_the_legend_may_stand_alone_or_be_left_out(page: Page) -> None:
    mount(page, strip_data([], 256), colour="probability")
    expect(page.locator(".legend")).to_contain_text("Probability")
    expect(page.locator(".text")).to_be_hidden()
    mount(page, strip_data([[Cell("x", 0, log_proba=-8.0, rank=1)]], 256), colour="probability", legend=False)
    expect(page.locator("[data-k]")).to_have_text("x")
    expect(page.locator(".legend")).to_have_count(0)


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


def test_chips_of_bytes_names_and_what_was_read(page: Page, tiny: LanguageModel) -> None:
    mount(page, batch_data(score(tiny, "the the the 💙")), named=True)
    shown = page.locator(".token").all_text_contents()
    assert shown[:4] == ["the", "·the", "·the", "<20 F0 9F>"]
    expect(token(page, 0)).to_have_attribute("data-name", "p11")
    mount(page, batch_data(score(tiny, "every effort moves", " pizza the chocolate")))
    expect(page.locator(".token")).to_have_text(["every → ·pizza", "·effort → ·the", "·moves → ·chocolate"])


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
