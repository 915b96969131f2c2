"""The page "What a loss buys" without a browser."""

import math

import pytest
from streamlit.testing.v1 import AppTest

from gptloss import load_model, score
from gptloss.compression.file import unpack
from gptloss.compression.run import decode
from gptloss.serving.compressions import MOST_TOKENS, compression
from tests.helpers.pages import button, opened, texts
from views.visit import pages

pytestmark = pytest.mark.filterwarnings("ignore")
TEXT = "tea time, the tea is hot 🍕"


def page(**link: str) -> AppTest:
    app = opened(pages.COMPRESSION, **link)
    assert not app.exception
    return app


def test_the_answer_is_the_loss_in_bits() -> None:
    app = page(model="bigram", input=TEXT)
    batch = score(load_model("bigram"), TEXT)
    bits = 8 + batch.loss * len(batch) / math.log(2)
    assert app.header[0].value == f"{bits:,.0f} bits instead of {8 * len(TEXT.encode()):,}"
    assert f"add up to {bits / 8:,.1f} bytes" in texts(app)
    assert "262 kB" in app.caption[0].value


def test_the_lectures_rows_are_one_text() -> None:
    assert "the 9 tokens of this text" in texts(page())


def test_it_is_packed_and_read_back() -> None:
    text = f"{TEXT} again"
    app = page(model="bigram", input=text)
    work = compression("bigram", text)
    button(app, "Pack and unpack").click().run()
    while work.stage not in ("done", "failed"):
        work.grow()
    app.run()
    assert any("Every byte came back" in found.value for found in app.markdown)
    header, code = unpack(work.file, "It")
    assert decode(load_model("bigram"), header, code) == text
    size = sum(work.bits) / 8
    assert abs(len(code) - size) <= 8 + 0.005 * size
    assert f"{len(code):,} bytes of code" in texts(app)


def test_a_text_that_is_too_long_is_told_what_takes_it() -> None:
    app = page(model="bigram", input="a" * (MOST_TOKENS + 1))
    assert "`gptloss compress` takes any text" in app.info[0].value
    assert "bits instead of" in app.header[0].value


@pytest.mark.parametrize("text", ["", "x", "\0\0", "🍕"])
def test_any_text_is_packed_or_refused(text: str) -> None:
    app = page(model="bigram", input=text)
    assert app.header or "write at least two" in texts(app)


def test_one_that_does_not_come_back_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    work = compression("bigram", "this one is changed on its way")
    while work.stage == "encoding":
        work.grow()
    monkeypatch.setattr("gptloss.compression.run.checksum", lambda raw: "0" * 32)
    while work.stage == "decoding":
        work.grow()
    assert "thrown away" in work.error
    app = page(model="bigram", input="this one is changed on its way")
    assert "thrown away" in app.error[0].value


@pytest.mark.parametrize("model", ["bigram", "gpt2-untrained"])
def test_the_bits_are_numbers_too(model: str) -> None:
    app = page(model=model, input=TEXT)
    app.session_state["bits-tables"] = True
    app.run()
    table = app.dataframe[0].value
    assert "".join(table["token"]).startswith("tea")
    assert f"{table['sum'].iloc[-1]:,.0f} bits instead of" in app.header[0].value
    assert table["bits"].sum() == pytest.approx(table["sum"].iloc[-1])
