"""How "Data set loss" reads the text: the cut, the convention, its numbers."""

import pytest

from gptloss.corpus import samples
from tests.helpers.data_set_loss import (
    CONVENTION,
    PAGE,
    SPLIT,
    asked,
    charts,
    library,
    ran,
)
from tests.helpers.pages import numbers, opened, query, texts

pytestmark = pytest.mark.filterwarnings("ignore")


def test_the_books_counts() -> None:
    app = opened(PAGE, model="gpt2-untrained")
    assert "Training: 4,612 tokens = 4,608 scored + 4 dropped; 18 windows, 9 batches of 2." in texts(app)
    assert "Validation: 534 tokens = 512 scored + 22 dropped; 2 windows, 1 batch of 2." in texts(app)
    assert len([s for s in charts(app)[SPLIT + 1]["layout"]["shapes"] if s["y0"] == -0.9]) == 20  # after the ruler


def test_every_control_is_in_the_link_and_in_the_numbers() -> None:
    app = opened(PAGE, model="bigram")
    app.slider(key="split").set_value(0.8).run()
    app.segmented_control(key="convention").set_value("strided").run()
    app.number_input(key="data-window").set_value(128).run()
    app.number_input(key="data-stride").set_value(32).run()
    assert asked(app) == {
        "model": ["bigram"], "split": ["0.8"], "convention": ["strided"], "window": ["128"], "stride": ["32"],
    }  # fmt: skip
    ran(app)
    made = library(samples.verdict(), 0.8, convention="strided", window=128, stride=32)
    assert numbers(app) == [f"{tally.loss:.4f}" for tally in made]
    again = opened(PAGE, **{"model": "bigram"} | {name: value[0] for name, value in asked(app).items()})
    assert numbers(again) == numbers(app)  # what was computed is there for the next visitor
    assert list(again.dataframe[0].value["stride"]) == [32, 32]
    assert (again.number_input(key="data-window").value, again.number_input(key="data-stride").value) == (128, 32)


def test_the_stride_follows_the_window_but_for_strided() -> None:
    app = opened(PAGE, model="bigram")
    assert app.number_input(key="data-stride").disabled
    app.number_input(key="data-window").set_value(64).run()
    assert app.number_input(key="data-stride").value == 64
    app.segmented_control(key="convention").set_value("strided").run()
    assert not app.number_input(key="data-stride").disabled
    assert app.number_input(key="data-stride").value == 64  # 128 would be more than the window


def test_a_window_is_at_most_the_context() -> None:
    app = opened(PAGE, model="gpt2-untrained", window="5000")
    assert app.number_input(key="data-window").value == 256
    assert query(app)["window"] == ["5000"]  # for a model that can


def test_the_start_token_is_the_conventions_until_it_is_chosen() -> None:
    app = opened(PAGE, model="gpt2-untrained")
    assert app.toggle(key="data-start").value is False
    assert [toggle.key for toggle in app.toggle] == ["data-start"]  # that of the other pages would say nothing here
    app.segmented_control(key="convention").set_value("rolling").run()
    assert app.toggle(key="data-start").value is True
    assert [note["text"] for note in charts(app)[CONVENTION]["layout"]["annotations"]] == ["start token"]
    app.toggle(key="data-start").set_value(False).run()
    assert query(app)["start"] == ["0"]
    app.segmented_control(key="convention").set_value("book").run()
    assert "start" not in query(app)
    assert opened(PAGE, model="bigram").toggle(key="data-start").disabled  # the bigram has none


def test_a_bad_number_in_a_link_falls_back_alone() -> None:
    app = opened(PAGE, model="bigram", split="2", convention="none", window="64")
    assert "The link asks for split '2'; use 0.5 to 0.95. Shown: 0.9." in texts(app)
    assert "convention 'none'; use book or rolling or strided" in texts(app)
    assert app.number_input(key="data-window").value == 64
