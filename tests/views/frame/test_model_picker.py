"""The choice of a model and of a start token, on both pages, run without a browser."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from gptloss.models import Progress
from gptloss.serving import downloads
from tests.helpers.checkpoints import save_gpt2
from tests.helpers.pages import button, numbers, opened, query, texts
from views.compare import controls
from views.frame import model_choice, model_picker
from views.shared.markdown import literal
from views.visit import access, pages

pytestmark = pytest.mark.filterwarnings("ignore")

TOYS = {"model": "uniform", "with": "bigram"}


def test_the_picker_changes_every_number_and_the_link() -> None:
    app = opened(pages.LOSS)
    app.selectbox(key="model").set_value("uniform").run()
    assert numbers(app) == ["5.5452", "256.0"]
    assert query(app)["model"] == ["uniform"]
    assert app.text_input(key="input-0").value == "every effort moves you"  # 18 bytes and 17 do not pair up
    assert app.toggle(key="shift").value
    assert "vocabulary 256 tokens" in "".join(caption.value for caption in app.caption)


def test_the_start_token_changes_every_number() -> None:
    app = opened(pages.LOSS)
    app.toggle(key="bos").set_value(True).run()
    assert numbers(app)[0] != "10.7940"
    assert query(app) == {"bos": ["1"]}
    assert "Each row is read after the start token <|endoftext|>" in texts(app)
    app.toggle(key="shift").set_value(True).run()
    assert not app.exception
    app.selectbox(key="model").set_value("bigram").run()
    assert "knows no start token" in app.toggle(key="bos").help
    app.selectbox(key="model").set_value("gpt2-untrained").run()
    assert app.toggle(key="bos").value


@pytest.fixture
def empty_home(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Nothing has been fetched."""
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path))


@pytest.mark.usefixtures("empty_home")
def test_a_model_that_is_not_here_is_offered_and_stood_in_for() -> None:
    app = opened(pages.LOSS, model="gpt2")
    assert numbers(app)[0] == "10.7940"
    assert "GPT-2 124M is not on this machine. It takes 548 MB on the disk, has V = 50,257 tokens" in texts(app)
    assert "a context of 1,024." in texts(app)
    assert "gptloss models pull" not in texts(app)  # that is for the operator to do
    assert "Shown meanwhile: GPT-2, untrained." in texts(app)
    assert app.selectbox(key="model").value == "gpt2-untrained"
    assert button(app, "Fetch it")
    button(app, "Not now").click().run()
    assert "not on this machine" not in texts(app)
    app.selectbox(key="model").set_value("gpt2-xl").run()
    assert "GPT-2 1558M is not on this machine" in texts(app)
    assert numbers(app)[0] == "10.7940"


@pytest.mark.usefixtures("empty_home")
def test_the_offer_says_what_to_do_without_a_network(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(access, "any_model", lambda: True)
    says = f"gptloss models where names there to {tmp_path} on this one."
    for name in ("gpt2", "hf:owner/name"):
        said = texts(opened(pages.LOSS, model=name))
        assert f"Without a network: run gptloss models pull {name} on another machine" in said
        assert says in said
    assert "V = " not in said  # nothing is known of it


class Fetching:
    """A fetch under way, which somebody else began."""

    running, error, stopped, progress = True, "", False, Progress("Fetching", 1, 2)

    def stop(self) -> None:
        self.stopped = True


@pytest.mark.usefixtures("empty_home")
@pytest.mark.parametrize("own", [True, False])
def test_who_may_stop_a_fetch(monkeypatch: pytest.MonkeyPatch, own: bool) -> None:
    """On one's own machine whoever sees it, for example after a reload; of a hosted app only who began it."""
    fetch = Fetching()
    monkeypatch.setattr(access, "any_model", lambda: own)
    monkeypatch.setattr(downloads, "state", lambda name: fetch)
    app = opened(pages.LOSS, model="gpt2")
    assert "GPT-2 124M: Fetching" in texts(app)
    assert ("Cancel" in [button.label for button in app.button]) is own
    if own:
        button(app, "Cancel").click().run()
        assert fetch.stopped


def test_what_is_not_here_is_offered_on_compare_too(empty_home: None) -> None:
    app = opened(pages.COMPARE, with_=["gpt2-medium", "gpt2-large"])
    assert "GPT-2 355M is not on this machine." in texts(app)
    assert len(app.metric) == 3
    button(app, "Not now").click().run()
    assert query(app)["with"] == ["gpt2-large"]
    button(app, "Not now").click().run()
    assert query(app)["with"] == [""]
    assert "is not on this machine" not in texts(app)


@pytest.mark.parametrize("comparing", ["models", "texts"])
def test_a_model_that_is_not_here_is_chosen_on_compare(empty_home: None, comparing: str) -> None:
    app = opened(pages.COMPARE, **TOYS, compare=comparing)
    app.selectbox(key="model").set_value("gpt2").run()
    assert not app.exception
    assert "GPT-2 124M is not on this machine." in texts(app)
    app = opened(pages.COMPARE, model="gpt2", with_="gpt2-untrained", compare=comparing)
    assert not app.exception
    assert len(app.metric) >= 3


def test_the_browser_cannot_choose_more_than_it_is_offered(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Streamlit hands on whatever string the browser sends."""
    save_gpt2(tmp_path)
    monkeypatch.setenv("GPTLOSS_MODELS", "bigram, uniform")
    app = opened(pages.COMPARE, model="uniform", with_="bigram")
    app.multiselect(key="others").set_value([str(tmp_path), "bigram"]).run()
    assert app.session_state["settings"].others == ("bigram",)
    assert not app.exception
    with monkeypatch.context() as patch:
        patch.setattr(model_choice, "_leave_out_others", lambda: None)  # not only the next run sees to it
        patch.setattr(controls, "is_here", lambda name: name == "bigram")
        app.multiselect(key="others").set_value([str(tmp_path), "bigram"]).run()
        assert app.session_state["settings"].others == ("bigram",)
    app = opened(pages.COMPARE, model="uniform", with_=str(tmp_path))
    assert "There is no model called" in texts(app)
    assert not app.exception


@pytest.mark.parametrize("name", ["/nonexistent", "hf:..bad", "~nosuchuser/x", "/" + "x" * 5000])
def test_a_link_that_compares_with_what_is_not_there(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    monkeypatch.setattr(access, "any_model", lambda: True)
    for link in ({"model": "uniform", "with_": name}, {"model": name, "with_": "bigram"}):
        app = opened(pages.COMPARE, **link)
        assert not app.exception
        assert app.metric


@pytest.mark.parametrize("typed", ["SmolLM", "byte big", "BIGRAM", "Byte bigram"])
def test_a_typed_title_is_understood(typed: str) -> None:
    assert model_picker._meant(typed) in ("smollm2-135m", "bigram")
    assert model_picker._meant("gpt2-x") == "gpt2-xl"
    assert model_picker._meant("nothing") == "nothing"


def test_text_in_a_label_is_never_markdown() -> None:
    assert literal("**b** :red[x] … `c`") == r"\*\*b\*\* \:red\[x\] … \`c\`"
    for address in ("http://a.example", "www.a.example", "b@a.example"):  # Markdown would make a link of each
        assert literal(address).replace("\u2060", "").replace("\\", "") == address
        assert "\u2060" in literal(address)


HEADERS = {"Host": "localhost:8501", "Origin": "http://localhost:8501"}


@pytest.mark.parametrize(
    ("headers", "address", "own"),
    [
        (HEADERS, None, True),
        (HEADERS, "127.0.0.1", True),
        (HEADERS, "203.0.113.9", False),
        (HEADERS | {"Host": "example.org"}, None, False),
        (HEADERS | {"Origin": "https://example.org"}, None, False),
        (HEADERS | {"Origin": "http://localhost:3000"}, None, False),  # another server of this machine
        (HEADERS | {"X-Forwarded-For": "203.0.113.9"}, None, False),
        ({}, None, False),
    ],
)
def test_whose_machine_it_is(
    headers: dict[str, str], address: str | None, own: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(access.st, "context", SimpleNamespace(headers=headers, ip_address=address))
    assert access.any_model() is own
    monkeypatch.setenv("GPTLOSS_MODELS", "bigram")
    assert not access.any_model()


def test_an_operators_list_is_the_whole_choice(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    save_gpt2(tmp_path)
    monkeypatch.setenv("GPTLOSS_MODELS", "bigram, uniform")
    for name in ("gpt2", str(tmp_path), "hf:owner/name", "../../etc"):
        app = opened(pages.LOSS, model=name)
        assert "There is no model called" in texts(app)
        assert "Models: gpt2-untrained, bigram, uniform." in texts(app)
        assert numbers(app)[0] == "10.7940"
    app = opened(pages.LOSS)
    assert "There is no model" not in texts(app)
    assert list(app.selectbox(key="model").options) == [
        "GPT-2, untrained", "Byte bigram", "Uniform over bytes"]  # fmt: skip


def test_a_folder_may_be_named_on_ones_own_machine_only(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    save_gpt2(tmp_path)
    assert not access.any_model()  # nobody asked for this machine by name
    assert "There is no model called" in texts(opened(pages.LOSS, model=str(tmp_path)))
    monkeypatch.setattr(access, "any_model", lambda: True)
    app = opened(pages.LOSS, model=str(tmp_path))
    assert app.selectbox(key="model").value == str(tmp_path)
    assert "vocabulary 300 tokens" in "".join(caption.value for caption in app.caption)


@pytest.mark.parametrize(
    ("spoil", "says"),
    [
        (lambda folder: (folder / "model.safetensors").write_bytes(b"x" * 99), "is no safetensors file"),
        (lambda folder: (folder / "tokenizer.json").write_text("{"), "is no tokenizer or is damaged"),
        (lambda folder: (folder / "config.json").unlink(), "config.json is missing"),
    ],
)
def test_a_broken_checkpoint_is_said_and_the_page_goes_on(
    spoil: Any, says: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    save_gpt2(tmp_path)
    spoil(tmp_path)
    monkeypatch.setattr(access, "any_model", lambda: True)
    app = opened(pages.LOSS, model=str(tmp_path))
    assert numbers(app)[0] == "10.7940"
    assert says in texts(app)


def test_the_start_token_leaves_the_chosen_token_chosen() -> None:
    app = opened(pages.LOSS, input=["every effort moves you"], at="13")
    for on, at in ((True, "14"), (False, "13")):
        app.toggle(key="bos").set_value(on).run()
        assert query(app)["at"] == [at]
        assert app.session_state["settings"].bos is on
    app = opened(pages.LOSS, at="12")  # rows with targets of their own have the same places with a start token
    app.toggle(key="bos").set_value(True).run()
    assert query(app)["at"] == ["12"]
