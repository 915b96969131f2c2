"""The text of "Data set loss": a sample, the visitor's files, The Verdict, a pasted one."""

import json

import pytest

from tests.helpers.data_set_loss import (
    PAGE,
    asked,
    charts,
    ran,
    upload,
)
from tests.helpers.pages import button, numbers, opened, query, texts

pytestmark = pytest.mark.filterwarnings("ignore")


def test_files_are_added_and_each_is_cut_by_itself() -> None:
    app = opened(PAGE, model="bigram", data="island")
    app.segmented_control(key="data").set_value("files").run()
    assert numbers(app) == ["–", "–"]
    assert [each.disabled for each in app.button if each.label == "Run"] == [True]
    upload(app, ("a.txt", b"a tea for two. " * 200), ("b.md", "naïve café. ".encode() * 100))
    assert "a.txt · 3,000 characters\nb.md · 1,200 characters" in texts(app)
    upload(app, ("latin.txt", b"caf\xe9 au lait"), ("none.txt", b""), ("c.txt", b"\xef\xbb\xbfmore " * 100))
    assert "latin.txt is not UTF-8: byte 3 is 0xE9" in texts(app)
    assert "none.txt is empty" in texts(app)
    assert "c.txt" in texts(app)
    ran(app)
    assert asked(app) == {"model": ["bigram"], "data": ["files"]}
    frame = app.dataframe[0].value
    assert frame["tokens"].sum() == sum(256 * ((size - 1) // 256) for size in (2700, 300, 1260, 140, 630, 70))
    button(app, "Remove all").click().run()
    assert numbers(app) == ["–", "–"]


def test_files_beyond_the_limit_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("views.data_set_loss.text.LARGEST", 1000)
    app = opened(PAGE, model="bigram")
    app.segmented_control(key="data").set_value("files").run()
    upload(app, ("a.txt", b"x" * 900), ("b.txt", b"y" * 200))
    assert "With b.txt it would be 1,100 characters, and the page takes 1,000" in texts(app)
    assert "b.txt ·" not in texts(app)


def test_what_was_pasted_is_scored_and_stays() -> None:
    app = opened(PAGE, model="bigram")
    app.segmented_control(key="data").set_value("paste").run()
    app.text_area(key="data-paste").set_value("tea for two <b>and</b> cake. " * 100).run()
    ran(app)
    before = numbers(app)
    app.segmented_control(key="data").set_value("island").run()
    app.segmented_control(key="data").set_value("paste").run()
    assert app.text_area(key="data-paste").value.startswith("tea for two <b>")
    assert numbers(app) == before
    assert "tea" not in str(query(app))


@pytest.mark.parametrize("data", ["files", "paste"])
def test_a_link_to_somebody_elses_text_opens_with_the_sample(data: str) -> None:
    app = opened(PAGE, model="bigram", data=data, split="0.8")
    assert "The link is about a text that its maker had" in texts(app)
    assert app.segmented_control(key="data").value == "verdict"
    assert app.slider(key="split").value == 0.8


@pytest.mark.parametrize(
    "text", ["<script>alert(1)</script> " * 30, "**b** $x$ ![](http://x/y.png) " * 30, "💙" * 300]
)
def test_odd_texts(text: str) -> None:
    app = opened(PAGE, model="bigram", window="64", look="1")
    app.segmented_control(key="data").set_value("paste").run()
    app.text_area(key="data-paste").set_value(text).run()
    ran(app)
    button(app, "Next").click().run()
    assert not app.exception
    for chart in charts(app):
        assert "<script" not in json.dumps(chart)
