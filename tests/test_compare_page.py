"""The page "Compare" and the choice of a model, run without a browser."""

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from streamlit.testing.v1 import AppTest

from gptloss.models import smollm2
from tests.browser import ROOT
from tests.test_app import button, numbers, page, query, texts
from tests.test_checkpoint import save_gpt2
from views import hosting, models, shell
from views.comparison import texts as compared_texts
from views.settings import PARAGRAPH, Settings, joined

pytestmark = pytest.mark.filterwarnings("ignore")

TOYS = {"model": "uniform", "with": "bigram"}


def compare(**query: Any) -> AppTest:
    app = AppTest.from_file(str(ROOT / "app.py"), default_timeout=60)
    for name, value in query.items():
        app.query_params[name.rstrip("_")] = value
    app.switch_page("pages/compare.py")
    return app.run()


def charts(app: AppTest) -> list[dict[str, Any]]:
    return [json.loads(chart.proto.spec) for chart in app.get("plotly_chart")]


def titles(app: AppTest) -> list[str]:
    return [chart["layout"]["title"]["text"] for chart in charts(app)]


@pytest.mark.skipif(not smollm2.here(), reason="smollm2-135m is not here: gptloss models pull smollm2-135m")
def test_it_opens_on_the_lesson() -> None:
    app = compare()
    loss, bits, _, better, fewer, _ = numbers(app)
    assert float(loss) == pytest.approx(10.94, abs=0.01)
    assert float(better) == pytest.approx(3.10, abs=0.05)
    assert float(fewer) < 0.3 * float(bits)
    assert query(app) == {}
    assert PARAGRAPH in app.text_area(key="texts").value
    assert "every effort moves you" in app.text_area(key="texts").value


def test_two_toys_side_by_side() -> None:
    app = compare(**TOYS)
    assert numbers(app)[0] == "5.5452"
    assert numbers(app)[1] == "8.0000"
    assert titles(app)[:2] == ["<b>Loss of each token</b>", "<b>Uniform over bytes minus Byte bigram</b>"]
    assert r"\mathrm{KL}(p \| q)" in app.latex[0].value
    bars = charts(app)[0]["data"]
    assert len(bars) == 2


def test_models_that_share_no_vocabulary_have_no_divergence() -> None:
    app = compare(with_="bigram")
    assert not app.exception
    assert not app.latex


def test_four_models_and_not_five() -> None:
    app = compare(model="uniform", with_=["bigram", "gpt2-untrained", "smollm2-135m", "gpt2"])
    assert "The link compares with 4 models" in texts(app)
    assert len(query(app)["with"]) == 3


def test_bits_change_every_unit() -> None:
    app = compare(**TOYS, units="bits")
    assert app.metric[0].label == "Loss, bits per token"
    assert numbers(app)[0] == "8.0000"
    assert charts(app)[0]["layout"]["yaxis"]["title"]["text"] == "bits"
    assert r"\log_2" in app.latex[0].value


def test_texts_are_lines() -> None:
    app = compare(**TOYS)
    app.text_area(key="texts").set_value("one\n\ntwo three").run()
    assert query(app)["text"] == ["one", "two three"]
    app.segmented_control(key="row").set_value(1).run()
    assert query(app)["spot"] == ["11"]
    app.text_area(key="texts").set_value("\n".join("abcdefghij")).run()
    assert "The text has 10 lines; the first 8 are compared." in texts(app)
    app.text_area(key="texts").set_value("").run()
    assert "text" not in query(app)


def test_two_texts_under_one_model() -> None:
    app = compare(model="bigram")
    app.segmented_control(key="comparing").set_value("texts").run()
    app.text_area(key="pair-0").set_value("The clock").run()
    app.text_area(key="pair-1").set_value("ehT kcolc").run()
    assert query(app)["pair"] == ["The clock", "ehT kcolc"]
    assert float(numbers(app)[0]) < float(numbers(app)[3])
    assert "<b>Text A minus Text B</b>" in titles(app)


@pytest.mark.parametrize("text", ["", "x", " ", "<script>alert(1)</script>", "a " * 9000, "\x00", "💙"])
def test_text_that_cannot_be_compared_is_a_sentence(text: str) -> None:
    app = compare(**TOYS, compare="texts")
    app.text_area(key="pair-0").set_value(text).run()
    app.text_area(key="pair-1").set_value(text).run()
    assert not app.exception
    if len(text.encode()) < 2:
        assert "Row 1" in texts(app)
        assert "Nothing can be compared yet" in app.info[0].value


def test_a_place_past_the_end_is_the_last() -> None:
    app = compare(**TOYS, spot="199999")
    assert not app.exception
    assert "p<sub>1,21</sub>" in titles(app)[2].replace("</b>", "")


def test_a_row_that_is_not_there_is_the_last() -> None:
    app = compare(**TOYS, spot="81")
    assert app.segmented_control(key="row").value == 3
    assert "p<sub>31</sub>" in titles(app)[2]


def test_two_folders_of_one_name_are_two_runs(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    folders = [tmp_path / side / "model" for side in ("left", "right")]
    for folder in folders:
        folder.mkdir(parents=True)
        save_gpt2(folder)
    monkeypatch.setattr(hosting, "any_model", lambda: True)
    app = compare(model=str(folders[0]), with_=str(folders[1]))
    assert len(app.metric) == 6
    assert numbers(app)[:3] == numbers(app)[3:]
    assert "0.0000" in app.latex[0].value  # the same model, so no divergence


def test_tables_on_demand() -> None:
    app = compare(**TOYS)
    app.session_state["compare-tables"] = True
    app.run()
    assert not app.exception
    assert list(app.dataframe[0].value["run"]) == ["Uniform over bytes", "Byte bigram"]
    assert len(app.dataframe) == 3


def test_the_state_follows_to_the_other_page_and_back() -> None:
    app = page(input=["tea time"], units="bits")
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


# --- the choice of a model, on the first page ---


def test_the_picker_changes_every_number_and_the_link() -> None:
    app = page()
    app.selectbox(key="model").set_value("uniform").run()
    assert numbers(app) == ["5.5452", "256.0", "5.5452"]
    assert query(app)["model"] == ["uniform"]
    assert app.text_input(key="input-0").value == "every effort moves you"  # 18 bytes and 17 do not pair up
    assert app.toggle(key="shift").value
    assert "V = 256" in "".join(caption.value for caption in app.caption)


def test_the_start_token_changes_every_number() -> None:
    app = page()
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
    app = page(model="gpt2")
    assert numbers(app)[0] == "10.7940"
    assert "GPT-2 124M is not on this machine. It takes 548 MB on the disk." in texts(app)
    assert "Shown meanwhile: GPT-2 124M, untrained." in texts(app)
    assert app.selectbox(key="model").value == "gpt2-untrained"
    assert button(app, "Fetch it")
    button(app, "Not now").click().run()
    assert "not on this machine" not in texts(app)
    app.selectbox(key="model").set_value("gpt2-xl").run()
    assert "GPT-2 1558M is not on this machine" in texts(app)
    assert numbers(app)[0] == "10.7940"


def test_what_is_not_here_is_offered_on_compare_too(empty_home: None) -> None:
    app = compare(with_=["gpt2-medium", "gpt2-large"])
    assert "GPT-2 355M is not on this machine." in texts(app)
    assert len(app.metric) == 3
    button(app, "Not now").click().run()
    assert query(app)["with"] == ["gpt2-large"]
    button(app, "Not now").click().run()
    assert query(app)["with"] == [""]
    assert "is not on this machine" not in texts(app)


@pytest.mark.parametrize("comparing", ["models", "texts"])
def test_a_model_that_is_not_here_is_chosen_on_compare(empty_home: None, comparing: str) -> None:
    app = compare(**TOYS, compare=comparing)
    app.selectbox(key="model").set_value("gpt2").run()
    assert not app.exception
    assert "GPT-2 124M is not on this machine." in texts(app)
    app = compare(model="gpt2", with_="gpt2-untrained", compare=comparing)
    assert not app.exception
    assert len(app.metric) >= 3


def test_the_browser_cannot_choose_more_than_it_is_offered(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Streamlit hands on whatever string the browser sends."""
    save_gpt2(tmp_path)
    monkeypatch.setenv("GPTLOSS_MODELS", "bigram, uniform")
    app = compare(model="uniform", with_="bigram")
    app.session_state["others"] = [str(tmp_path), "bigram"]
    app.run()
    assert "others" not in app.session_state or app.session_state["settings"].others == ("bigram",)
    app = compare(model="uniform", with_=str(tmp_path))
    assert "There is no model called" in texts(app)
    assert not app.exception


@pytest.mark.parametrize("name", ["/nonexistent", "hf:..bad", "~nosuchuser/x", "/" + "x" * 5000])
def test_a_link_that_compares_with_what_is_not_there(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    monkeypatch.setattr(hosting, "any_model", lambda: True)
    for link in ({"model": "uniform", "with_": name}, {"model": name, "with_": "bigram"}):
        app = compare(**link)
        assert not app.exception
        assert app.metric


@pytest.mark.parametrize("typed", ["SmolLM", "byte big", "BIGRAM", "Byte bigram"])
def test_a_typed_title_is_understood(typed: str) -> None:
    assert models._meant(typed) in ("smollm2-135m", "bigram")
    assert models._meant("gpt2-x") == "gpt2-xl"
    assert models._meant("nothing") == "nothing"


def test_text_in_a_label_is_never_markdown() -> None:
    assert shell.literal("**b** :red[x] … `c`") == r"\*\*b\*\* \:red\[x\] … \`c\`"


HEADERS = {"Host": "localhost:8501", "Origin": "http://localhost:8501"}


@pytest.mark.parametrize(
    ("headers", "address", "own"),
    [
        (HEADERS, None, True),
        (HEADERS, "127.0.0.1", True),
        (HEADERS, "203.0.113.9", False),
        (HEADERS | {"Host": "example.org"}, None, False),
        (HEADERS | {"Origin": "https://example.org"}, None, False),
        (HEADERS | {"X-Forwarded-For": "203.0.113.9"}, None, False),
        ({}, None, False),
    ],
)
def test_whose_machine_it_is(
    headers: dict[str, str], address: str | None, own: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(hosting.st, "context", SimpleNamespace(headers=headers, ip_address=address))
    assert hosting.any_model() is own
    monkeypatch.setenv("GPTLOSS_MODELS", "bigram")
    assert not hosting.any_model()


def test_an_operators_list_is_the_whole_choice(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    save_gpt2(tmp_path)
    monkeypatch.setenv("GPTLOSS_MODELS", "bigram, uniform")
    for name in ("gpt2", str(tmp_path), "hf:owner/name", "../../etc"):
        app = page(model=name)
        assert "There is no model called" in texts(app)
        assert "Models: gpt2-untrained, bigram, uniform." in texts(app)
        assert numbers(app)[0] == "10.7940"
    app = page()
    assert "There is no model" not in texts(app)
    assert list(app.selectbox(key="model").options) == [
        "GPT-2 124M, untrained", "Byte bigram", "Uniform over bytes"]  # fmt: skip


def test_a_folder_may_be_named_on_ones_own_machine_only(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    save_gpt2(tmp_path)
    assert not hosting.any_model()  # nobody asked for this machine by name
    assert "There is no model called" in texts(page(model=str(tmp_path)))
    monkeypatch.setattr(hosting, "any_model", lambda: True)
    app = page(model=str(tmp_path))
    assert app.selectbox(key="model").value == str(tmp_path)
    assert "V = 300" in "".join(caption.value for caption in app.caption)


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
    monkeypatch.setattr(hosting, "any_model", lambda: True)
    app = page(model=str(tmp_path))
    assert numbers(app)[0] == "10.7940"
    assert says in texts(app)
