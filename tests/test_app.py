"""The page's script, run without a browser."""

import json

import pytest
from streamlit.testing.v1 import AppTest

from tests.helpers.pages import button, numbers, opened, query, texts
from views.visit import pages

pytestmark = pytest.mark.filterwarnings("ignore")


def title(app: AppTest) -> str:
    spec = json.loads(app.get("plotly_chart")[0].proto.spec)
    return str(spec["layout"]["title"]["text"])


def test_the_first_page_is_the_lecture() -> None:
    app = opened(pages.LOSS)
    assert numbers(app) == ["10.7940", "48,725.8"]
    assert "As unsure as among 48,725 equally likely tokens; the vocabulary has 50,257." in texts(app)
    assert "About what a blind guess costs: this model has learned nothing yet." in texts(app)
    assert query(app) == {}


def test_a_link_sets_everything() -> None:
    rows = {"input": ["every effort moves", "I really like"], "target": [" effort moves you", " really like pizza"]}
    app = opened(pages.LOSS, **rows, at="23", units="bits", step="4")
    assert app.text_input(key="target-1").value == " really like pizza"
    assert app.segmented_control(key="units").value == "bits"
    assert "p<sub>23</sub>" in title(app)
    assert app.metric[0].label == "Loss, bits/token"
    assert r"\log_2" in app.latex[0].value
    assert not app.get("exception")


def test_typing_changes_the_loss_and_the_link() -> None:
    app = opened(pages.LOSS)
    app.text_input(key="target-0").set_value(" effort moves home").run()
    assert numbers(app)[0] != "10.7940"
    assert query(app)["target"] == [" effort moves home", " really like chocolate"]


@pytest.mark.parametrize("preset", ["Lecture", "Predictable", "Emoji", "German and Japanese"])
def test_each_example_scores_whole(preset: str) -> None:
    app = opened(pages.LOSS, input=["x y"])
    button(app, preset).click().run()
    assert "–" not in numbers(app)
    assert "left out" not in texts(app)
    if preset == "Lecture":
        assert numbers(app)[0] == "10.7940"
        assert query(app) == {}


def test_bits_and_back() -> None:
    app = opened(pages.LOSS)
    app.segmented_control(key="units").set_value("bits").run()
    assert numbers(app) == ["15.5724", "48,725.8"]
    app.segmented_control(key="units").set_value("nats").run()
    assert numbers(app)[0] == "10.7940"


def test_the_shift_keeps_every_number_and_locks_the_targets() -> None:
    app = opened(pages.LOSS)
    app.toggle(key="shift").set_value(True).run()
    assert numbers(app)[0] == "10.7940"
    assert app.text_input(key="input-0").value == "every effort moves you"
    assert app.text_input(key="target-0").value == " effort moves you"
    assert app.text_input(key="target-0").disabled
    assert "target" not in query(app)
    app.toggle(key="shift").set_value(False).run()
    assert numbers(app)[0] == "10.7940"
    assert app.text_input(key="input-0").value == "every effort moves"
    assert query(app) == {}


def test_the_shift_stays_on_when_a_row_ends_inside_a_character() -> None:
    app = opened(pages.LOSS, input=["tea 💙"])
    app.toggle(key="shift").set_value(False).run()
    assert "The shift stays on" in texts(app)
    assert app.toggle(key="shift").value is True


def test_rows_come_and_go() -> None:
    app = opened(pages.LOSS)
    button(app, "Add a row").click().run()
    assert numbers(app)[0] == "10.7940"
    assert "Row 3's input is empty" in texts(app)
    button(app, "Remove row 1").click().run()
    assert app.text_input(key="input-0").value == "I really like"
    assert numbers(app)[0] == "11.1708"
    for _ in range(6):
        button(app, "Add a row").click().run()
    assert button(app, "Add a row").disabled
    assert len(query(app)["input"]) == 8


def test_the_last_row_cannot_be_removed() -> None:
    assert button(opened(pages.LOSS, input=["a b"]), "Remove row 1").disabled


@pytest.mark.parametrize("step", range(1, 8))
def test_every_step_is_explained(step: int) -> None:
    app = opened(pages.LOSS, step=str(step))
    assert not app.exception
    assert len(app.latex) == len(app.code) == 1
    assert query(app) == {"step": [str(step)]}
    assert any(text.value.startswith(f"{step} · ") for text in app.text)
    assert not opened(pages.LOSS).latex


def test_unequal_lengths_are_shown_and_mended_in_one_step() -> None:
    app = opened(
        pages.LOSS, input=["every effort moves", "I really"], target=[" effort moves you", " really like it"]
    )
    assert "Row 2 has 2 tokens in its input and 3 tokens in its target" in texts(app)
    assert "·really  |  ·like  |  ·it" in texts(app)
    assert numbers(app)[0] == "10.4172"
    button(app, "Shift all inputs by one").click().run()
    assert "left out" not in texts(app)


def test_too_long_says_how_many_and_offers_what_fits() -> None:
    app = opened(pages.LOSS, input=[" word" * 300])
    assert "Row 1's input has 299 tokens and gpt2-untrained reads at most 256 at once." in texts(app)
    assert numbers(app)[:2] == ["–", "–"]
    button(app, "Keep the first 256 tokens and the next as the last target").click().run()
    assert "–" not in numbers(app)
    assert app.text_input(key="input-0").value == " word" * 257


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "Row 1's input is empty"),
        (" ", "Row 1 is one token"),
        ("one", "Row 1 is one token, 'one'"),
        ("a " * 50_000, "Row 1's input has 50,000 tokens"),
    ],
)
def test_text_that_cannot_be_scored(text: str, says: str) -> None:
    app = opened(pages.LOSS)
    app.toggle(key="shift").set_value(True).run()
    app.text_input(key="input-0").set_value(text).run()
    assert says in texts(app)
    assert "–" not in numbers(app)  # the other row still is


def test_nothing_to_score_keeps_the_page() -> None:
    app = opened(pages.LOSS, input=[""])
    assert "No row can be scored yet" in app.info[0].value
    assert numbers(app) == ["–", "–"]


ODD = ["<script>alert(1)</script>", "![](http://x/y.png)", "$x$ and $y$", "**b** _i_", "שלום עולם", "tea \ufffd"]


@pytest.mark.parametrize("text", ODD)
def test_odd_text_is_text(text: str) -> None:
    app = opened(pages.LOSS, input=[text])
    assert "–" not in numbers(app)
    assert all(text not in element.value for element in [*app.markdown, *app.caption, *app.info])
    assert app.text_input(key="input-0").value == text


@pytest.mark.parametrize(
    ("name", "value", "says"),
    [
        ("at", "77", "There is no p77 in this text; p11 is shown."),
        ("at", "x", "The link chooses the position 'x'"),
        ("units", "x", "units 'x'"),
        ("model", "x", "no model called 'x'"),
        ("step", "x", "step 'x'"),
    ],
)
def test_a_bad_link_says_what_is_shown_instead(name: str, value: str, says: str) -> None:
    app = opened(pages.LOSS, **{name: value})
    assert numbers(app)[0] == "10.7940"
    assert says in texts(app)


def test_tables_are_there_on_demand() -> None:
    app = opened(pages.LOSS)
    assert not app.dataframe
    app.session_state["tables"] = True
    app.run()
    assert not app.exception
    assert list(app.dataframe[0].value["p"]) == ["p11", "p12", "p13", "p21", "p22", "p23"]


def test_a_newline_survives_the_editor() -> None:
    app = opened(pages.LOSS, input=["one\ntwo"])
    assert app.text_area(key="input-0-lines").value == "one\ntwo"
    app.text_area(key="input-0-lines").set_value("one\nthree").run()
    assert query(app)["input"] == ["one\nthree"]
    app.text_area(key="input-0-lines").set_value("one three").run()
    assert app.text_input(key="input-0").value == "one three"


def test_typing_and_removing_a_row_in_one_run_loses_nothing() -> None:
    app = opened(pages.LOSS)
    app.text_input(key="input-1").set_value("I really love")
    button(app, "Remove row 1").click().run()
    assert app.text_input(key="input-0").value == "I really love"
    assert len(query(app)["input"]) == 1


def test_two_boxes_changed_in_one_run() -> None:
    app = opened(pages.LOSS, input=["one\ntwo", "a b"])
    app.text_area(key="input-0-lines").set_value("one two")
    app.text_input(key="input-1").set_value("a c").run()
    assert not app.exception
    assert query(app)["input"] == ["one two", "a c"]


def test_a_megabyte_of_blanks_is_a_sentence() -> None:
    app = opened(pages.LOSS, input=["a b"])
    app.text_input(key="input-0").set_value(" " * 1_200_000 + "x").run()
    assert "more than the 10,000 tokens that a page shows" in texts(app)
    app.toggle(key="shift").set_value(False).run()
    assert not app.exception


def test_an_input_that_is_typed_shifts_the_targets_by_itself() -> None:
    app = opened(pages.LOSS)
    app.text_input(key="input-0").set_value("my own words").run()
    assert "left out" not in texts(app)
    assert app.text_input(key="target-0").value == " own words"
    assert app.text_input(key="input-1").value == "I really like chocolate"
    assert query(app)["input"] == ["my own words", "I really like chocolate"]


def test_targets_of_the_visitors_own_stay_when_an_input_is_typed() -> None:
    app = opened(pages.LOSS, input=["every effort moves"], target=[" a b c"])
    app.text_input(key="input-0").set_value("every effort helps").run()
    assert app.text_input(key="target-0").value == " a b c"


def test_a_choice_stays_in_the_row_that_is_edited() -> None:
    app = opened(pages.LOSS, at="23")
    app.text_input(key="input-1").set_value("I like tea").run()
    assert query(app)["at"] == ["22"]
