"""The page "Compare", run without a browser."""

import gc
import json
import weakref
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import streamlit as st
from streamlit.delta_generator import DeltaGenerator
from streamlit.testing.v1 import AppTest

from gptloss.errors import GptlossError
from gptloss.models import LanguageModel, load_model
from gptloss.models.catalogue import smollm2
from gptloss.serving import models as serving
from tests.helpers.checkpoints import save_gpt2
from tests.helpers.pages import numbers, opened, query, texts
from views.compare.controls import compared_texts
from views.shared import scored_text
from views.visit import access, pages
from views.visit.fields.compare import PARAGRAPH
from views.visit.fields.text import joined
from views.visit.settings import Settings

pytestmark = pytest.mark.filterwarnings("ignore")

TOYS = {"model": "uniform", "with": "bigram"}


def charts(app: AppTest) -> list[dict[str, Any]]:
    return [json.loads(chart.proto.spec) for chart in app.get("plotly_chart")]


def titles(app: AppTest) -> list[str]:
    return [chart["layout"]["title"]["text"] for chart in charts(app)]


@pytest.mark.skipif(not smollm2.here(), reason="smollm2-135m is not here: gptloss models pull smollm2-135m")
def test_it_opens_on_the_lesson() -> None:
    app = opened(pages.COMPARE)
    loss, bits, _, better, fewer, _ = numbers(app)
    assert float(loss) == pytest.approx(10.94, abs=0.01)
    assert float(better) == pytest.approx(3.10, abs=0.05)
    assert float(fewer) < 0.3 * float(bits)
    assert query(app) == {}
    assert PARAGRAPH in app.text_area(key="texts").value
    assert "every effort moves you" in app.text_area(key="texts").value


def test_two_toys_side_by_side() -> None:
    app = opened(pages.COMPARE, **TOYS)
    assert numbers(app)[0] == "5.5452"
    assert numbers(app)[1] == "8.0000"
    assert titles(app)[:2] == ["<b>Loss of each token, line 3</b>", "<b>Uniform over bytes minus Byte bigram</b>"]
    assert r"\mathrm{KL}(p \| q)" in app.latex[0].value
    bars = charts(app)[0]["data"]
    assert len(bars) == 2


def test_models_that_share_no_vocabulary_have_no_divergence() -> None:
    app = opened(pages.COMPARE, with_="bigram")
    assert not app.exception
    assert not app.latex


def test_four_models_and_not_five() -> None:
    app = opened(pages.COMPARE, model="uniform", with_=["bigram", "gpt2-untrained", "smollm2-135m", "gpt2"])
    assert "The link compares with 4 models" in texts(app)
    assert len(query(app)["with"]) == 3


def test_bits_change_every_unit() -> None:
    app = opened(pages.COMPARE, **TOYS, units="bits")
    assert app.metric[0].label == "Loss, bits per token"
    assert numbers(app)[0] == "8.0000"
    assert charts(app)[0]["layout"]["yaxis"]["title"]["text"] == "bits"
    assert r"\log_2" in app.latex[0].value


def test_texts_are_lines() -> None:
    app = opened(pages.COMPARE, **TOYS)
    app.text_area(key="texts").set_value("one\n\ntwo three").run()
    assert query(app)["text"] == ["one", "two three"]
    app.segmented_control(key="row").set_value(1).run()
    assert query(app)["spot"] == ["11"]
    app.text_area(key="texts").set_value("\n".join("abcdefghij")).run()
    assert "The text has 10 lines; the first 8 are compared." in texts(app)
    app.text_area(key="texts").set_value("").run()
    assert "text" not in query(app)


def test_two_texts_under_one_model() -> None:
    app = opened(pages.COMPARE, model="bigram")
    app.segmented_control(key="comparing").set_value("texts").run()
    app.text_area(key="pair-0").set_value("The clock").run()
    app.text_area(key="pair-1").set_value("ehT kcolc").run()
    assert query(app)["pair"] == ["The clock", "ehT kcolc"]
    assert float(numbers(app)[0]) < float(numbers(app)[3])
    assert "<b>Text A minus Text B</b>" in titles(app)


@pytest.mark.parametrize("text", ["", "x", " ", "<script>alert(1)</script>", "a " * 9000, "\x00", "💙"])
def test_text_that_cannot_be_compared_is_a_sentence(text: str) -> None:
    app = opened(pages.COMPARE, **TOYS, compare="texts")
    app.text_area(key="pair-0").set_value(text).run()
    app.text_area(key="pair-1").set_value(text).run()
    assert not app.exception
    if len(text.encode()) < 2:
        assert "Row 1" in texts(app)
        assert "Nothing can be compared yet" in app.info[0].value


def test_a_place_past_the_end_is_the_last() -> None:
    app = opened(pages.COMPARE, **TOYS, spot="199999")
    assert not app.exception
    assert "p<sub>1,21</sub>" in titles(app)[2].replace("</b>", "")


def test_a_row_that_is_not_there_is_the_last() -> None:
    app = opened(pages.COMPARE, **TOYS, spot="81")
    assert app.segmented_control(key="row").value == 3
    assert "p<sub>31</sub>" in titles(app)[2]


def test_two_folders_of_one_name_are_two_runs(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    folders = [tmp_path / side / "model" for side in ("left", "right")]
    for folder in folders:
        folder.mkdir(parents=True)
        save_gpt2(folder)
    monkeypatch.setattr(access, "any_model", lambda: True)
    app = opened(pages.COMPARE, model=str(folders[0]), with_=str(folders[1]))
    assert len(app.metric) == 6
    assert numbers(app)[:3] == numbers(app)[3:]
    assert "0.0000" in app.latex[0].value  # the same model, so no divergence


def test_tables_on_demand() -> None:
    app = opened(pages.COMPARE, **TOYS)
    app.session_state["compare-tables"] = True
    app.run()
    assert not app.exception
    assert list(app.dataframe[0].value["run"]) == ["Uniform over bytes", "Byte bigram"]
    assert len(app.dataframe) == 3


def test_the_state_follows_to_the_other_page_and_back() -> None:
    app = opened(pages.LOSS, input=["tea time"], units="bits")
    app.query_params.clear()
    app.switch_page("pages/compare.py").run()
    assert "tea time" in app.text_area(key="texts").value
    app.selectbox(key="model").set_value("bigram").run()
    app.query_params.clear()  # as the browser does when a page is chosen from the menu
    app.switch_page("app.py").run()
    assert app.text_input(key="input-0").value == "tea time"
    assert app.selectbox(key="model").value == "bigram"
    assert app.segmented_control(key="units").value == "bits"


@pytest.mark.parametrize(
    ("given", "target", "whole"),
    [
        ("every effort moves", " effort moves you", "every effort moves you"),
        ("I really like", " really like chocolate", "I really like chocolate"),
        ("aaa", "aaa", "aaaa"),
        ("one", "two", "one"),
        ("one", "", "one"),
        ("", "x", ""),
    ],
)
def test_a_row_is_joined_to_its_text(given: str, target: str, whole: str) -> None:
    assert joined(given, target) == whole


def test_the_paragraph_always_has_a_place() -> None:
    rows = tuple(f"row {n}" for n in range(8))
    assert compared_texts(Settings(inputs=rows, targets=None)) == (*rows[:7], PARAGRAPH)


class Loads:
    """Large models, as many as folders; which were loaded, in order, and how many weights were alive at once."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, place: Path, count: int) -> None:
        self.names, self.loaded, self.most = [str(place / f"m{n}") for n in range(count)], list[str](), 0
        self._alive, self._load = weakref.WeakSet[object](), load_model
        for n, name in enumerate(self.names):
            save_gpt2(Path(name), n_positions=64 + n)
        monkeypatch.setattr(access, "any_model", lambda: True)
        monkeypatch.setattr(serving, "LARGE", 1)
        monkeypatch.setattr(serving, "load_model", self)

    def __call__(self, name: str) -> LanguageModel:
        model = self._load(name)
        self.loaded.append(Path(name).name)
        self._alive.add(model.network)  # type: ignore[attr-defined]
        gc.collect()
        self.most = max(self.most, len(self._alive))
        return model

    def since(self, count: int) -> list[str]:
        return self.loaded[count:]


LONG = "Water covers most of the earth."


@pytest.mark.parametrize("count", [2, 3, 4])
def test_models_too_large_together_are_read_one_after_the_other(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, count: int
) -> None:
    loads = Loads(monkeypatch, tmp_path, count)
    app = opened(pages.COMPARE, model=loads.names[0], with_=loads.names[1:], text=[LONG, LONG + "."])
    assert len(app.metric) == 3 * count
    assert len(app.latex) == count - 1
    assert (loads.loaded, loads.most) == ([f"m{n}" for n in range(count)], 2)
    app.segmented_control(key="row").set_value(1).run()  # another page of the ladder: of those not in memory
    assert len(app.latex) == count - 1
    assert len(loads.since(count)) == count - 2
    app.session_state["settings"] = replace(app.session_state["settings"], spot=(1, 7))
    app.run()  # beside it
    assert "p<sub>17</sub>" in titles(app)[count]
    assert len(loads.since(count)) == count - 2
    assert loads.most == 2


def test_a_model_that_cannot_be_loaded_is_tried_once(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Each try takes a place in memory from another model."""
    loads, tried = Loads(monkeypatch, tmp_path, 3), list[str]()

    def load(name: str) -> LanguageModel:
        tried.append(Path(name).name)
        if name == loads.names[1]:
            raise GptlossError("It is damaged.")
        return loads(name)

    monkeypatch.setattr(serving, "load_model", load)
    app = opened(pages.COMPARE, model=loads.names[0], with_=loads.names[1:], text=LONG)
    assert "It is damaged." in texts(app)
    assert len(app.latex) == 1
    assert tried.count("m1") == 1
    assert loads.most == 2


def test_bits_per_byte_are_over_what_all_scored(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A line that one model leaves out counts for none of them, and neither does a first token that one predicts."""
    save_gpt2(tmp_path, n_positions=16)
    monkeypatch.setattr(access, "any_model", lambda: True)
    names = {"model": str(tmp_path), "with_": "bigram"}
    even = opened(pages.COMPARE, **names, text="I like tea")
    assert "It is taken over" not in captions(even)
    app = opened(pages.COMPARE, **names, text=["I like tea", "long " * 9])
    assert numbers(app)[1::3] == numbers(even)[1::3]
    assert numbers(app)[3] != numbers(even)[3]
    assert "It is taken over the 9 bytes in line 1 that all of them scored." in captions(app)
    app = opened(pages.COMPARE, model="uniform", with_="gpt2-untrained", text="tea time")
    assert "It is taken over the 6 bytes that all of them scored." in captions(app)
    app = opened(pages.COMPARE, model=str(tmp_path), with_="gpt2-untrained", text=["the", "long " * 9])
    assert "No line was scored by all of them" in captions(app)
    assert numbers(app)[1::3] == ["–", "–"]
    alone = opened(pages.COMPARE, **names, text="long " * 9)
    assert numbers(alone)[:3] == ["–", "–", "–"]
    assert float(numbers(alone)[4]) > 0


@pytest.mark.parametrize("comparing", ["models", "texts"])
def test_the_wait_says_who_reads(monkeypatch: pytest.MonkeyPatch, comparing: str) -> None:
    said: list[str] = []

    @contextmanager
    def spinner(text: str) -> Iterator[None]:
        said.append(text)
        yield

    monkeypatch.setattr(st, "spinner", spinner)
    monkeypatch.setattr(scored_text, "QUICK", 20)
    drawn: list[str] = []
    monkeypatch.setattr(DeltaGenerator, "progress", lambda self, share, text: drawn.append(text))
    opened(
        pages.COMPARE,
        **TOYS,
        compare=comparing,
        text="a text that nobody has read so far",
        pair=["one", f"other {'long ' * 9}"],
    )
    if comparing == "models":
        assert said[-2:] == [f"Model {n}: {name} reads the text …" for n, name in WHO]
        assert drawn == ["33 of 33 tokens scored"] * 2
    else:
        assert said[-2:] == [f"Uniform over bytes reads Text {letter} …" for letter in "AB"]
        assert drawn == ["50 of 50 tokens scored"]  # of a short text no bar is shown


WHO = (("1 of 2", "Uniform over bytes"), ("2 of 2", "Byte bigram"))


def captions(app: AppTest) -> str:
    return " ".join(caption.value for caption in app.caption)


def test_an_inserted_word_is_drawn() -> None:
    app = opened(pages.COMPARE, model="bigram", compare="texts", pair=["the cat", "the big cat"])
    (difference,) = [chart for chart in charts(app) if "minus" in chart["layout"]["title"]["text"]]
    assert sum(difference["data"][0]["y"]) == pytest.approx(-14.98, abs=0.01)
    assert "→·big" in [custom[0] for custom in difference["data"][0]["customdata"]]
