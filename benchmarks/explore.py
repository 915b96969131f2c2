"""How fast the pages under Explore answer at 1,000 tokens of GPT-2 124M, from the browser's side.

    .venv/bin/python benchmarks/explore.py

A click on a token that nobody has chosen before, to the new chart that names it, and on "Token probabilities" also to
the chart of all probabilities beside it; a step of the temperature, to its new charts.
Writes benchmarks/results/explore.json and prints a table: medians and the slowest of each, in milliseconds.
"""

import json
import statistics
import sys
import tempfile
from pathlib import Path
from urllib.parse import quote

sys.path.insert(0, str(Path(__file__).parent.parent))

from playwright.sync_api import Page

from tests.helpers.driver import ROOT, Server, chromium, open_page, server

RUNS, TARGET_MS = 15, 150
STORY = (ROOT / "gptloss" / "data" / "sample.txt").read_text("utf-8")
TEXT = STORY + STORY[:330]  # 1,000 tokens
# Watches the page from inside, so that the driver's own round trips are not counted.
WATCH = """
([k, wanted, other]) => new Promise((done, fail) => {
  const start = performance.now();
  const text = (where) => [...document.querySelectorAll(where)].map((e) => e.textContent).join(' ');
  const before = other && text(other);
  let first = null;
  const look = () => {
    const now = performance.now() - start;
    if (first === null && text('.main-svg').replaceAll('\\u200b', '').includes(wanted)) first = now;
    if (first !== null && (!other || ![before, ''].includes(text(other)))) done([first, now]);
    else if (now > 10000) fail(`never saw ${wanted}`);
    else setTimeout(look, 4);
  };
  const roots = [...document.querySelectorAll('*')].filter((e) => e.shadowRoot).map((e) => e.shadowRoot);
  if (k !== null) roots.map((root) => root.querySelector(`[data-k="${k}"]`)).find(Boolean).click();
  else document.activeElement.dispatchEvent(new KeyboardEvent('keydown', { key: 'ArrowRight', bubbles: true }));
  look();
})
"""


def clicks(page: Page, app: Server, path: str, other: str | None = None) -> list[list[float]]:
    """From a click on a token to a chart that names its position, and to the other chart."""
    open_page(page, f"{app.url}/{path}?at=11000&input={quote(TEXT)}")
    page.wait_for_timeout(2000)
    times = []
    for run in range(RUNS):
        j = 100 + 53 * run
        times.append(page.evaluate(WATCH, [j - 1, f"p1,{j} after", other]))
        page.wait_for_timeout(600)
    return times


def heats(page: Page, app: Server) -> list[list[float]]:
    """From a step of the temperature to the chart of the distribution after it."""
    open_page(page, f"{app.url}/temperature?at=1500&input={quote(TEXT)}")
    page.get_by_text("best temperature").first.wait_for(timeout=120_000)
    page.wait_for_timeout(2000)
    page.get_by_role("slider", name="Temperature").focus()
    times = []
    for run in range(RUNS):
        times.append(page.evaluate(WATCH, [None, f"temperature {1.1 + run / 10:.2g}", None]))
        page.wait_for_timeout(600)
    return times


def main() -> None:
    with tempfile.TemporaryDirectory() as folder, server(Path(folder) / "log") as app, chromium() as browser:
        page = browser.new_page(viewport={"width": 1280, "height": 720})
        looked = clicks(page, app, "token_probabilities", ".st-key-ranks .main-svg")
        times = {
            "Token probabilities: click": [first for first, _ in looked],
            "  to both charts": [both for _, both in looked],
            "Surprise in a text: click": [first for first, _ in clicks(page, app, "surprise")],
            "Temperature: step": [first for first, _ in heats(page, app)],
        }
    results = Path(__file__).parent / "results"
    results.mkdir(exist_ok=True)
    (results / "explore.json").write_text(json.dumps(times, indent=1))
    print(f"{'':30} {'median':>7} {'slowest':>8} {'target':>7}   ms")
    for what, values in times.items():
        print(f"{what:30} {statistics.median(values):7.0f} {max(values):8.0f} {TARGET_MS:7}")


if __name__ == "__main__":
    main()
