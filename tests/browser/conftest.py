"""One Chromium, and one running app for all tests that do not need a fresh one."""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, BrowserContext, ConsoleMessage, Page, expect

from tests.helpers import driver
from tests.helpers.driver import TIMEOUT

expect.set_options(timeout=TIMEOUT)
OURS = ("http://127.0.0.1:", "blob:", "data:")


@pytest.fixture(scope="session")
def chromium() -> Iterator[Browser]:
    """A headless Chromium; tests that use it are skipped where there is none."""
    if driver.chromium_path() is None:
        pytest.skip("no Chromium found: install chromium or google-chrome to run the browser tests")
    with driver.chromium(*driver.ONE_PROCESS) as browser:
        yield browser


@pytest.fixture(scope="session")
def app(tmp_path_factory: pytest.TempPathFactory) -> Iterator[driver.Server]:
    """One running app for all browser tests that do not need a fresh one."""
    with driver.server(tmp_path_factory.mktemp("app") / "server.log") as server:
        yield server


@pytest.fixture
def log_file(tmp_path: Path) -> Path:
    """Where a fresh server may log."""
    return tmp_path / "server.log"


@pytest.fixture(scope="session")
def window(chromium: Browser) -> Iterator[BrowserContext]:
    """Where pages are opened: Streamlit's 7.7 MB are fetched once, and an empty page keeps the process alive."""
    with chromium.new_context(viewport={"width": 1280, "height": 720}) as context:
        keeper = context.new_page()
        keeper.route("**/*", lambda route: route.fulfill(body=""))
        keeper.goto("http://127.0.0.1/")
        yield context


@pytest.fixture
def page(window: BrowserContext) -> Iterator[Page]:
    """A page whose console must stay silent and that must ask nobody but the server."""
    complaints: list[str] = []
    page = window.new_page()
    page.set_default_timeout(TIMEOUT)

    def on_console(message: ConsoleMessage) -> None:
        url = message.location.get("url", "")
        # Streamlit's own search for its server, on a page that is opened directly.
        probe = re.search(r":\d+/\w+/_stcore/(health|host-config)$", url)
        if message.type in {"error", "warning"} and not probe:
            complaints.append(f"{message.text} {url}")

    page.on("console", on_console)
    page.on("pageerror", lambda error: complaints.append(str(error)))
    page.on("request", lambda r: None if r.url.startswith(OURS) else complaints.append(r.url))
    yield page
    found = list(complaints)  # a server that the test had started has gone by now, and the page complains of that
    page.close()
    assert found == []
