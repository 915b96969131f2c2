"""The page "Training", a run that trains now, without a browser."""

import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from streamlit.testing.v1 import AppTest

from gptloss import GptlossError
from gptloss.corpus import samples
from gptloss.models.catalogue import runs
from gptloss.serving import live_training
from gptloss.serving.live_training import desk
from tests.helpers.pages import button, numbers, opened, query, texts
from views.training import live
from views.training.controls import OWN, recipe_of
from views.visit import access, pages
from views.visit.settings import Settings

pytestmark = pytest.mark.filterwarnings("ignore")
QUICK = {"mode": "live", "width": "32", "layers": "1", "heads": "2", "context": "16", "windows": "4", "steps": "20"}


@pytest.fixture(autouse=True)
def alone(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[None]:
    """A visitor on the machine itself, whose runs lie in a folder of the test."""
    monkeypatch.setenv("GPTLOSS_HOME", str(tmp_path))
    monkeypatch.setattr(access, "any_model", lambda: True)
    monkeypatch.setattr(live_training, "LOOK", 0.05)
    yield
    desk.clear()


def trained() -> AppTest:
    """The page after a run."""
    app = opened(pages.TRAINING, **QUICK)
    app.button(key="live-start").click().run()
    end = time.monotonic() + 120
    while button_names(app)[0] != "Train again":
        assert time.monotonic() < end
        time.sleep(0.2)
        app.run()
    return app


def button_names(app: AppTest) -> list[str]:
    assert not app.exception
    return [button.label for button in app.button if button.key and button.key.startswith("live-")]


def test_a_run_is_watched_and_becomes_a_model() -> None:
    app = trained()
    _, validation, perplexity, skill, norm = numbers(app)
    assert float(validation) < 5.6
    assert perplexity.endswith(" of 256")
    assert float(norm) > 0
    assert skill.endswith("%")
    assert len(app.get("plotly_chart")) == 2
    (name,) = runs.kept()
    assert name in texts(app)
    button(app, "Use it on all pages").click().run()
    assert query(app)["model"] == [name]
    assert name in app.selectbox(key="model").options
    app.query_params.clear()
    app.switch_page("pages/token_probabilities.py").run()
    assert not app.exception
    assert app.selectbox(key="model").value == name


@pytest.mark.parametrize(
    ("text", "says"),
    [("", "is empty"), ("a text of 20 letters", "take a longer text"), ("a" * 2_000_001, "2,000,001 characters")],
)
def test_a_text_that_cannot_be_learned_from_is_a_sentence(text: str, says: str) -> None:
    app = opened(pages.TRAINING, **QUICK)
    app.selectbox(key="live-source").set_value(OWN).run()
    app.text_area(key="live-text").set_value(text).run()
    button(app, "Train").click().run()
    end = time.monotonic() + 60
    while says not in texts(app) + "".join(error.value for error in app.error):
        assert not app.exception
        assert time.monotonic() < end
        time.sleep(0.2)
        app.run()


def test_sizes_that_do_not_go_together_are_a_sentence() -> None:
    settings = Settings(width=32, heads=8, windows=16)
    assert recipe_of(settings).n_heads == 8
    with pytest.raises(GptlossError, match="does not divide"):
        recipe_of(Settings(width=96, heads=64))


def test_a_preset_sets_all_controls() -> None:
    app = opened(pages.TRAINING, **QUICK)
    button(app, "Preset: words").click().run()
    assert query(app)["vocabulary"] == ["1024"]
    assert "width" not in query(app)
    button(app, "Preset: letters").click().run()
    assert set(query(app)) == {"mode", "model"}


def test_on_a_shared_server_it_is_capped(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(access, "any_model", lambda: False)
    monkeypatch.setattr(live, "learned_from", lambda: samples.verdict())
    assert live._request(Settings(budget=300)).seconds == live.MOST_SHARED_SECONDS
    with pytest.raises(GptlossError, match="too much for a server"):
        live._request(Settings(width=256))
    monkeypatch.setattr(live, "learned_from", lambda: "a" * 200_001)
    with pytest.raises(GptlossError, match="200,001 characters and this machine takes 200,000"):
        live._request(Settings())


def test_the_operator_can_switch_it_off(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GPTLOSS_TRAINING", "0")
    app = opened(pages.TRAINING, **QUICK)
    assert button_names(app) == []
    assert any("switched off" in caption.value for caption in app.caption)
    assert len(app.get("plotly_chart")) == 2


@pytest.mark.parametrize("name", ["run:gone", "run:../../etc", "run:"])
def test_a_run_that_is_gone_is_a_sentence(name: str) -> None:
    app = opened(pages.LOSS, model=name)
    assert not app.exception
    assert "no run" in texts(app)
    assert app.selectbox(key="model").value == "gpt2-untrained"


def test_on_a_shared_server_nothing_is_loaded(monkeypatch: pytest.MonkeyPatch) -> None:
    assert opened(pages.TRAINING, **QUICK).get("file_uploader")
    monkeypatch.setattr(access, "any_model", lambda: False)
    assert not opened(pages.TRAINING, **QUICK).get("file_uploader")


def test_another_visitor_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    desk.start("other", live._request(Settings(steps=5_000)), lambda visitor: True)
    app = opened(pages.TRAINING, **QUICK)
    button(app, "Train").click().run()
    assert not app.exception
    assert "1 before you" in "".join(str(bar.proto) for bar in app.get("progress"))
