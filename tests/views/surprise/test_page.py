"""The page "Surprise in a text", run without a browser."""

import json
from pathlib import Path
from typing import Any

import pytest
from streamlit.testing.v1 import AppTest

from gptloss import load_model, score
from gptloss.analysis.words import totals
from gptloss.models.architectures.toy import SAMPLE
from gptloss.numbers import perplexity_text
from gptloss.serving.question import Question
from tests.helpers.pages import button, numbers, opened, query, texts
from views.surprise import page as surprise
from views.surprise.text import CODE, ODD, SAMPLES
from views.visit import pages

pytestmark = pytest.mark.filterwarnings("ignore")

EXPECTED, LOSSES, SENTENCES, RANKS, TOKENS, WORDS = range(6)


def charts(app: AppTest) -> list[dict[str, Any]]:
    assert not app.exception
    return [json.loads(chart.proto.spec) for chart in app.get("plotly_chart")]


def title(app: AppTest, n: int) -> str:
    return str(charts(app)[n]["layout"]["title"]["text"])


def upload(app: AppTest, name: str, raw: bytes) -> AppTest:
    return app.file_uploader[0].set_value((name, raw, "text/plain")).run()


def test_it_opens_with_the_visitors_rows() -> None:
    app = opened(pages.SURPRISE)
    assert numbers(app) == ["10.7940", "48,725.8", "2.3958", "48,725.8"]
    assert [metric.delta for metric in app.metric] == [
        "over 6 tokens",
        "= e^loss",
        "over 39 bytes",
        "e^(nats per word), 6 words",
    ]
    assert app.text_area(key="own-text").value == "every effort moves you\nI really like chocolate"
    assert "p<sub>11</sub>" in title(app, EXPECTED)
    assert len(charts(app)) == 6
    assert query(app) == {"model": ["gpt2-untrained"]}


def test_every_number_against_the_library(gpt2: Any) -> None:
    app = opened(pages.SURPRISE, input=[ODD])
    result = totals(score(gpt2, ODD))
    loss, perplexity, bits, per_word = numbers(app)
    assert loss == f"{result.loss:.4f}"
    assert perplexity == f"{result.perplexity:,.1f}"
    assert bits == f"{result.bits_per_byte:.4f}"
    assert per_word == perplexity_text(result.word_loss or 0.0)
    assert app.metric[2].delta == f"over {len(ODD.encode()) - 3} bytes"  # but for the first token, `The`
    assert app.metric[3].delta == f"e^(nats per word), {len(ODD.split()) - 1} words"


def test_bits_change_every_unit() -> None:
    app = opened(pages.SURPRISE, units="bits")
    assert numbers(app) == ["15.5724", "48,725.8", "2.3958", "48,725.8"]
    assert app.metric[0].label == "Loss, bits per token"
    assert app.metric[3].delta == "2^(bits per word), 6 words"
    assert [charts(app)[n]["layout"]["yaxis"]["title"]["text"] for n in (LOSSES, SENTENCES)] == ["bits", "bits"]
    assert charts(app)[LOSSES]["layout"]["annotations"][0]["text"] == "<b>loss<br>15.5724</b>"
    assert "bits, and share" in charts(app)[WORDS]["layout"]["title"]["subtitle"]["text"]


def test_typing_makes_one_text() -> None:
    app = opened(pages.SURPRISE, model="bigram")
    app.text_area(key="own-text").set_value("tea for two").run()
    assert query(app)["input"] == ["tea for two"]
    assert app.metric[0].delta == "over 10 tokens"
    app.text_area(key="own-text").set_value("").run()
    assert not app.metric
    assert "The text is empty; write at least two tokens." in texts(app)
    app.text_area(key="own-text").set_value(" ").run()
    assert "Row 1 is one token" in texts(app)


@pytest.mark.parametrize("sample", SAMPLES, ids=lambda sample: sample.name)
def test_each_sample_is_one_click_away(sample: Any) -> None:
    app = opened(pages.SURPRISE, model="bigram", at="23")
    button(app, sample.name).click().run()
    size = len(sample.text.encode())
    assert app.metric[0].delta == f"over {size - 1:,} tokens"
    assert app.text_area(key="own-text").value == sample.text
    assert app.metric[2].delta == f"over {size - 1:,} bytes"
    assert "p<sub>11</sub>" in title(app, EXPECTED)


def test_a_long_text_slides_and_says_so() -> None:
    app = opened(pages.SURPRISE)
    button(app, "A short story").click().run()
    assert "922 tokens are more than the context of 256" in "\n".join(c.value for c in app.caption)
    assert app.metric[0].delta == "over 922 tokens"
    assert numbers(app)[0] == "10.9498"


def test_a_file_becomes_the_text() -> None:
    app = opened(pages.SURPRISE, model="bigram")
    upload(app, "tea.txt", "tea 💙 time".encode())
    assert app.text_area(key="own-text").value == "tea 💙 time"
    assert query(app)["input"] == ["tea 💙 time"]
    upload(app, "again.md", b"\xef\xbb\xbf# cake")
    assert app.text_area(key="own-text").value == "# cake"


def test_a_file_that_is_not_utf8_loses_nothing() -> None:
    app = opened(pages.SURPRISE, model="bigram", input=["my own text"], at="13", colour="rank")
    before = numbers(app)
    upload(app, "latin.txt", b"caf\xe9 au lait")
    assert "latin.txt is not UTF-8: byte 3 is 0xE9" in texts(app)
    assert app.text_area(key="own-text").value == "my own text"
    assert numbers(app) == before
    assert query(app) == {"model": ["bigram"], "input": ["my own text"], "at": ["13"], "colour": ["rank"]}
    upload(app, "empty.txt", b"")
    assert "empty.txt is empty; choose a file with some text. The text here stays." in texts(app)
    assert app.text_area(key="own-text").value == "my own text"


def test_past_ten_thousand_tokens_there_is_a_way_out() -> None:
    app = opened(pages.SURPRISE, model="bigram")
    upload(app, "long.txt", b"tea " * 3_000)
    assert "Row 1 has 11,999 tokens" in texts(app)
    assert "at most 10,000" in texts(app)
    assert not app.metric
    button(app, "Keep the first 10,000 tokens").click().run()
    assert app.metric[2].delta == "over 9,999 bytes"
    assert "each step is 5 tokens" in charts(app)[LOSSES]["layout"]["title"]["subtitle"]["text"]


def test_the_colour_and_the_figures_are_in_the_link() -> None:
    app = opened(pages.SURPRISE, model="bigram")
    assert app.segmented_control(key="colour").value == "loss"
    app.segmented_control(key="colour").set_value("entropy").run()
    assert query(app)["colour"] == ["entropy"]
    app.toggle(key="figures").set_value(True).run()
    assert query(app)["figures"] == ["1"]
    again = opened(pages.SURPRISE, model="bigram", colour="probability", figures="1")
    assert again.segmented_control(key="colour").value == "probability"
    assert again.toggle(key="figures").value is True


def test_the_chosen_token_is_explained_and_marked() -> None:
    app = opened(pages.SURPRISE, at="12")
    assert "p<sub>12</sub> after “every effort”" in title(app, EXPECTED)
    shape = charts(app)[LOSSES]["layout"]["shapes"][0]
    assert shape["y1"] == pytest.approx(10.3796, abs=5e-5)
    assert "·moves" in charts(app)[LOSSES]["layout"]["annotations"][1]["text"]


def test_tables_on_demand() -> None:
    app = opened(pages.SURPRISE, model="bigram", input=["one two. Three"])
    assert not app.dataframe
    app.session_state["text-tables"] = True
    app.run()
    tokens, words, sentences, ranks = (frame.value for frame in app.dataframe)
    assert list(tokens["text"])[:4] == ["o", "n", "e", "·"]
    assert list(words["word"]) == ["ne", "two.", "Three"]
    assert list(sentences["sentence"]) == ["ne two.", "Three"]
    total = -tokens["log_proba"].sum()
    assert words["loss"].sum() == pytest.approx(total)
    assert sentences["loss"].sum() == pytest.approx(total)
    assert list(words["first token"]) == [1, 3, 8]
    assert list(ranks["tokens"]) == [(tokens["rank"] == 1).sum(), *charts(app)[RANKS]["data"][0]["y"][1:]]
    assert ranks["share"].sum() == pytest.approx(1)


def test_the_counts_of_the_ranks_are_said_to_who_does_not_see_them() -> None:
    app = opened(pages.SURPRISE)  # the lecture's ranks are 258, 7247, 37218, 40358, 877 and 49549
    said = app.get("plotly_chart")[RANKS].proto.alt
    wanted = "rank 1: 0, rank 2 to 10: 0, rank 11 to 100: 0, rank 101 to 1,000: 2, rank over 1,000: 4."
    assert said == f"How many of the 6 tokens the model had ranked where; {wanted}"


def test_the_file_is_made_when_it_is_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    made = []
    monkeypatch.setattr(surprise, "text_csv", lambda batch: made.append(batch) or "csv")
    app = opened(pages.SURPRISE, model="bigram")
    assert app.get("download_button")[0].proto.label == "All tokens as CSV"
    assert made == []
    assert surprise._csv(Question("bigram", ("tea time",), None, False)) == "csv"


def test_a_word_perplexity_no_float_holds_is_shown_all_the_same() -> None:
    app = opened(pages.SURPRISE, model="uniform", input=["x" * 400])
    assert numbers(app)[3] == "7.72e+960"  # 256^399
    blank = opened(pages.SURPRISE, model="uniform", input=["    "])
    assert numbers(blank)[3] == "–"
    assert blank.metric[3].delta == "e^(nats per word), 0 words"


@pytest.mark.parametrize(
    "text", ["<script>alert(1)</script>", "**b** $x$ ![](http://x/y.png)", "a\x00b", "💙", "שלום"]
)
def test_odd_texts(text: str) -> None:
    app = opened(pages.SURPRISE, model="bigram", input=[text])
    assert not app.exception
    assert app.text_area(key="own-text").value == text


def test_the_text_follows_from_the_first_page_and_back() -> None:
    app = opened(pages.LOSS, model="bigram", input=["tea time"], at="13")
    app.query_params.clear()
    app.switch_page(pages.SURPRISE.file).run()
    assert app.text_area(key="own-text").value == "tea time"
    assert "p<sub>13</sub>" in title(app, EXPECTED)
    button(app, "Program code").click().run()
    app.query_params.clear()
    app.switch_page("app.py").run()
    assert app.text_area(key="input-0-lines").value == CODE


def test_the_samples_are_what_they_say() -> None:
    assert SAMPLES[2].text == Path(SAMPLE).read_text("utf-8")
    assert f"{len(SAMPLES[2].text.split())} words" in SAMPLES[2].why
    compile(CODE, "sample", "exec")
    assert len(load_model("gpt2-untrained").tokenizer.encode(SAMPLES[2].text)) > 256
