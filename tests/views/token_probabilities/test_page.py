"""The page "Token probabilities", run without a browser."""

import json
from typing import Any

import pytest
import torch
from streamlit.testing.v1 import AppTest

from gptloss import ScoredBatch
from gptloss.numbers import proba_text
from gptloss.prediction.distribution import Distribution
from tests.helpers.pages import button, opened, query, texts
from views.visit import pages

pytestmark = pytest.mark.filterwarnings("ignore")


def chart(app: AppTest, n: int) -> dict[str, Any]:
    """0: the likeliest, 1: by rank, 2: the shares."""
    assert not app.exception
    return dict(json.loads(app.get("plotly_chart")[n].proto.spec))


def title(app: AppTest) -> str:
    return str(chart(app, 0)["layout"]["title"]["text"])


def labels(app: AppTest) -> list[str]:
    return [label.strip("<b>/") for label in chart(app, 0)["layout"]["yaxis"]["ticktext"]]


def metrics(app: AppTest) -> list[str]:
    assert not app.exception
    return [metric.value for metric in app.metric]


def test_it_opens_on_the_chosen_position_of_the_lecture(lecture: ScoredBatch) -> None:
    app = opened(pages.TOKEN_PROBABILITIES, at="12")
    exact = lecture.logits_at(1, 2).double().log_softmax(-1)
    entropy = -(exact.exp() * exact).sum().item()
    assert metrics(app) == [
        "3.11e-05",
        "10.3796",
        f"{entropy:.4f}",
        f"{torch.tensor(entropy).double().exp().item():,.1f}",
        f"{-exact[6100].item() - entropy:+.4f}",
    ]
    assert app.metric[0].label == r"Probability of ·moves"
    assert app.metric[0].delta == "1 in 32,195 · rank 7,247"
    assert app.metric[4].delta == "less surprising than expected"
    assert "p<sub>12</sub> after “every effort”" in title(app)
    assert labels(app)[0] == "·he"
    assert labels(app)[-1] == "▸ ·moves"
    assert len(labels(app)) == 11
    assert query(app) == {"model": ["gpt2-untrained"], "at": ["12"]}


def test_a_more_surprising_token_than_expected() -> None:
    app = opened(pages.TOKEN_PROBABILITIES, at="23")
    assert float(app.metric[4].value) > 0
    assert app.metric[4].delta == "more surprising than expected"


def test_bits_change_the_logs_and_not_the_choices() -> None:
    nats, bits = opened(pages.TOKEN_PROBABILITIES, at="12"), opened(pages.TOKEN_PROBABILITIES, at="12", units="bits")
    assert metrics(bits)[0] == metrics(nats)[0]
    assert metrics(bits)[3] == metrics(nats)[3]
    for n in (1, 2, 4):
        assert float(metrics(bits)[n]) == pytest.approx(float(metrics(nats)[n]) * 1.442695, abs=2e-4)
    assert bits.metric[1].label == "Surprisal, bits"
    assert bits.metric[3].delta == "= 2^entropy, of 50,257"


def test_the_slider_says_how_many() -> None:
    app = opened(pages.TOKEN_PROBABILITIES, at="12")
    app.slider(key="shown").set_value(50).run()
    assert len(labels(app)) == 51
    assert query(app)["show"] == ["50"]
    assert "… 7,196 more" in [note["text"] for note in chart(app, 0)["layout"]["annotations"]]


def test_probabilities_and_logits_are_the_same_tokens() -> None:
    app = opened(pages.TOKEN_PROBABILITIES, at="12")
    before = labels(app)
    app.segmented_control(key="view").set_value("logits").run()
    assert labels(app) == before
    assert "logit" in chart(app, 0)["layout"]["xaxis"]["title"]["text"]
    assert query(app)["view"] == ["logits"]


def test_the_cuts_are_drawn() -> None:
    app = opened(pages.TOKEN_PROBABILITIES, at="12", order="rank")
    assert len(chart(app, 1)["layout"]["shapes"]) == 1
    app.number_input(key="top_k").set_value(50).run()
    app.number_input(key="top_p").set_value(0.5).run()
    assert "top-k 50" in [note["text"] for note in chart(app, 1)["layout"]["annotations"]]
    assert len(chart(app, 1)["layout"]["shapes"]) == 4
    assert query(app)["top_k"] == ["50"]
    assert query(app)["top_p"] == ["0.5"]


def test_a_top_k_beyond_the_vocabulary_is_all_of_it() -> None:
    app = opened(pages.TOKEN_PROBABILITIES, model="bigram", top_k="50", order="rank")
    assert app.number_input(key="top_k").value == 50
    app = opened(pages.TOKEN_PROBABILITIES, model="bigram", top_k="5000", order="rank")
    assert app.number_input(key="top_k").value == 256


def test_search_by_text(lecture: ScoredBatch) -> None:
    app = opened(pages.TOKEN_PROBABILITIES, at="12")
    app.text_input(key="search").set_value("pizza").run()
    assert query(app)["token"] == ["14256"]
    assert "All tokens that match" in texts(app)
    table = app.dataframe[0].value
    line, here = lecture.logits_at(1, 2).double(), Distribution(lecture.logits_at(1, 2))
    assert list(table.token) == ["·pizza", "·Pizza"]
    assert table.probability[0] == proba_text(line.log_softmax(-1)[14256].item())
    assert table.logit[0] == pytest.approx(line[14256].item(), abs=1e-5)
    assert table["rank"][0] == 1 + int((line > line[14256]).sum()) == here.rank(14256)
    assert "◆ ·pizza" in labels(app)
    assert "Softmax for ·pizza" in texts(app)
    assert f"{line[14256].item():.4f}" in app.latex[0].value


def test_another_match_is_one_click_away() -> None:
    app = opened(pages.TOKEN_PROBABILITIES, at="12")
    app.text_input(key="search").set_value("464").run()
    assert query(app)["token"] == ["44578"]
    app.pills(key="match").set_value(464).run()
    assert query(app)["token"] == ["464"]
    assert "◆ The" in labels(app)
    app.pills(key="match").set_value(None).run()
    assert "token" not in query(app)
    assert "Softmax for ·moves" in texts(app)


def test_search_follows_to_the_next_position() -> None:
    app = opened(pages.TOKEN_PROBABILITIES, at="12", token="464")
    assert "◆ The" in labels(app)
    app = opened(pages.TOKEN_PROBABILITIES, at="13", token="464")
    assert "◆ The" in labels(app)
    assert list(app.dataframe[0].value.token) == ["The"]


@pytest.mark.parametrize(
    ("typed", "said"),
    [
        ("every effort", "No single token holds this; it is made of these"),
        ("<script>alert(1)</script>", "No single token holds this"),
        ("**b**", "No single token"),
    ],
)
def test_what_is_no_token_is_its_parts(typed: str, said: str) -> None:
    app = opened(pages.TOKEN_PROBABILITIES, at="12")
    app.text_input(key="search").set_value(typed).run()
    assert not app.exception
    assert said in texts(app)
    assert len(app.dataframe[0].value) > 1


@pytest.mark.parametrize("id", ["256", "999999999999"])
def test_an_id_out_of_range_is_said_and_marks_nothing(id: str) -> None:
    app = opened(pages.TOKEN_PROBABILITIES, model="bigram", input=["tea time"])
    app.text_input(key="search").set_value(id).run()
    assert not app.exception
    assert f"There is no token {id}: the ids are 0 to 255" in texts(app)
    assert "token" not in query(app)


def test_an_empty_search_marks_nothing() -> None:
    app = opened(pages.TOKEN_PROBABILITIES, at="12", token="464")
    app.text_input(key="search").set_value("x").run()
    app.text_input(key="search").set_value("").run()
    assert "token" not in query(app)
    assert not app.dataframe


def test_positions_are_pinned_compared_and_taken_off(lecture: ScoredBatch) -> None:
    app = opened(pages.TOKEN_PROBABILITIES, at="12")
    button(app, "Pin p12").click().run()
    assert query(app)["pin"] == ["12"]
    assert button(app, "Pin p12").disabled
    table = app.dataframe[0].value
    assert list(table.position) == ["p12"]
    app = opened(pages.TOKEN_PROBABILITIES, at="23", pin=["12"], order="rank")
    table = app.dataframe[0].value
    assert list(table.position) == ["p23", "p12"]
    assert list(table.after) == ["I really like", "every effort"]
    assert list(table.target) == ["·chocolate", "·moves"]
    exact = lecture.logits_at(1, 2).double().log_softmax(-1)
    assert table.probability[1] == proba_text(exact[6100].item())
    assert table["surprisal (nats)"][1] == pytest.approx(-exact[6100].item(), abs=1e-5)
    entropy = -(exact.exp() * exact).sum()
    assert table["entropy (nats)"][1] == pytest.approx(entropy.item(), abs=1e-5)
    assert table["effective choices"][1] == pytest.approx(entropy.exp().item(), rel=1e-5)
    assert [trace.get("name") for trace in chart(app, 1)["data"][:2]] == ["① p12", "p23"]
    button(app, "① p12").click().run()
    assert "pin" not in query(app)
    assert not app.dataframe


def test_tokens_are_pinned_and_compared_at_the_pinned_positions(lecture: ScoredBatch) -> None:
    app = opened(pages.TOKEN_PROBABILITIES, at="12", pin=["13"])
    app.button(key="pin-token").click().run()
    assert query(app)["pin"] == ["13", "t6100"]
    table = app.dataframe[1].value
    assert list(table.position) == ["p12", "p13"]
    for n, at in enumerate([(1, 2), (1, 3)]):
        line = lecture.logits_at(*at).double()
        assert table.probability[n] == proba_text(line.log_softmax(-1)[6100].item())
        assert table.logit[n] == pytest.approx(line[6100].item(), abs=1e-5)
        assert table["rank"][n] == 1 + int((line > line[6100]).sum())
    assert "▸② ·moves" in labels(app)


def test_three_pins_and_no_more() -> None:
    app = opened(pages.TOKEN_PROBABILITIES, at="12", pin=["11", "13", "t464"])
    assert app.button(key="pin-position").disabled
    assert app.button(key="pin-token").disabled
    app.button(key="unpin-1").click().run()
    assert query(app)["pin"] == ["11", "t464"]
    assert not app.button(key="pin-position").disabled


def test_pins_and_tokens_that_are_not_there_are_said() -> None:
    app = opened(pages.TOKEN_PROBABILITIES, pin=["199", "t99999", "12", "what"], token="60000")
    assert not app.exception
    said = texts(app)
    for sentence in ("There is no p1,99", "There is no token 99999", "There is no token 60000", "'what'"):
        assert sentence in said
    assert query(app)["pin"] == ["12"]
    assert "token" not in query(app)


def test_a_token_of_another_vocabulary_is_forgotten() -> None:
    app = opened(pages.TOKEN_PROBABILITIES, at="12", token="464")
    app.selectbox(key="model").set_value("bigram").run()
    assert not app.exception
    assert "token" not in query(app)
    assert chart(app, 1)["layout"]["title"]["text"] == "<b>All 256 probabilities by index</b>"


def test_another_model_keeps_the_place_in_the_text() -> None:
    app = opened(
        pages.TOKEN_PROBABILITIES, input=["every effort moves you"], at="13"
    )  # ·you, which begins at byte 18
    app.selectbox(key="model").set_value("bigram").run()
    assert not app.exception
    assert query(app)["at"] == ["118"]  # the target is the byte 18
    assert metrics(app)
    assert "Probability of ·" in app.metric[0].label.replace("\\", "")
    app.selectbox(key="model").set_value("gpt2-untrained").run()
    assert query(app)["at"] == ["13"]


def test_a_start_token_keeps_the_place_in_the_text() -> None:
    app = opened(pages.TOKEN_PROBABILITIES, input=["every effort moves you"], at="12")
    app.toggle(key="bos").set_value(True).run()
    assert query(app)["at"] == ["13"]
    assert "·moves" in labels(app)[-1]
    app.toggle(key="bos").set_value(False).run()
    assert query(app)["at"] == ["12"]


def test_typing_on_keeps_the_place_and_the_pinned_tokens() -> None:
    app = opened(pages.TOKEN_PROBABILITIES, input=["every effort moves you"], at="13", pin=["11", "t464"])
    app.text_area(key="own-text").set_value("every effort moves you up").run()
    assert not app.exception
    assert query(app)["at"] == ["13"]
    assert query(app)["pin"] == ["t464"]
    app.text_area(key="own-text").set_value("every effort").run()
    assert "at" not in query(app)


def test_rows_stay_rows_when_a_word_is_edited() -> None:
    app = opened(pages.TOKEN_PROBABILITIES, at="23")
    app.text_area(key="own-text").set_value("every effort moves you\nI really like tea").run()
    assert query(app)["input"] == ["every effort moves you", "I really like tea"]
    assert query(app)["at"] == ["23"]
    assert "p<sub>23</sub> after “I really like”" in title(app)


def test_by_index_names_the_row_and_the_index() -> None:
    app = opened(pages.TOKEN_PROBABILITIES, at="12")
    shown = chart(app, 1)
    assert shown["layout"]["title"]["text"] == "<b>All 50,257 probabilities by index</b>"
    said = "row 2 of the flattened logits, index 6,100 → p<sub>12</sub>"
    assert shown["layout"]["title"]["subtitle"]["text"] == said
    (words,) = [note["text"] for note in shown["layout"]["annotations"]]
    assert words.startswith("▸ <b>·moves</b> index 6,100, p 3.11e-05<br>● <b>·he</b> index 339, p ")
    app.segmented_control(key="order").set_value("rank").run()
    assert query(app)["order"] == ["rank"]


def test_tables_on_demand() -> None:
    app = opened(pages.TOKEN_PROBABILITIES, at="12")
    assert not app.dataframe
    app.session_state["place-tables"] = True
    app.run()
    assert not app.exception
    top, shares = (frame.value for frame in app.dataframe)
    assert len(top) == 10
    half, most, nearly = shares.tokens
    assert [note["text"] for note in chart(app, 2)["layout"]["annotations"]] == [
        f"half in {half:,} tokens",
        f"90 % in {most:,} tokens",
        f"99 % in {nearly:,} tokens",
    ]


@pytest.mark.parametrize("text", ["", "x", "\x00", "<script>alert(1)</script>", "**b** $x$", "💙💙", "the the the"])
def test_any_text_is_answered(text: str) -> None:
    app = opened(pages.TOKEN_PROBABILITIES)
    app.text_area(key="own-text").set_value(text).run()
    assert not app.exception
    if text in ("", "x", "\x00"):
        assert ("is empty" if not text else "is one token") in texts(app)
        assert not app.metric
    else:
        assert len(app.metric) == 5


def test_a_uniform_model_has_v_choices() -> None:
    app = opened(pages.TOKEN_PROBABILITIES, model="uniform", input=["tea"])
    assert metrics(app) == ["0.003906", "5.5452", "5.5452", "256.0", "+0.0000"]
    assert app.metric[4].delta == "as surprising as expected"


def test_the_state_follows_from_the_main_page_and_back() -> None:
    app = opened(pages.LOSS, input=["tea time"], at="12", model="bigram")
    app.query_params.clear()
    app.switch_page(pages.TOKEN_PROBABILITIES.file).run()
    assert app.text_area(key="own-text").value == "tea time"
    assert "p<sub>12</sub>" in title(app)
    app.segmented_control(key="view").set_value("logits").run()
    app.query_params.clear()
    app.switch_page("app.py").run()
    app.query_params.clear()
    app.switch_page(pages.TOKEN_PROBABILITIES.file).run()
    assert app.segmented_control(key="view").value == "logits"
