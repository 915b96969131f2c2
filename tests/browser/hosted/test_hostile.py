"""Over 200 hostile strings through every place where text comes in, in a browser that listens.

The fixture `page` fails on a request to another host and on any word in the console.
"""

import csv
import json
from pathlib import Path
from urllib.parse import urlencode

import pytest
from playwright.sync_api import Page, expect

from tests.helpers.checkpoints import save_gpt2
from tests.helpers.driver import IDLE, Server, open_page, still, unfold
from tests.helpers.hostile import LINKABLE, STRINGS, WORKED
from views.visit import pages
from views.visit.fields.kinds import MAX_ROWS

pytestmark = pytest.mark.browser

READS_A_TEXT = ("token_probabilities", "surprise", "temperature", "compare", "perplexity", "compression")


def listening(page: Page) -> Page:
    """A dialog is a script that ran."""
    page.on("dialog", lambda dialog: pytest.fail(f"a script ran: {dialog.message}"))
    return page


def clean(page: Page) -> None:
    """Nothing of the page comes from a string that worked, and no traceback is on it."""
    still(page)
    assert page.evaluate(WORKED) == []
    assert page.get_by_test_id("stException").count() == 0
    assert page.get_by_text("Traceback").count() == 0


def test_there_are_enough_and_each_once() -> None:
    assert len(STRINGS) >= 200
    assert len(set(STRINGS)) == len(STRINGS)


ROWS = [" ".join([text[:600] for text in LINKABLE[n : n + 2]] + ["x"]) for n in range(0, len(LINKABLE), 2)]


@pytest.mark.parametrize("start", range(0, len(ROWS), 5 * MAX_ROWS))
def test_in_the_rows_of_a_link(start: int, page: Page, app: Server) -> None:
    """Two strings in each row, and five pages of rows in each test."""
    listening(page)
    for first in range(start, min(start + 5 * MAX_ROWS, len(ROWS)), MAX_ROWS):
        query = urlencode([("model", "bigram"), *(("input", row) for row in ROWS[first : first + MAX_ROWS])])
        page.goto(f"{app.url}/?{query}")
        expect(page.locator(".ladder").first).to_be_visible()
        clean(page)


WORDS = (
    "model", "with", "at", "token", "pin", "seed", "temperature", "units", "order", "data", "part", "rate", "beside",
)  # fmt: skip


@pytest.mark.parametrize("page_of_app", pages.PAGES, ids=lambda page: page.title)
def test_in_every_other_word_of_a_link(page_of_app: pages.Page, page: Page, app: Server) -> None:
    listening(page)
    short, name = [text for text in LINKABLE if len(text) < 200], Path(page_of_app.file).stem.replace("app", "")
    some = short[pages.PAGES.index(page_of_app) :: len(pages.PAGES)][: len(WORDS)]
    page.goto(f"{app.url}/{name}?{urlencode(list(zip(WORDS, some, strict=True)))}")
    expect(page.locator(IDLE)).to_be_attached()
    clean(page)


@pytest.mark.parametrize("name", READS_A_TEXT)
def test_in_the_box(name: str, page: Page, app: Server) -> None:
    listening(page)
    open_page(page, f"{app.url}/{name}?model=bigram&input=tea+time")
    unfold(page, "text")
    box = page.locator(".st-key-own-text textarea, .st-key-texts textarea").first
    some = STRINGS[READS_A_TEXT.index(name) :: len(READS_A_TEXT)]
    box.fill(" ".join(text for text in some if "\n" not in text and len(text) < 500)[:3000])
    box.press("Control+Enter")
    expect(page.locator(IDLE)).to_be_attached()
    clean(page)


def test_in_a_file_and_its_name(page: Page, app: Server) -> None:
    listening(page)
    open_page(page, f"{app.url}/data_set_loss?model=bigram&data=files")
    page.get_by_role("radio", name="My files").or_(page.get_by_role("button", name="My files")).first.click()
    content = "\n".join(STRINGS).encode("utf-8", "replace")
    for name in ("<img src=x onerror=alert(1)>.txt", "\u202etxt.exe.txt", "=1+1.txt", "[x](http://evil.example).txt"):
        page.get_by_test_id("stFileUploaderDropzoneInput").set_input_files(
            [{"name": name, "mimeType": "text/plain", "buffer": content}]
        )
        expect(page.locator(IDLE)).to_be_attached()
        clean(page)


@pytest.fixture(scope="module")
def hostile_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A checkpoint whose vocabulary and folder are hostile: its random guesses are mostly such words."""
    folder = tmp_path_factory.mktemp("<b id=pwned>x") / "<img id=pwned src=x onerror=alert(1)>"
    words = [text for text in dict.fromkeys(STRINGS) if text.isascii() and text.isprintable()]
    save_gpt2(folder, 256 + len(words))
    file = folder / "tokenizer.json"
    made = json.loads(file.read_text("utf-8"))
    vocabulary = made["model"]["vocab"]
    for n, text in enumerate(words):
        vocabulary[text.replace(" ", "Ġ")] = vocabulary.pop(f"word{n}")
    file.write_text(json.dumps(made), "utf-8")
    return folder


@pytest.mark.parametrize("name", ["", "token_probabilities", "surprise", "temperature", "gradient_step"])
def test_in_the_words_of_a_model(name: str, page: Page, app: Server, hostile_model: Path) -> None:
    listening(page)
    query = urlencode({"model": str(hostile_model), "input": "tea time", "made": 3})
    open_page(page, f"{app.url}/{name}?{query}")
    clean(page)
    shown = page.locator("[data-testid=stMain]").inner_text()
    assert any(word in shown for word in ("pwned", "alert", "evil", "script")), "the model's words are on the page"


def test_in_a_table_that_a_spreadsheet_opens(page: Page, app: Server) -> None:
    """No field of the file begins as a formula does."""
    listening(page)
    open_page(page, f"{app.url}/surprise?{urlencode({'model': 'bigram', 'input': '=1+1 +2 -3 @x'})}")
    still(page)
    with page.expect_download() as download:
        page.get_by_role("button", name="CSV").first.click()
    with download.value.path().open(encoding="utf-8", newline="") as stream:
        fields = [field for row in csv.reader(stream) for field in row]
    assert fields
    for field in fields:
        if field[:1] in "=+-@\t\r" and field:
            float(field)  # a number is no formula


def test_every_page_is_meant() -> None:
    """A new page that reads a text comes to the list above."""
    others = {"app", "data_set_loss", "gradient_step", "training"}
    assert {Path(page.file).stem for page in pages.PAGES} == set(READS_A_TEXT) | others
