"""How fast the page answers, from the browser's side: cold start, a click on a column, a changed word.

    .venv/bin/python benchmarks/page.py

Writes benchmarks/results/page.json and prints a table: medians and the slowest of each, in milliseconds.
"""

import json
import statistics
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent))

from playwright.sync_api import Page

from tests.helpers.driver import Server, chromium, open_page, server

TARGET_MS = {
    "server.py, cold, to the loss": 5000,
    "app.py, cold, to the loss": 5000,
    "click to new charts": 200,
    "changed word to new ladder": 500,
}
RUNS = 15
WORDS = ("home", "on", "out", "all", "up", "down", "in", "away", "over", "back", "here", "there", "now", "first")
# Watches the page from inside, so that the driver's own round trips are not counted.
WATCH = """
([what, wanted]) => new Promise((done, fail) => {
  const start = performance.now();
  const roots = [...document.querySelectorAll('*')].filter((e) => e.shadowRoot).map((e) => e.shadowRoot);
  const text = {
    charts: () => [...document.querySelectorAll('.gtitle')].map((e) => e.textContent).join(' ')
      + [...document.querySelectorAll('.annotation-text')].map((e) => e.textContent).join(' '),
    ladder: () => roots.map((r) => r.textContent).join(' '),
  }[what];
  const look = () => {
    const now = text().replaceAll('\u200b', '');  // Plotly puts these around subscripts
    if (wanted.every((word) => now.includes(word))) done(performance.now() - start);
    else if (performance.now() - start > 10000) fail(`never saw ${wanted} in: ${now}`);
    else setTimeout(look, 4);
  };
  window.act();
  look();
})
"""


def cold_start(folder: Path, script: str) -> float:
    """From the browser's first request on a fresh server to the loss on the screen."""
    with server(folder / "log", script) as app, chromium() as browser:
        page = browser.new_page()
        start = time.perf_counter()
        page.goto(app.url)
        page.get_by_test_id("stMetricValue").filter(has_text="10.7940").wait_for(timeout=60_000)
        return 1000 * (time.perf_counter() - start)


def click(page: Page, k: int) -> float:
    """From a click on column k of the lecture example to both charts of the new position."""
    name, word = (("p11", "·effort"), ("p12", "·moves"), ("p13", "·you"), ("p21", "·really"), ("p22", "·like"))[k]
    page.evaluate(
        f"""() => void (window.act = () => [...document.querySelectorAll('*')].filter((e) => e.shadowRoot)
        .map((e) => e.shadowRoot.querySelector('button.pick[data-k="{k}"]')).find(Boolean).click())"""
    )
    return float(page.evaluate(WATCH, ["charts", [f"{name} after", f"{word} "]]))


def change_word(page: Page, word: str) -> float:
    """From a word put into the first target, with the pause that waits for more typing, to the new ladder."""
    page.evaluate(
        f"""() => void (window.act = () => {{
        const box = document.querySelector('.st-key-target-0 input');
        Object.getOwnPropertyDescriptor(HTMLInputElement.prototype, 'value').set.call(box, ' effort moves {word}');
        box.dispatchEvent(new Event('input', {{ bubbles: true }}));
        }})"""
    )
    return float(page.evaluate(WATCH, ["ladder", [f"·{word}"]]))


def warm(app: Server) -> dict[str, list[float]]:
    """Clicks and changed words on a warm server."""
    with chromium() as browser:
        page = browser.new_page(viewport={"width": 1280, "height": 720})
        open_page(page, app.url)
        page.wait_for_timeout(1000)
        clicks, words = [], []
        for run in range(RUNS):
            clicks.append(click(page, (1 + run) % 5))
            page.wait_for_timeout(400)
        for word in WORDS:
            words.append(change_word(page, word))
            page.wait_for_timeout(600)
        return {"click to new charts": clicks, "changed word to new ladder": words}


def main() -> None:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        times = {
            f"{script}, cold, to the loss": [cold_start(folder, script) for _ in range(5)]
            for script in ("server.py", "app.py")
        }
        with server(folder / "log") as app:
            times |= warm(app)
    results = Path(__file__).parent / "results"
    results.mkdir(exist_ok=True)
    (results / "page.json").write_text(json.dumps(times, indent=1))
    print(f"{'':30} {'median':>7} {'slowest':>8} {'target':>7}   ms")
    for what, values in times.items():
        print(f"{what:30} {statistics.median(values):7.0f} {max(values):8.0f} {TARGET_MS[what]:7}")


if __name__ == "__main__":
    main()
