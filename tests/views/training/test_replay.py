"""The page "Training", recorded runs, without a browser."""

import json
from typing import Any

import pytest
from streamlit.testing.v1 import AppTest

from gptloss.training.recorded import NAMES, recorded_run
from tests.helpers.pages import button, opened, query, texts
from views.training import replay
from views.visit import pages

pytestmark = pytest.mark.filterwarnings("ignore")


def specs(app: AppTest) -> list[dict[str, Any]]:
    assert not app.exception
    return [json.loads(chart.proto.spec) for chart in app.get("plotly_chart")]


def bar(app: AppTest) -> dict[str, Any]:
    """What travels to the bar."""
    (found,) = app.get("bidi_component")
    return json.loads(found.proto.json)  # type: ignore[no-any-return]


def test_the_first_visitor_sees_learning_turn_into_memorising() -> None:
    app = opened(pages.TRAINING, own=True)
    curves, cells = specs(app)
    assert any("over-fitting begins, step 260" in note.get("text", "") for note in curves["layout"]["annotations"])
    assert len(cells["data"]) == 2  # one it learned from, one it never saw
    data = bar(app)
    look = data["looks"][data["at"]]
    assert look["step"] == 800
    assert look["figures"][0] == ["training loss", "0.79", "training"]
    seen, unseen = (float(figure[1].removeprefix("mean p ")) for figure in data["looks"][-1]["rows"])
    assert seen > 0.7 > 0.3 > unseen
    assert app.text_area(key="own-text").value.split("\n") == list(pages.VERDICT)
    assert query(app) == {}


@pytest.mark.parametrize("name", NAMES)
def test_each_run_is_shown_in_either_unit(name: str) -> None:
    losses = {}
    for units in ("nats", "bits"):
        app = opened(pages.TRAINING, run=name, units=units)
        looks = bar(app)["looks"]
        assert [look["step"] for look in looks] == [look.step for look in recorded_run(name).snapshots]
        losses[units] = looks[0]["losses"][1]
        notes = [note["text"] for note in specs(app)[0]["layout"]["annotations"]]
        assert any(note.startswith(f"a blind guess, {'ln' if units == 'nats' else 'log₂'} ") for note in notes)
        assert f"{units} per token" in specs(app)[0]["layout"]["title"]["subtitle"]["text"]
    assert losses["bits"] == pytest.approx(losses["nats"] * 1.442695)


def test_the_books_run_has_the_lectures_probabilities() -> None:
    rows = bar(opened(pages.TRAINING, run="book"))["looks"][-1]["rows"]
    assert [row[0].split()[0] for row in rows[2:]] == ["p11", "p12", "p13", "p21", "p22", "p23"]


def test_the_visitors_text_is_followed() -> None:
    app = opened(pages.TRAINING, input=["tea time", "a"])
    assert "Row 2 is left out" in [badge.value for badge in app.get("badge")] or "no second letter" in texts(app)
    _, cells = specs(app)
    assert len(cells["data"]) == 1
    assert cells["layout"]["xaxis"]["ticktext"] == list("tea·time")
    app.text_area(key="own-text").set_value("coffee\nmilk").run()
    assert len(specs(app)[1]["data"]) == 2
    button(app, "The lecture’s rows").click().run()
    assert specs(app)[1]["layout"]["xaxis"]["ticktext"] == list("Every·effort·moves·you")


@pytest.mark.parametrize("text", ["", "x", "🙂" * 2_000, "<script>alert(1)</script>" * 40_000])
def test_any_text_is_answered(text: str) -> None:
    app = opened(pages.TRAINING, input="tea")
    app.text_area(key="own-text").set_value(text).run()
    assert not app.exception


def test_two_runs_are_laid_over_each_other() -> None:
    app = opened(pages.TRAINING, beside="dropout")
    curves, _ = specs(app)
    assert [trace["line"]["dash"] for trace in curves["data"][:4]] == ["dot", "dot", "solid", "solid"]
    assert curves["layout"]["title"]["subtitle"]["text"].endswith("dotted: dropout delays over-fitting")
    app.selectbox(key="run").set_value("dropout").run()
    assert app.selectbox(key="beside").value == "none"


def test_what_the_bar_says_is_clamped(monkeypatch: pytest.MonkeyPatch) -> None:
    class Sent:
        moved: Any = None

    for sent, step in (("x", 0), (None, 0), (-5, 0), (99_999, 1_400), (640, 640)):
        Sent.moved = sent
        monkeypatch.setattr(replay.st, "session_state", {replay.BAR: Sent})
        assert replay.moved_to(replay.BAR, 1_400) == step
