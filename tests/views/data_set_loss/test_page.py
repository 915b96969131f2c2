"""The page "Data set loss", run without a browser."""

import io
import json
import math
from collections.abc import Iterator
from pathlib import Path
from threading import Event
from typing import Any

import pandas as pd
import pytest
from streamlit.testing.v1 import AppTest

from gptloss import load_model
from gptloss.corpus import samples
from gptloss.corpus.conventions import plan
from gptloss.corpus.job import Document, Job, texts_of
from gptloss.corpus.run import score_parts
from gptloss.corpus.scoring import scored_windows
from gptloss.corpus.tally import Tally
from gptloss.errors import GptlossError
from gptloss.serving import runs
from tests.helpers.driver import SHARED
from tests.helpers.pages import button, numbers, opened, query, texts
from views.data_set_loss import files as dataset_files
from views.shared.markdown import literal
from views.visit import pages

pytestmark = pytest.mark.filterwarnings("ignore")

PAGE = pages.DATA_SET_LOSS
SPLIT, CONVENTION = range(2)  # drawn before a run
RULER, ALONG, HISTOGRAM, CONTEXT = 0, 3, 4, 5  # after it


@pytest.fixture(autouse=True)
def _nothing_kept(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Runs of other tests would be results here; a click waits for its run, so that there are no ticks."""
    runs.stop_and_forget_all()
    monkeypatch.setattr("views.data_set_loss.numbers.SHORT", 60.0)
    yield
    runs.stop_and_forget_all()


def asked(app: AppTest) -> dict[str, Any]:
    """The link, without the rows of the other pages, which are other tokens to this model."""
    return {name: value for name, value in query(app).items() if name != "input"}


def charts(app: AppTest) -> list[dict[str, Any]]:
    assert not app.exception
    return [json.loads(chart.proto.spec) for chart in app.get("plotly_chart")]


def labels(app: AppTest) -> list[str]:
    return [each.label for each in app.button]


def ran(app: AppTest) -> AppTest:
    button(app, "Run").click().run()
    assert "Run" not in labels(app)
    assert "Stop" not in labels(app)
    return app


def library(text: str, split: float = 0.9, **how: Any) -> list[Tally]:
    """Training and validation by the library alone."""
    model, at = load_model("bigram"), int(split * len(text))
    made = []
    for part in (text[:at], text[at:]):
        tally = Tally(plan(how.get("convention", "book"), model.info, how.get("window", 256), how.get("stride")))
        for scored in scored_windows(model, [part], tally.plan):
            tally.add(scored)
        made.append(tally)
    return made


def test_it_opens_with_the_sample_and_no_numbers() -> None:
    app = opened(PAGE, model="bigram")
    assert numbers(app) == ["–", "–"]
    assert app.segmented_control(key="data").value == "island"
    assert len(charts(app)) == 2
    assert "Training: 19,023 tokens, 74 windows, 37 batches of 2." in texts(app)
    assert asked(app) == {"model": ["bigram"]}


def test_run_gives_the_librarys_numbers() -> None:
    app = ran(opened(PAGE, model="bigram"))
    made = [tally.snapshot() for tally in library(samples.island())]
    assert numbers(app) == [f"{result.loss:.4f}" for result in made]
    assert [metric.delta for metric in app.metric] == [
        f"± {result.loss_stderr:.4f} over {len(result.window_tokens)} windows" for result in made
    ]
    assert f"Perplexity {math.exp(made[0].loss):.4f}" in texts(app)
    assert len(charts(app)) == 6
    shown = charts(app)
    assert [trace["x"][0] for trace in shown[RULER]["data"]] == pytest.approx([result.loss for result in made])
    assert sum(len(trace["x"]) for trace in shown[ALONG]["data"]) == sum(len(r.window_tokens) for r in made)
    assert "share, by 0.25 nats" in shown[HISTOGRAM]["layout"]["yaxis"]["title"]["text"]
    assert shown[CONTEXT]["layout"]["title"]["text"] == "<b>Loss by context</b>"


@pytest.mark.skipif(not SHARED.exists(), reason="The Verdict is not here")
def test_the_books_counts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "texts").mkdir()
    (tmp_path / "texts" / samples.VERDICT).write_bytes(SHARED.read_bytes())
    monkeypatch.setattr("gptloss.corpus.samples.store.home", lambda: tmp_path)
    app = opened(PAGE, model="gpt2-untrained", data="verdict")
    assert "Training: 4,612 tokens, 18 windows, 9 batches of 2." in texts(app)
    assert "Validation: 534 tokens, 2 windows, 1 batch of 2." in texts(app)
    assert len([s for s in charts(app)[SPLIT]["layout"]["shapes"] if s["y0"] == -0.9]) == 20


def test_bits_change_every_unit() -> None:
    app = ran(opened(PAGE, model="bigram", units="bits"))
    made = [tally.snapshot() for tally in library(samples.island())]
    assert numbers(app) == [f"{result.loss / math.log(2):.4f}" for result in made]
    assert app.metric[0].label == "Training loss, bits per token"
    assert charts(app)[RULER]["layout"]["xaxis"]["title"]["text"] == "loss, bits per token"
    assert charts(app)[ALONG]["layout"]["yaxis"]["title"]["text"] == "bits per token"


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
    made = library(samples.island(), 0.8, convention="strided", window=128, stride=32)
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


def upload(app: AppTest, *files: tuple[str, bytes]) -> AppTest:
    return app.file_uploader[0].set_value([(name, raw, "text/plain") for name, raw in files]).run()


def test_files_are_added_and_each_is_cut_by_itself() -> None:
    app = opened(PAGE, model="bigram", data="island")
    app.segmented_control(key="data").set_value("files").run()
    assert numbers(app) == ["–", "–"]
    assert [each.disabled for each in app.button if each.label == "Run"] == [True]
    upload(app, ("a.txt", b"a tea for two. " * 200), ("b.md", "naïve café. ".encode() * 100))
    assert "a.txt · 3,000 characters\nb.md · 1,200 characters" in texts(app)
    upload(app, ("latin.txt", b"caf\xe9 au lait"), ("none.txt", b""), ("c.txt", b"\xef\xbb\xbfmore " * 100))
    assert "latin.txt is not UTF-8: byte 3 is 0xE9" in texts(app)
    assert "none.txt is empty" in texts(app)
    assert "c.txt" in texts(app)
    ran(app)
    assert asked(app) == {"model": ["bigram"], "data": ["files"]}
    frame = app.dataframe[0].value
    assert frame["tokens"].sum() == sum(256 * ((size - 1) // 256) for size in (2700, 300, 1260, 140, 630, 70))
    button(app, "Remove all").click().run()
    assert numbers(app) == ["–", "–"]


def test_files_beyond_the_limit_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("views.data_set_loss.text.LARGEST", 1000)
    app = opened(PAGE, model="bigram")
    app.segmented_control(key="data").set_value("files").run()
    upload(app, ("a.txt", b"x" * 900), ("b.txt", b"y" * 200))
    assert "With b.txt it would be 1,100 characters, and the page takes 1,000" in texts(app)
    assert "b.txt ·" not in texts(app)


def test_what_was_pasted_is_scored_and_stays() -> None:
    app = opened(PAGE, model="bigram")
    app.segmented_control(key="data").set_value("paste").run()
    app.text_area(key="data-paste").set_value("tea for two <b>and</b> cake. " * 100).run()
    ran(app)
    before = numbers(app)
    app.segmented_control(key="data").set_value("island").run()
    app.segmented_control(key="data").set_value("paste").run()
    assert app.text_area(key="data-paste").value.startswith("tea for two <b>")
    assert numbers(app) == before
    assert "tea" not in str(query(app))


@pytest.mark.parametrize("data", ["files", "paste"])
def test_a_link_to_somebody_elses_text_opens_with_the_sample(data: str) -> None:
    app = opened(PAGE, model="bigram", data=data, split="0.8")
    assert "The link is about a text that its maker had" in texts(app)
    assert app.segmented_control(key="data").value == "island"
    assert app.slider(key="split").value == 0.8


def test_too_short_a_part_is_said() -> None:
    app = opened(PAGE, model="bigram")
    app.segmented_control(key="data").set_value("paste").run()
    app.text_area(key="data-paste").set_value("tea for two. " * 30).run()
    ran(app)
    assert numbers(app)[1] == "–"
    assert "Validation: The text has 39 tokens, and book needs 257" in texts(app)
    assert len(charts(app)) == 6


@pytest.mark.parametrize("raised", [None, GptlossError("The Verdict cannot be fetched (no route); drop it in.")])
def test_the_verdict_is_fetched_on_request(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, raised: GptlossError | None
) -> None:
    here: list[str] = []

    def fetch(report: Any) -> str:
        report(10, 20)
        if raised:
            raise raised
        here.append("I had always thought Jack Gisburn rather a cheap genius. " * 40)
        return here[0]

    monkeypatch.setattr(samples, "verdict", lambda: here[0] if here else None)
    monkeypatch.setattr(samples, "fetch_verdict", fetch)
    app = opened(PAGE, model="bigram", data="verdict")
    assert not here
    assert "is not on this machine: 20 kB to fetch" in texts(app)
    button(app, "Fetch it").click().run()
    if raised:
        assert [error.value for error in app.error] == [literal(str(raised))]
        assert not here
    else:
        assert "Fetch it" not in labels(app)
        assert "windows" in texts(app)


def test_a_verdict_dropped_in_by_hand(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    kept: list[bytes] = []
    monkeypatch.setattr(samples, "verdict", lambda: kept[0].decode() if kept else None)

    def keep(raw: bytes, name: str) -> str:
        if raw == b"other":
            raise GptlossError(f"{name} is not the book's text.")
        kept.append(raw)
        return ""

    monkeypatch.setattr(samples, "keep_verdict", keep)
    app = opened(PAGE, model="bigram", data="verdict")
    app.file_uploader[0].set_value(("x.txt", b"other", "text/plain")).run()
    assert "x.txt is not the book's text." in texts(app)
    app.file_uploader[0].set_value(("x.txt", b"genius " * 300, "text/plain")).run()
    assert "Fetch it" not in labels(app)


def test_a_window_is_chosen_and_seen_in_surprise() -> None:
    app = ran(opened(PAGE, model="bigram", look="3"))
    text = samples.island()
    assert "Window 3, training: loss" in texts(app)
    assert text[513 : 513 + 256].strip() in texts(app)
    button(app, "Next").click().run()
    assert query(app)["look"] == ["4"]
    assert text[769 : 769 + 256].strip() in texts(app)
    hardest = next(label for label in labels(app) if label.startswith("Window "))
    button(app, hardest).click().run()
    chosen = int(query(app)["look"][0])
    losses = charts(app)[ALONG]["data"][0]["y"] + charts(app)[ALONG]["data"][1]["y"]
    assert losses[chosen - 1] == max(losses)
    button(app, "See it in “Surprise in a text”").click().run()
    assert not app.exception
    raw = text.encode()  # the model reads bytes
    assert app.text_area(key="own-text").value == raw[256 * (chosen - 1) : 256 * chosen + 1].decode()
    assert app.metric[0].delta == "over 256 tokens"
    assert float(app.metric[0].value) == pytest.approx(max(losses), abs=1e-4)


def test_the_ends_have_no_way_on() -> None:
    app = ran(opened(PAGE, model="bigram"))
    assert [button(app, name).disabled for name in ("Before", "Next")] == [True, False]
    button(app, "Next").click().run()
    assert query(app)["look"] == ["1"]
    last = ran(opened(PAGE, model="bigram", look="82", window="255"))
    assert [button(last, name).disabled for name in ("Before", "Next")] == [False, True]


def test_two_models_overlaid() -> None:
    app = opened(PAGE, model="bigram")
    app.selectbox(key="second").set_value("uniform").run()
    assert query(app)["second"] == ["uniform"]
    ran(app)
    assert len(charts(app)[RULER]["data"]) == 4
    assert charts(app)[RULER]["data"][2]["x"][0] == pytest.approx(math.log(256))
    assert len(charts(app)[ALONG]["data"]) == 4
    assert "dashed Uniform over bytes" in charts(app)[ALONG]["layout"]["title"]["subtitle"]["text"]
    app.selectbox(key="second").set_value("").run()
    assert len(charts(app)[RULER]["data"]) == 2


def test_the_second_models_numbers_are_never_shown_as_the_firsts() -> None:
    ran(opened(PAGE, model="uniform"))
    app = opened(PAGE, model="bigram", second="uniform")
    assert numbers(app) == ["–", "–"]
    assert len(charts(app)) == 2  # the cut and the convention
    assert "Run" in labels(app)


def test_another_visitors_run_can_be_joined(monkeypatch: pytest.MonkeyPatch) -> None:
    ran(opened(PAGE, model="bigram"))
    run = runs.all_runs()[0]
    monkeypatch.setattr(type(run), "running", True)
    run.visitors, run.state = {"another": 0.0}, "running"
    app = opened(PAGE, model="bigram")
    assert "Run" in labels(app)
    assert "Stop" not in labels(app)
    (progress,) = app.get("progress")
    assert "for another visitor: press Run to have it too" in progress.proto.text


def test_more_windows_than_a_page_can_draw_are_one_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("views.data_set_loss.jobs.MOST_WINDOWS", 100)
    app = opened(PAGE, model="bigram", window="16")
    assert "windows, and this page takes 100; choose a larger window" in app.error[0].value.replace("\\", "")
    button(app, "Run").click().run()
    assert "this page takes 100" in texts(app)
    assert not runs.all_runs()


def test_a_second_model_that_is_not_here_is_left_out() -> None:
    app = opened(PAGE, model="bigram", second="nobody")
    assert "There is no model called 'nobody' here" in texts(app)
    assert (
        opened(PAGE, model="bigram", second="bigram").selectbox(key="second").value == ""
    )  # it is the first already


def test_conventions_stand_side_by_side() -> None:
    app = ran(opened(PAGE, model="bigram"))
    app.segmented_control(key="convention").set_value("rolling").run()
    ran(app)
    frame = app.dataframe[0].value
    assert list(frame["convention"]) == ["book", "book", "rolling", "rolling"]
    assert list(frame["tokens"]) == [18_944, 2_048, 19_022, 2_113]
    rolling = library(samples.island(), convention="rolling")
    assert list(frame["loss, nats"])[2:] == pytest.approx([tally.loss for tally in rolling])
    assert frame["bytes"][2] == 19_022
    assert frame["bits per byte"][0] == pytest.approx(frame["loss, nats"][0] / math.log(2))


def test_the_pitfalls_have_these_windows_numbers() -> None:
    app = ran(opened(PAGE, model="bigram", convention="strided", stride="200"))
    app.session_state["data-pitfalls"] = True
    app.run()
    frame = app.dataframe[1].value
    result = library(samples.island(), convention="strided", stride=200)[0].snapshot()
    losses = [-a / b for a, b in zip(result.window_log_likelihoods, result.window_tokens, strict=True)]
    batches = [sum(losses[k : k + 2]) / len(losses[k : k + 2]) for k in range(0, len(losses), 2)]
    assert frame.iloc[0, 1] == f"{result.loss:.5f}"
    assert frame.iloc[0, 2] == f"{sum(batches) / len(batches):.5f}"
    assert frame.iloc[0, 2] != frame.iloc[0, 1]
    assert float(frame.iloc[0, 4]) == pytest.approx(sum(map(math.exp, losses)) / len(losses), abs=1e-4)
    assert float(frame.iloc[0, 4]) > float(frame.iloc[0, 3])


def done(text: str = "=1+1 tea 💙 " * 30, convention: Any = "rolling") -> runs.BackgroundRun:
    job = Job("bigram", texts_of((Document("a.txt", text),)), plan(convention, load_model("bigram").info, 64), 0.9)
    runs.start([job], "me")
    run = runs.find_run(job)
    assert run is not None
    run.wait(20)
    return run


def test_the_files_hold_every_token_and_window() -> None:
    run = done()
    tokens = pd.read_csv(io.StringIO(dataset_files.csv(dataset_files.tokens_frame(run))))
    assert len(tokens) == run.tokens
    raw = b"".join(bytes.fromhex(word) for word in tokens[tokens.part == "training"].bytes)
    text = run.job.texts.documents[0].text
    assert raw == text[: int(0.9 * len(text))].encode()[1:]
    assert all(word.startswith('"') for word in tokens.text)
    windows = pd.read_parquet(io.BytesIO(dataset_files.parquet(dataset_files.windows_frame(run))))
    assert windows.tokens.sum() == run.tokens
    weighted = (windows.loss * windows.tokens).sum()
    assert weighted == pytest.approx(-tokens.log_proba.sum())
    assert "".join(windows[windows.part == "training"].text) == text[1 : int(0.9 * len(text))]
    assert list(tokens.context[:64]) == list(range(1, 65))


def test_files_are_made_when_they_are_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dataset_files, "csv", lambda frame: pytest.fail("made too early"))
    app = ran(opened(PAGE, model="bigram"))
    names = [each.proto.label for each in app.get("download_button")]
    assert names == ["All windows as CSV", "All windows as Parquet", "All tokens as CSV", "All tokens as Parquet"]


def test_a_run_at_work_shows_how_far_it_is_and_can_be_stopped(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("views.data_set_loss.numbers.SHORT", 1.0)
    hurry = Event()

    def slow(*args: Any, **more: Any) -> Iterator[Any]:
        for scored in score_parts(*args, **more):
            hurry.wait(0.1)
            yield scored

    monkeypatch.setattr(runs, "score_parts", slow)
    app = opened(PAGE, model="bigram")
    button(app, "Run").click().run()
    assert "Stop" in labels(app)
    assert numbers(app)[0] != "–"
    (bar,) = app.get("progress")
    assert "of 20,992 tokens, " in bar.proto.text
    assert bar.proto.text.endswith(" s left")
    assert charts(app)[0]["layout"]["title"]["text"] == "<b>The running loss</b>"
    app.switch_page("app.py").run()
    app.query_params.clear()
    app.switch_page(PAGE.file).run()
    assert "Stop" in labels(app)
    app.slider(key="split").set_value(0.7).run()
    assert "A run with other settings is under way." in [caption.value for caption in app.caption]
    app.slider(key="split").set_value(0.9).run()
    button(app, "Stop").click().run()
    assert "Incomplete: the numbers are of those." in texts(app)
    assert "training, incomplete" in list(app.dataframe[0].value["part"])
    hurry.set()
    monkeypatch.setattr("views.data_set_loss.numbers.SHORT", 60.0)
    button(app, "Go on").click().run()
    assert numbers(app) == [f"{tally.loss:.4f}" for tally in library(samples.island())]


def test_a_busy_machine_is_a_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(runs, "MOST_RUNNING", 0)
    app = opened(PAGE, model="bigram")
    button(app, "Run").click().run()
    assert "0 runs are under way on this machine; try again when one has ended." in texts(app)


@pytest.mark.parametrize(
    "text", ["<script>alert(1)</script> " * 30, "**b** $x$ ![](http://x/y.png) " * 30, "💙" * 300]
)
def test_odd_texts(text: str) -> None:
    app = opened(PAGE, model="bigram", window="64", look="1")
    app.segmented_control(key="data").set_value("paste").run()
    app.text_area(key="data-paste").set_value(text).run()
    ran(app)
    button(app, "Next").click().run()
    assert not app.exception
    for chart in charts(app):
        assert "<script" not in json.dumps(chart)
