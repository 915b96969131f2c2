"""The page "Data set loss", run without a browser."""

import math
from collections.abc import Iterator
from threading import Event
from typing import Any

import pytest

from gptloss.corpus import samples
from gptloss.corpus.run import score_parts
from gptloss.serving import runs
from tests.helpers.data_set_loss import ALONG, CONTEXT, HISTOGRAM, PAGE, RULER, asked, charts, labels, library, ran
from tests.helpers.pages import button, numbers, opened, query, texts

pytestmark = pytest.mark.filterwarnings("ignore")


def test_it_opens_with_the_books_text_and_the_recorded_losses_of_both_models() -> None:
    app = opened(PAGE)
    assert numbers(app) == ["10.9876", "10.9811"]
    assert app.segmented_control(key="data").value == "verdict"
    assert "These losses were recorded; Run computes them here." in texts(app)
    assert "Nothing is trained here: before training both losses agree." in texts(app)
    assert "Training: 4,612 tokens = 4,608 scored + 4 dropped; 18 windows, 9 batches of 2." in texts(app)
    assert "calc_loss_loader, a mean of batch means, gives 10.9876, the same." in texts(app)
    losses = [trace["x"][0] for trace in charts(app)[RULER]["data"]]
    assert losses == pytest.approx([10.98758, 10.98111, 3.86453, 3.6169], abs=5e-5)
    assert query(app) == {}


def test_a_last_batch_that_is_smaller_moves_the_books_mean() -> None:
    app = opened(PAGE, model="smollm2-135m", data="island")
    said = "gives 3.7704: the last batch has 1 of 2 windows, and counts as much as each other."
    assert said in texts(app) or "is not on this machine" in texts(app)


def test_a_model_of_which_nothing_was_recorded_has_no_numbers() -> None:
    app = opened(PAGE, model="bigram")
    assert numbers(app) == ["–", "–"]
    assert len(charts(app)) == 2
    assert asked(app) == {"model": ["bigram"]}


def test_run_gives_the_librarys_numbers() -> None:
    app = ran(opened(PAGE, model="bigram"))
    made = [tally.snapshot() for tally in library(samples.verdict())]
    assert numbers(app) == [f"{result.loss:.4f}" for result in made]
    assert [metric.delta for metric in app.metric] == [
        f"± {result.loss_stderr:.4f} over {len(result.window_tokens)} windows" for result in made
    ]
    assert f"Training: perplexity {math.exp(made[0].loss):.4f}; the book’s calc_loss_loader" in texts(app)
    assert len(charts(app)) == 6
    shown = charts(app)
    assert [trace["x"][0] for trace in shown[RULER]["data"]] == pytest.approx([result.loss for result in made])
    assert sum(len(trace["x"]) for trace in shown[ALONG]["data"]) == sum(len(r.window_tokens) for r in made)
    assert "share, by 0.25 nats" in shown[HISTOGRAM]["layout"]["yaxis"]["title"]["text"]
    assert shown[CONTEXT]["layout"]["title"]["text"] == "<b>Loss by context</b>"


def test_bits_change_every_unit() -> None:
    app = ran(opened(PAGE, model="bigram", units="bits"))
    made = [tally.snapshot() for tally in library(samples.verdict())]
    assert numbers(app) == [f"{result.loss / math.log(2):.4f}" for result in made]
    assert app.metric[0].label == "Training loss, bits per token"
    assert charts(app)[RULER]["layout"]["xaxis"]["title"]["text"] == "loss, bits per token"
    assert charts(app)[ALONG]["layout"]["yaxis"]["title"]["text"] == "bits per token"


def test_too_short_a_part_is_said() -> None:
    app = opened(PAGE, model="bigram")
    app.segmented_control(key="data").set_value("paste").run()
    app.text_area(key="data-paste").set_value("tea for two. " * 30).run()
    ran(app)
    assert numbers(app)[1] == "–"
    assert "Validation: The text has 39 tokens, and book needs 257" in texts(app)
    assert len(charts(app)) == 6


def test_a_window_is_chosen_and_seen_in_surprise() -> None:
    app = ran(opened(PAGE, model="bigram", look="3"))
    text = samples.verdict()
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
    last = ran(opened(PAGE, model="bigram", look="80", window="255"))
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
    assert list(frame["tokens"]) == [18_176, 1_792, 18_430, 2_047]
    rolling = library(samples.verdict(), convention="rolling")
    assert list(frame["loss, nats"])[2:] == pytest.approx([tally.loss for tally in rolling])
    assert frame["bytes"][2] == 18_430
    assert frame["bits per byte"][0] == pytest.approx(frame["loss, nats"][0] / math.log(2))


def test_the_pitfalls_have_these_windows_numbers() -> None:
    app = ran(opened(PAGE, model="bigram", convention="strided", stride="200"))
    app.session_state["data-pitfalls"] = True
    app.run()
    frame = app.dataframe[1].value
    result = library(samples.verdict(), convention="strided", stride=200)[0].snapshot()
    losses = [-a / b for a, b in zip(result.window_log_likelihoods, result.window_tokens, strict=True)]
    batches = [sum(losses[k : k + 2]) / len(losses[k : k + 2]) for k in range(0, len(losses), 2)]
    assert frame.iloc[0, 1] == f"{result.loss:.5f}"
    assert frame.iloc[0, 2] == f"{sum(batches) / len(batches):.5f}"
    assert frame.iloc[0, 2] != frame.iloc[0, 1]
    assert float(frame.iloc[0, 4]) == pytest.approx(sum(map(math.exp, losses)) / len(losses), abs=1e-4)
    assert float(frame.iloc[0, 4]) > float(frame.iloc[0, 3])


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
    while numbers(app)[0] == "–":  # on a busy machine the first window takes longer
        app.run()
    (bar,) = app.get("progress")
    assert "of 19,968 tokens, " in bar.proto.text
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
    assert numbers(app) == [f"{tally.loss:.4f}" for tally in library(samples.verdict())]


def test_a_busy_machine_is_a_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(runs, "MOST_RUNNING", 0)
    app = opened(PAGE, model="bigram")
    button(app, "Run").click().run()
    assert "0 other visitors compute on this machine; try again in 2 minutes, when one of them makes way." in texts(
        app
    )
