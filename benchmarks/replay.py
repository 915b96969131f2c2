"""How fast the page "Training" is, from the browser's side: opened from the menu, and a move of its slider.

    .venv/bin/python benchmarks/replay.py

Writes benchmarks/results/replay.json and prints a table: medians and the slowest of each, in milliseconds.
"""

import json
import statistics
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent))

from playwright.sync_api import Page

from tests.helpers.driver import chromium, open_page, server, still

TARGET_MS = {"menu to the whole page": 1000, "a move of the slider": 150}
OPENINGS, MOVES = 7, 40
# From a key on the slider to the second frame after it: then what it changed has been drawn.
MOVE = """() => new Promise(done => {
  const root = [...document.querySelectorAll('*')].map(e => e.shadowRoot?.querySelector('.replay')).find(Boolean);
  const slider = root.querySelector('.slider');
  const start = performance.now();
  slider.value = (slider.valueAsNumber + 7) % slider.max;
  slider.dispatchEvent(new Event('input', { bubbles: true }));
  requestAnimationFrame(() => requestAnimationFrame(() => done(performance.now() - start)));
})"""


def opened(page: Page) -> float:
    """Milliseconds from a click in the menu until both charts and the bar are drawn."""
    page.get_by_role("link", name="Compare").click()
    still(page)
    start = time.perf_counter()
    page.get_by_role("link", name="Training").click()
    page.locator(".replay .frame").first.wait_for()
    return 1000 * (time.perf_counter() - start)


def main() -> None:
    with tempfile.TemporaryDirectory() as logs, server(Path(logs) / "log") as app, chromium() as browser:
        page = browser.new_page(viewport={"width": 1280, "height": 720})
        open_page(page, f"{app.url}/training")
        still(page)
        found = {
            "menu to the whole page": [opened(page) for _ in range(OPENINGS)],
            "a move of the slider": [page.evaluate(MOVE) for _ in range(MOVES)],
        }
    results = {
        name: {"median": statistics.median(times), "slowest": max(times), "target": TARGET_MS[name]}
        for name, times in found.items()
    }
    file = Path(__file__).parent / "results" / "replay.json"
    file.write_text(json.dumps(results, indent=1) + "\n", "utf-8")
    for name, row in results.items():
        print(f"{name:<26}{row['median']:>8.0f}{row['slowest']:>8.0f}   at most {row['target']}")


if __name__ == "__main__":
    main()
