"""A Chromium to drive and a server to drive it against; shared by tests, screenshots and benchmarks."""

import os
import re
import shutil
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, Locator, Page, expect, sync_playwright

ROOT = Path(__file__).parent.parent.parent
NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "microsoft-edge")
QUIET = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
# All pages in one process: it keeps Streamlit's compiled code, and a page opens in half the time.
ONE_PROCESS = ["--renderer-process-limit=1", "--process-per-site", "--js-flags=--min-semi-space-size=64"]
# Rules that Streamlit's own frame and its file uploader break.
STREAMLITS_OWN = {"region", "landmark-one-main", "page-has-heading-one", "presentation-role-conflict"}
# Milliseconds that a machine busy with other work may need for any step; a test that passes never waits them out.
TIMEOUT = 60_000
# The script has run to its end and nothing is waiting.
IDLE = "[data-testid=stApp][data-test-script-state=notRunning]"


def chromium_path() -> str | None:
    """The first Chromium on the PATH, or None."""
    return next(filter(None, map(shutil.which, NAMES)), None)


@contextmanager
def chromium(*arguments: str) -> Iterator[Browser]:
    """A headless Chromium."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium_path(), args=[*QUIET, *arguments])
        yield browser
        browser.close()


@dataclass
class Server:
    """A running app: its address, and everything it has logged."""

    url: str
    log: Path

    @property
    def complaints(self) -> list[str]:
        """Log lines that are a warning, an error or a traceback."""
        bad = re.compile(r"warn|error|traceback|exception", re.IGNORECASE)
        return [line for line in self.log.read_text("utf-8").splitlines() if bad.search(line)]


def free_port() -> int:
    """A port that nobody uses."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port: int = free.getsockname()[1]
        return port


@contextmanager
def server(log: Path, script: str = "server.py", port: int = 0) -> Iterator[Server]:
    """`streamlit run` in a process of its own, on this port of 127.0.0.1 or on a free one."""
    port = port or free_port()
    command = [sys.executable, "-m", "streamlit", "run", script, "--server.headless=true"]
    command += [f"--server.port={port}", "--server.address=127.0.0.1"]
    with log.open("w") as output:
        process = subprocess.Popen(command, cwd=ROOT, stdout=output, stderr=output, env=os.environ)
    try:
        _wait_for(f"http://127.0.0.1:{port}/_stcore/health", log)
        yield Server(f"http://127.0.0.1:{port}", log)
    finally:
        process.terminate()
        process.wait()


def _wait_for(url: str, log: Path) -> None:
    for _ in range(300):
        try:
            with urllib.request.urlopen(url, timeout=1):
                return
        except OSError:
            time.sleep(0.1)
    raise RuntimeError(f"The server did not start; it logged: {log.read_text('utf-8')}")


def open_page(page: Page, url: str) -> None:
    """Open an address and wait until the script has run and the charts are drawn."""
    page.goto(url)
    expect(page.locator(IDLE)).to_be_attached()
    expect(page.locator("[data-testid=stPlotlyChart] .main-svg").first).to_be_attached()


def unfold(page: Page, name: str) -> None:
    """Open a folded text, `text` or `editor`, to get at what changes it."""
    fold = page.locator(f".st-key-fold-{name}")
    if not fold.locator("details[open]").count():
        fold.locator("summary").first.click()
    expect(fold.locator("[data-testid=stExpanderDetails]")).not_to_have_attribute("inert", "")


# A screen of 1280x720 that is zoomed to 200 %, and a phone.
NARROW = ((640, 360), (390, 844))


def flaws(page: Page) -> list[object]:
    """What axe finds on an open page, in light and in dark, and whether it scrolls sideways, zoomed or on a phone."""
    page.set_viewport_size({"width": 1280, "height": 3000})  # so that all of it is drawn
    found: list[object] = []
    for scheme, background in (("light", "rgb(255, 255, 255)"), ("dark", "rgb(15, 20, 27)")):
        page.emulate_media(color_scheme=scheme)  # type: ignore[arg-type]
        expect(page.get_by_test_id("stApp")).to_have_css("background-color", background)
        still(page)
        broken = [v for v in Axe().run(page).response["violations"] if v["id"] not in STREAMLITS_OWN]
        found += [(scheme, v["id"], [node["html"][:200] for node in v["nodes"]]) for v in broken]
    for narrow, height in NARROW:
        page.set_viewport_size({"width": narrow, "height": height})
        still(page)
        width = page.evaluate("document.querySelector('[data-testid=stMain]').scrollWidth")
        found += [f"{width} pixels wide on {narrow}"] if width > narrow else []
    return found


# Gives when nothing of the page has changed for a while.
STILL = """quiet => new Promise(done => {
  let timer = setTimeout(end, quiet);
  const observer = new MutationObserver(() => { clearTimeout(timer); timer = setTimeout(end, quiet); });
  function end() { observer.disconnect(); done(); }
  observer.observe(document, { subtree: true, childList: true, attributes: true, characterData: true });
})"""


def still(page: Page, quiet: int = 400) -> None:
    """Wait until the server has answered and nothing of the page has changed for `quiet` milliseconds."""
    expect(page.locator(IDLE)).to_be_attached()
    page.evaluate(STILL, quiet)


def hovered(page: Page, place: Locator) -> tuple[float, float]:
    """Move the pointer over a point of a chart; the chart takes a click only after it has seen what is there."""
    still(page)
    box = place.bounding_box()
    assert box
    x, y = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
    page.mouse.move(x - box["width"] / 6, y)
    expect(page.locator(".hoverlayer .hovertext").first).to_be_attached()
    return x, y


def loss(page: Page, value: str) -> None:
    expect(page.get_by_test_id("stMetricValue").first).to_have_text(value)


def column(page: Page, name: str) -> "None":
    expect(page.get_by_role("button", name=f"p {name}, target")).to_have_attribute("aria-pressed", "true")


def chart(page: Page, name: str) -> None:
    """The first chart is about this p_ij (Plotly puts zero-width spaces around a subscript)."""
    page.wait_for_function(
        "name => document.querySelector('.gtitle')?.textContent.replaceAll('\\u200b', '').startsWith(name)", arg=name
    )


SHARED = ROOT.parent / "shared" / "data" / "the-verdict.txt"
