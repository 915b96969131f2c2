"""What every page must do in a browser. The pages come from the menu, so a new one is guarded for nothing."""

from urllib.parse import quote

import pytest
from playwright.sync_api import Page as Tab

from tests.helpers.driver import Server, flaws, open_page, still
from views.visit import pages
from views.visit.pages import PAGES, Page

pytestmark = pytest.mark.browser
every_page = pytest.mark.parametrize("page_of_app", PAGES, ids=lambda page: page.title)

# A link that shows as much of the page as it has; a page without one is opened as a first visitor opens it.
RICH = {
    pages.LOSS: "at=12&step=4&input=a&input=every effort&target=a b&target= effort moves",
    pages.PERPLEXITY: "model=bigram&input=tea time&part=whatif&at=12&edit=12t101&branch=12p0.5 half",
    pages.COMPRESSION: "model=bigram&input=tea time",
    pages.TOKEN_PROBABILITIES: "at=12&token=464&pin=13&pin=t262&top_k=50&top_p=0.9",
    pages.SURPRISE: "at=12&figures=1",
    pages.TEMPERATURE: "model=bigram&input=tea time&made=3&top_k=5",
    pages.COMPARE: "model=uniform&with=bigram&with=gpt2-xl",
    pages.DATA_SET_LOSS: "model=bigram&look=3&convention=strided&second=uniform",
    pages.GRADIENT_STEP: "at=12&optimizer=adamw&rate=0.0001",
    pages.TRAINING: "beside=rate&moment=1000",
}
HOSTILE = "<script>alert(1)</script><img src=http://evil/> ![](http://evil/y.png) **b** $x$ `c` :smile:"


def address(page: Page, app: Server, query: str) -> str:
    path = "" if page == pages.LOSS else page.file.removeprefix("pages/").removesuffix(".py")
    return f"{app.url}/{path}?{quote(query, safe='=&')}"


@every_page
def test_light_dark_and_a_phone(page_of_app: Page, page: Tab, app: Server) -> None:
    open_page(page, address(page_of_app, app, RICH.get(page_of_app, "")))
    run = page.get_by_role("button", name="Run", exact=True)
    if run.count():  # what is drawn when the run has ended, too
        run.click()
        page.get_by_text("This text by convention").wait_for()
    still(page)
    assert flaws(page) == []


@every_page
def test_text_is_never_markup(page_of_app: Page, page: Tab, app: Server) -> None:
    """A request to a foreign host and a warning in the console fail the test too, by the fixture `page`."""
    page.on("dialog", lambda dialog: pytest.fail(f"a script ran: {dialog.message}"))
    text = quote(HOSTILE, safe="")
    query = f"model=bigram&with=uniform&made=2&data=paste&input={text}&text={text}"
    open_page(page, f"{address(page_of_app, app, '')}{query}")
    still(page)
    assert page.locator("img[src*=evil], .strip script, .ladder script").count() == 0
