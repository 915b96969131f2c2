"""How fast "Perplexity and pitfalls" answers, from the browser's side: a part, a mistake, another token.

    .venv/bin/python benchmarks/pitfalls.py

Writes benchmarks/results/pitfalls.json and prints a table: medians and the slowest of each, in milliseconds. Every
mistake is made once before, as by the first of many visitors.
"""

import json
import re
import statistics
import sys
import tempfile
import time
from itertools import cycle, islice
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent))

from playwright.sync_api import Page, expect

from gptloss.lessons.pitfalls.catalogue import PITFALLS
from tests.helpers.driver import chromium, open_page, server, still

TARGET_MS = {"another part": 300, "a mistake": 200, "a mistake mended": 200, "another token": 300}
PARTS = {"Why log?": ".st-key-log-sum", "Is it good?": ".st-key-ruler", "Two classes": ".st-key-binary"}
RUNS = 14
# From a click on an element to the moment when another one is there, seen from inside the page.
CLICK = """([element, wanted, gone]) => new Promise((done, fail) => {
  const start = performance.now();
  const look = () => {
    const there = [...document.querySelectorAll(wanted[0])].some(e => e.textContent.includes(wanted[1]));
    if (there && !(gone && document.querySelector(gone))) done(performance.now() - start);
    else if (performance.now() - start > 20000) fail(`never saw ${wanted}`);
    else setTimeout(look, 4);
  };
  element.click();
  look();
})"""


def clicked(page: Page, name: str, wanted: tuple[str, str], gone: str = "", role: str = "radio") -> float:
    """Milliseconds from a click on a button or switch to what it shows."""
    element = page.get_by_role(role, name=re.compile(name)).element_handle()  # type: ignore[arg-type]
    took = float(page.evaluate(CLICK, [element, wanted, gone]))
    page.wait_for_timeout(400)
    return took


def parts(page: Page) -> list[float]:
    return [
        clicked(page, f"^{re.escape(name)}$", (f"{key} .main-svg", ""))
        for name, key in islice(cycle(PARTS.items()), RUNS)
    ]


def mistakes(page: Page) -> tuple[list[float], list[float]]:
    made, mended = [], []
    page.get_by_role("radio", name="Pitfalls").click()
    still(page)
    for turn in range(2):
        for pitfall in PITFALLS:
            switch = rf"^\d+ {re.escape(pitfall.title)}$"
            on = clicked(page, switch, (".st-key-wrong", f"Mistake: {pitfall.title}"))
            off = clicked(page, switch, (".st-key-right-number", "10.7940"), ".st-key-wrong")
            if turn:
                made.append(on)
                mended.append(off)
    return made, mended


def tokens(page: Page) -> list[float]:
    page.get_by_role("radio", name="What if").click()
    still(page)
    names = page.locator(".st-key-force [role=radio]").all_inner_texts()[:6]
    times = []
    for name in islice(cycle(names), RUNS):
        token = name.split(" ")[0]
        times.append(clicked(page, f"^{re.escape(name)}$", (".st-key-changed", f"→ {token}")))
    return times


def main() -> None:
    with tempfile.TemporaryDirectory() as logs, server(Path(logs) / "log") as app, chromium() as browser:
        page = browser.new_page(viewport={"width": 1280, "height": 720})
        open_page(page, f"{app.url}/perplexity")
        still(page)
        expect(page.get_by_text("Is 10.79 good?")).to_be_visible()
        time.sleep(3)
        found = {"another part": parts(page)}
        found["a mistake"], found["a mistake mended"] = mistakes(page)
        found["another token"] = tokens(page)
    results = {
        name: {"median": statistics.median(times), "slowest": max(times), "target": TARGET_MS[name]}
        for name, times in found.items()
    }
    file = Path(__file__).parent / "results" / "pitfalls.json"
    file.write_text(json.dumps(results, indent=1) + "\n", "utf-8")
    for name, row in results.items():
        print(f"{name:<26}{row['median']:>8.0f}{row['slowest']:>8.0f}   at most {row['target']}")


if __name__ == "__main__":
    main()
