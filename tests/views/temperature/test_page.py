"""The page "Temperature and sampling", run without a browser."""

import json
from typing import Any

import pytest
import torch
from streamlit.testing.v1 import AppTest
from streamlit.testing.v1.element_tree import NumberInput

from gptloss import load_model
from gptloss.analysis.temperature import temperature_curve
from gptloss.charts.sampling import BARS
from gptloss.prediction.distribution import Distribution
from gptloss.prediction.sampling import Sampler, draw
from gptloss.serving.question import Question
from gptloss.serving.readings import batch_of
from tests.helpers.pages import button, opened, query, texts
from tests.helpers.temperature import TOY, continuations
from views.visit import pages

pytestmark = pytest.mark.filterwarnings("ignore")


def charts(app: AppTest) -> dict[str, dict[str, Any]]:
    """The specs of the charts, by key: before-after, ranks-after, drawn, loss-by-temperature."""
    assert not app.exception
    found = {}
    for chart in app.get("plotly_chart"):
        spec = json.loads(chart.proto.spec)
        title = spec["layout"]["title"]["text"]
        name = {"All tokens by rank": "ranks", "Loss of the whole text": "loss"}.get(title[3:-4])
        found[name or ("draws" if title.endswith(" draws</b>") else "bars")] = spec
    return found


def subtitle(spec: dict[str, Any]) -> str:
    return str(spec["layout"]["title"]["subtitle"]["text"])


def test_it_opens_on_the_books_nine_words_at_one_half() -> None:
    app = opened(pages.TEMPERATURE, own=True)
    found = charts(app)
    assert set(found) == {"bars", "ranks", "draws"}
    assert subtitle(found["bars"]).endswith("after: all 9 tokens, temperature 0.5")
    assert query(app) == {}
    assert "the book’s nine words, no model" in texts(app)
    assert app.segmented_control(key="trained").value is None


def test_at_temperature_1_the_draws_are_those_of_the_books_loop() -> None:
    app = opened(pages.TEMPERATURE, own=True)
    button(app, "Temperature 1").click().run()
    drawn = app.dataframe[0].value.set_index("token")["drawn"]
    assert drawn[drawn > 0].to_dict() == {"forward": 582, "toward": 343, "closer": 73, "inches": 2}


def test_a_target_that_is_cut_off_is_named() -> None:
    app = opened(pages.TEMPERATURE, at="12", top_k="1000")
    said = "A target that the cut leaves out has p = 0 and costs infinity; the curve is without cuts. Here that is"
    assert f"{said} ·moves (p12), ·you (p13), ·really (p21), ·chocolate (p23)." in texts(app)
    assert "Here no target is cut off." in texts(opened(pages.TEMPERATURE, at="12", top_k="50000"))


def test_the_lecture_by_its_model() -> None:
    app = opened(pages.TEMPERATURE, temperature="1")
    found = charts(app)
    assert set(found) == {"bars", "ranks", "draws", "loss"}
    assert subtitle(found["bars"]).endswith("after: all 50,257 tokens, temperature 1")
    assert "p<sub>11</sub> after “every”" in found["bars"]["layout"]["title"]["text"]
    assert "temperature 1: 10.7940" in subtitle(found["loss"])
    assert continuations(app) == ["every effort moves you"] * 2


def test_the_temperature_moves_the_charts_without_a_forward_pass(monkeypatch: pytest.MonkeyPatch) -> None:
    app = opened(pages.TEMPERATURE, **TOY)
    before = charts(app)
    monkeypatch.setattr(type(load_model("bigram")), "hidden", None)
    app.slider(key="temperature").set_value(2.5).run()
    after = charts(app)
    assert query(app)["temperature"] == ["2.5"]
    assert subtitle(after["bars"]).endswith("all 256 tokens, temperature 2.5")
    assert "now, 2.5: " in subtitle(after["loss"])
    for name in ("bars", "ranks", "draws", "loss"):
        assert after[name]["data"] != before[name]["data"]
    app.slider(key="temperature").set_value(0.0).run()
    assert subtitle(charts(app)["bars"]).endswith("greedy, always the first choice")
    assert "now" not in subtitle(charts(app)["loss"])


def test_top_k_and_top_p_cut() -> None:
    app = opened(pages.TEMPERATURE, **TOY, at="14", temperature="1")
    app.number_input(key="top_k").set_value(5).run()
    assert subtitle(charts(app)["bars"]).endswith("renormalised over 5 of 256 tokens")
    assert charts(app)["bars"]["data"][2]["text"].count("cut off") == len(charts(app)["bars"]["data"][2]["text"]) - 5
    app.slider(key="top_p").set_value(0.5).run()
    batch = batch_of(Question("bigram", (TOY["input"],), None, False))
    kept = int(Sampler(1.0, 5, 0.5).keeps(batch.logits_at(1, 4)).sum())
    assert 1 < kept < 5
    assert subtitle(charts(app)["bars"]).endswith(f"renormalised over {kept} of 256 tokens")
    assert query(app)["top_k"] == ["5"]
    assert query(app)["top_p"] == ["0.5"]


@pytest.mark.parametrize(
    ("name", "fields"),
    [
        ("Greedy", {"temperature": ["0"]}),
        ("Temperature 0.5", {}),
        ("Temperature 2", {"temperature": ["2"]}),
        ("Top-k 50", {"temperature": ["1"], "top_k": ["50"]}),
        ("Top-p 0.9", {"temperature": ["1"], "top_p": ["0.9"]}),
        ("As the model has it", {"temperature": ["1"]}),
    ],
)
def test_each_example_sets_all_three(name: str, fields: dict[str, list[str]]) -> None:
    app = opened(pages.TEMPERATURE, **TOY, temperature="3", top_k="7", top_p="0.7")
    button(app, name).click().run()
    found = {key: value for key, value in query(app).items() if key in ("temperature", "top_k", "top_p")}
    assert found == fields


def seed(app: AppTest) -> NumberInput:
    """The control of the seed; its key changes when a button sets it."""
    return next(number for number in app.number_input if number.label == "Seed")


def test_draws_are_seeded() -> None:
    app = opened(pages.TEMPERATURE, **TOY, at="14", temperature="1")
    logits = batch_of(Question("bigram", (TOY["input"],), None, False)).logits_at(1, 4)

    def shares(n: int, seed: int) -> list[float]:
        ids = draw(Sampler().probas(logits), n, seed)
        counts = torch.bincount(ids, minlength=256)[list(Distribution(logits).likeliest(BARS))]
        return [*(counts / n).tolist(), 1 - counts.sum().item() / n]

    def shown(app: AppTest) -> list[float]:
        return charts(app)["draws"]["data"][0]["x"]

    assert shown(app) == pytest.approx(shares(1000, 123))
    app.segmented_control(key="draws").set_value(100).run()
    assert charts(app)["draws"]["layout"]["title"]["text"] == "<b>100 draws</b>"
    assert shown(app) == pytest.approx(shares(100, 123))
    button(app, "Draw again").click().run()
    assert seed(app).value == 124
    assert query(app)["seed"] == ["124"]
    assert shown(app) == pytest.approx(shares(100, 124))
    seed(app).set_value(7).run()
    assert shown(app) == pytest.approx(shares(100, 7))


def test_too_few_draws_are_said_to_be_too_few() -> None:
    app = opened(pages.TEMPERATURE, temperature="1")
    assert any("is expected 0.18 times: 1,000 draws are too few" in caption.value for caption in app.caption)
    app.number_input(key="top_k").set_value(3).run()
    assert not any("too few" in caption.value for caption in app.caption)


def test_the_last_seed_is_followed_by_the_first() -> None:
    app = opened(pages.TEMPERATURE, **TOY, seed=str(2**31 - 1))
    button(app, "Draw again").click().run()
    assert seed(app).value == 0


def test_the_books_nine_words() -> None:
    app = opened(pages.TEMPERATURE, **TOY)
    app.segmented_control(key="source").set_value("book").run()
    assert query(app)["from"] == ["book"]
    assert set(charts(app)) == {"bars", "ranks", "draws"}
    assert not app.text_area
    assert not app.code
    assert app.number_input(key="top_k").max == 9
    button(app, "Top-k 3").click().run()
    assert [t for t in charts(app)["bars"]["data"][1]["text"] if t] == ["0.5775", "0.3610", "0.0615"]
    assert list(app.dataframe[0].value["token"][:3]) == ["forward", "toward", "closer"]
    assert list(app.dataframe[0].value["after"][:3]) == pytest.approx([0.5775, 0.3610, 0.0615], abs=5e-5)
    button(app, "Temperature 5").click().run()
    assert subtitle(charts(app)["bars"]).endswith("all 9 tokens, temperature 5")
    app.segmented_control(key="source").set_value("text").run()
    assert app.text_area(key="own-text").value == TOY["input"]


@pytest.mark.parametrize("text", ["", "x", "<script>alert(1)</script>", "\x00", "💙", "$x$ **b**"])
def test_any_text_is_answered(text: str) -> None:
    app = opened(pages.TEMPERATURE, model="bigram", made="3")
    app.text_area(key="own-text").set_value(text).run()
    assert not app.exception
    if len(text.encode()) < 2:
        assert ("is empty" if not text else "is one token") in texts(app)
        assert not charts(app)
    else:
        assert set(charts(app)) == {"bars", "ranks", "draws", "loss"}


def test_bits_change_the_loss() -> None:
    app = opened(pages.TEMPERATURE, **TOY, units="bits")
    assert "bits per token" in subtitle(charts(app)["loss"])
    assert charts(app)["loss"]["layout"]["yaxis"]["title"]["text"] == "loss, bits per token"


def test_a_long_text_has_its_curve_bit_by_bit() -> None:
    text = "The clock on the wall was slow. " * 20
    app = opened(pages.TEMPERATURE, model="bigram", input=text)
    assert "loss" not in charts(app)
    assert app.get("progress")[0].proto.text == "The loss at 25 temperatures: 128 of 639 tokens …"
    for _ in range(30):
        app.run()
        if "loss" in charts(app):
            break
    expected = temperature_curve(batch_of(Question("bigram", (text,), None, False)))
    assert charts(app)["loss"]["data"][1]["x"] == pytest.approx([1.0, expected.best])


def test_tables_on_demand() -> None:
    app = opened(pages.TEMPERATURE, **TOY, top_k="5", at="14")
    app.session_state["sampling-tables"] = True
    app.run()
    tokens, losses = (frame.value for frame in app.dataframe)
    assert tokens["after"][:5].sum() == pytest.approx(1)
    assert tokens["drawn"][:5].sum() == 1000
    assert list(losses.columns) == ["temperature", "loss"]
    assert len(losses) == 25


def test_the_sampler_follows_to_the_other_pages_and_back() -> None:
    app = opened(pages.TEMPERATURE, **TOY, temperature="2", top_k="9", made="3", order="rank")
    app.query_params.clear()  # as the browser does when a page is chosen from the menu
    app.switch_page("pages/token_probabilities.py").run()
    assert app.number_input(key="top_k").value == 9
    app.query_params.clear()
    app.switch_page("pages/temperature.py").run()
    assert app.slider(key="temperature").value == 2.0
    assert len(continuations(app)[0]) == len(TOY["input"]) + 3


def test_a_top_k_above_the_vocabulary_keeps_all() -> None:
    app = opened(pages.TEMPERATURE, **TOY, from_="book", top_k="100", temperature="1")
    assert subtitle(charts(app)["bars"]).endswith("all 9 tokens, temperature 1")
    assert app.number_input(key="top_k").value == 9


def test_equal_probabilities_are_the_same_at_any_temperature() -> None:
    app = opened(pages.TEMPERATURE, model="uniform", input="tea")
    assert subtitle(charts(app)["loss"]).startswith("the same at every temperature")


def test_at_temperature_0_the_loss_is_said_to_be_infinite() -> None:
    said = "At temperature 0 the loss is infinite"
    assert any(said in caption.value for caption in opened(pages.TEMPERATURE, **TOY, temperature="0").caption)
    assert not any(said in caption.value for caption in opened(pages.TEMPERATURE, **TOY, temperature="1").caption)


def test_a_tick_cannot_take_a_button_back() -> None:
    """A tick tells what the browser's controls show; it may have left before they heard of the button."""
    app = opened(pages.TEMPERATURE, **TOY, temperature="3")
    late = app.slider(key="temperature").set_value(2.9)
    button(app, "Temperature 2").click().run()
    states = app._tree.get_widget_states()
    states.widgets.append(late._widget_state)
    app._run(states)
    assert query(app)["temperature"] == ["2"]
    [slider] = [slider for slider in app.slider if slider.label.startswith("Temperature")]  # under a new key
    assert slider.value == 2.0
    slider.set_value(3.0).run()
    assert query(app)["temperature"] == ["3"]
