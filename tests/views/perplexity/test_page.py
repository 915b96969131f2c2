"""The page "Perplexity and pitfalls" without a browser."""

import json
import math
from typing import Any

import pytest
from streamlit.testing.v1 import AppTest

from gptloss.lessons.pitfalls.catalogue import BY_KEY
from gptloss.lessons.pitfalls.keys import KEYS
from tests.helpers.pages import button, numbers, opened, query, texts
from views.visit import pages

pytestmark = pytest.mark.filterwarnings("ignore")


def page(**link: Any) -> AppTest:
    app = opened(pages.PERPLEXITY, **link)
    assert not app.exception
    return app


def charts(app: AppTest) -> list[dict[str, Any]]:
    return [json.loads(chart.proto.spec) for chart in app.get("plotly_chart")]


def metric(app: AppTest, label: str) -> str:
    return next(found.value for found in app.metric if label in found.label)


def box(app: AppTest, label: str) -> Any:
    return next(found for found in app.number_input if label in found.label)


def test_the_first_visitor_reads_whether_it_is_good() -> None:
    app = page()
    assert app.header[0].value == "Is 10.79 good?"
    assert "No. A blind guess costs 10.82" in texts(app)
    (ruler,) = charts(app)
    said = json.dumps(ruler["layout"]["annotations"], ensure_ascii=False)
    for mark in (
        "certain of every token",
        "10.8249",
        "this text, untrained",
        "10.7940",
        "nats",
        "bits",
        "perplexity",
    ):
        assert mark in said
    assert [metric(app, name) for name in ("Blind guess", "This text")] == ["10.8249", "10.7940"]
    expected = float(metric(app, "= expected"))
    assert expected == pytest.approx(float(metric(app, "Blind guess")) + float(metric(app, "+ spread")), abs=1e-3)
    assert "Like a die with 48,725 faces" in [found.value for found in app.subheader]
    assert query(app) == {}


def test_bits_change_the_question() -> None:
    assert page(units="bits").header[0].value == "Is 15.57 good?"


def test_the_converter_goes_both_ways_and_is_in_the_link() -> None:
    app = page()
    box(app, "Bits per token").set_value(5.0).run()
    assert box(app, "Nats per token").value == pytest.approx(5 * math.log(2))
    assert box(app, "Perplexity").value == pytest.approx(32)
    assert float(query(app)["amount"][0]) == pytest.approx(5 * math.log(2), abs=1e-8)
    box(app, "Perplexity").set_value(100.0).run()
    assert box(app, "Bits per token").value == pytest.approx(math.log2(100))
    per_token = 39 / 6
    box(app, "Bits per byte").set_value(2.0).run()
    assert box(app, "Nats per token").value == pytest.approx(2 * per_token * math.log(2))
    again = page(**{name: value[0] for name, value in query(app).items()})
    assert box(again, "Nats per token").value == pytest.approx(box(app, "Nats per token").value, abs=1e-8)


@pytest.mark.parametrize("key", KEYS)
def test_every_switch_breaks_the_calculation_and_mends_it(key: str) -> None:
    app = page(part="pitfalls", mistake=key)
    wrong, right = numbers(app)
    assert wrong != right
    codes = [code.value for code in app.code]
    assert len(codes) == 2
    assert codes[0] != codes[1]
    assert BY_KEY[key].why in texts(app)
    assert all(source.address in app.markdown[-1].value for source in BY_KEY[key].met)
    app.pills[0].set_value(None).run()
    assert numbers(app) == ["10.7940"]
    assert query(app) == {"part": ["pitfalls"], "mistake": ["none"]}
    app.pills[0].set_value(key).run()
    assert numbers(app) == [wrong, right]


def test_a_mistake_that_cannot_be_made_says_why() -> None:
    app = page(part="pitfalls", mistake="start-token", model="bigram", input="tea")
    assert "bigram has no start token" in texts(app)
    assert numbers(app) == []


def test_a_mistake_that_changes_nothing_here_says_so() -> None:
    app = page(part="pitfalls", mistake="row-perplexities", input="only one row")
    assert "With one row" in texts(app)


def test_the_quiz_asks_the_same_of_everybody_and_counts() -> None:
    app = page(part="pitfalls", quiz="1", asked="4")
    titles = {pitfall.title: pitfall for pitfall in BY_KEY.values()}
    choices = [found.label for found in app.button if found.label in titles]
    assert len(choices) == 4
    assert choices == [b.label for b in page(part="pitfalls", quiz="1", asked="4").button if b.label in titles]
    asked = next(pitfall for pitfall in BY_KEY.values() if app.code[0].value in _wrong_code(pitfall.key))
    assert asked.title in choices
    button(app, next(choice for choice in choices if choice != asked.title)).click().run()
    assert asked.title in app.error[0].value
    assert "0 of 1 right" in app.caption[0].value
    button(app, "Next question").click().run()
    assert query(app)["asked"] == ["5"]
    following = next(pitfall for pitfall in BY_KEY.values() if app.code[0].value in _wrong_code(pitfall.key))
    button(app, following.title).click().run()
    assert app.success[0].value.startswith("Right: ")
    assert "1 of 2 right" in app.caption[0].value


def _wrong_code(key: str) -> list[str]:
    app = page(part="pitfalls", mistake=key)
    return [app.code[1].value]  # under the right line


def test_why_log_has_the_lectures_product() -> None:
    app = page(part="log")
    assert app.header[0].value == "The product of the 6 probabilities: 7.47e-29"
    assert "After 10 tokens" in texts(app)
    assert numbers(app) == ["2 tokens", "9 tokens", "10 tokens", "70 tokens"]
    assert len(charts(app)) == 2


def test_two_classes_are_softmax_with_two_and_the_sign_can_be_wrong() -> None:
    app = page(part="classes")
    assert numbers(app) == ["0.5108", "0.5108"]
    app.toggle(key="half-sign").set_value(True).run()
    assert numbers(app) == ["-0.2027", "0.5108"]
    assert "below 0, which no loss does" in texts(app)
    app.slider(key="chance").set_value(0.25).run()
    assert "p = 0.25: 1.3863" in charts(app)[0]["layout"]["title"]["subtitle"]["text"]
    assert query(app) == {"part": ["classes"], "p": ["0.25"], "halfsign": ["1"]}


def test_examples_come_from_the_link_and_bad_ones_are_said() -> None:
    app = page(part="classes", example=["1:0.5", "0:0.5", "2:0.5", "1:0"])
    assert numbers(app) == ["0.6931", "0.6931"]
    assert "The link has the example '2:0.5'" in texts(app)


def test_another_token_changes_what_comes_after_it() -> None:
    app = page(part="whatif", model="bigram", input="tea time", at="12")
    assert "For example" in " ".join(caption.value for caption in app.caption)
    app.text_input(key="force-text").set_value("x").run()
    before, after, change = map(float, numbers(app))
    assert change == pytest.approx(after - before, abs=2e-4)
    (waterfall,) = charts(app)
    bars = waterfall["data"][0]
    assert math.fsum(bars["y"][:-1]) == pytest.approx(bars["y"][-1], abs=1e-9)
    assert bars["y"][-1] / 7 == pytest.approx(change, abs=1e-4)
    assert query(app)["edit"] == ["12t120"]


def test_a_probability_is_moved_kept_named_and_opened_by_the_link() -> None:
    app = page(part="whatif", model="bigram", input="tea time", at="12", edit="12p0.5")
    moved = numbers(app)
    app.text_input(key="branch-name").set_value("half  of it").run()
    button(app, "Keep").click().run()
    assert query(app)["branch"] == ["12p0.5 half of it"]
    button(app, "Take back").click().run()
    assert "edit" not in query(app)
    again = page(**{name: value if len(value) > 1 else value[0] for name, value in query(app).items()})
    button(again, "half of it").click().run()
    assert numbers(again) == moved
    button(again, "Forget").click().run()
    assert "branch" not in query(again)


def test_a_change_that_does_not_fit_this_text_says_so() -> None:
    app = page(part="whatif", model="bigram", input="tea", edit="19t3", branch="12t9999 far")
    assert "There is no p19" in app.info[0].value
    assert "There is no token 9999" in texts(app)
    app.text_input(key="force-text").set_value("no such token at all").run()
    assert "No token of this model holds" in texts(app)


def test_another_text_takes_the_changes_away() -> None:
    app = page(part="whatif", model="bigram", input="tea time", at="12", edit="12p0.5", branch="12p0.5 half")
    app.text_area(key="own-text").set_value("coffee").run()
    assert {"edit", "branch"} & set(query(app)) == set()


@pytest.mark.parametrize("part", ["ruler", "pitfalls", "log", "classes", "whatif"])
@pytest.mark.parametrize("text", ["", "x", "\0", "🍕" * 40])
def test_any_text_is_read_or_refused(part: str, text: str) -> None:
    page(part=part, model="bigram", input=text)


def test_the_bars_are_numbers_too() -> None:
    app = page(part="whatif", model="bigram", input="tea time", at="12", edit="12p0.5")
    app.session_state["what-if-tables"] = True
    app.run()
    table = app.dataframe[0].value
    assert table["position"][0] == "p12"
    assert table["change"][0] == pytest.approx(table["log_proba"][0] - math.log(0.5), abs=1e-6)
    assert table["change"][1:].abs().sum() == 0
