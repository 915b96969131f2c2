"""Megabytes in every box: refused in a sentence before they are cut into tokens, and nothing is lost."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from streamlit.testing.v1 import AppTest

from gptloss.serving.question import MOST_CHARACTERS
from gptloss.tokens import ByteTokenizer
from tests.helpers.pages import opened, texts
from views.visit import pages
from views.visit.fields.text import joined, overlap

pytestmark = pytest.mark.filterwarnings("ignore")
# Two megabytes that repeat themselves, which is the worst case of a search for an overlap.
LONG = "ab" * 1_000_000


@pytest.fixture(autouse=True)
def never_encoded(monkeypatch: pytest.MonkeyPatch) -> None:
    """A tokenizer that fails the test if it is given more than a page reads."""
    encode = ByteTokenizer.encode

    def counted(self: ByteTokenizer, text: str) -> Any:
        assert len(text) <= MOST_CHARACTERS, f"{len(text):,} characters were cut into tokens"
        return encode(self, text)

    monkeypatch.setattr(ByteTokenizer, "encode", counted)


def page(of: pages.Page, **link: str) -> AppTest:
    app = opened(of, model="bigram", **link)
    assert not app.exception
    return app


@pytest.mark.parametrize("of", [pages.SURPRISE, pages.TOKEN_PROBABILITIES, pages.PERPLEXITY, pages.COMPRESSION])
def test_a_text_of_megabytes_stays_in_the_box_and_is_not_read(of: pages.Page) -> None:
    app = page(of, input="tea")
    app.text_area(key="own-text").set_value(LONG).run()
    assert not app.exception
    assert "2,000,000 characters" in texts(app)
    assert app.text_area(key="own-text").value == LONG


def test_both_boxes_of_the_first_page() -> None:
    app = page(pages.LOSS, input="tea", target="xyz")
    app.text_input(key="input-0").set_value(LONG).run()
    app.text_input(key="target-0").set_value(LONG).run()
    assert not app.exception
    assert "Row 1 has 2,000,000 characters" in texts(app)
    assert app.text_input(key="input-0").value == LONG
    keep = next(button for button in app.button if button.label.startswith("Keep the first"))
    keep.click().run()
    assert not app.exception
    assert "–" not in [metric.value for metric in app.metric]


def test_a_search_of_megabytes() -> None:
    app = page(pages.TOKEN_PROBABILITIES, input="tea time")
    app.text_input(key="search").set_value(LONG).run()
    assert "The search has 2,000,000 characters" in texts(app)
    assert not app.exception


@given(st.text("ab", max_size=30), st.text("ab", max_size=30))
def test_the_overlap_is_the_longest(end: str, start: str) -> None:
    slow = max(n for n in range(min(len(end), len(start)) + 1) if end[len(end) - n :] == start[:n])
    assert overlap(end, start) == slow


def test_texts_are_joined_where_they_overlap() -> None:
    assert joined("every effort moves", " effort moves you") == "every effort moves you"
    assert joined("one", "two") == "one"
    assert joined("aaa", "aaaa") == "aaaaa"
    assert joined(LONG, LONG) == LONG + "ab"
