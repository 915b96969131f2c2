"""The charts of "Data set loss", on what they hold."""

import json
import math
from itertools import pairwise
from typing import Any

import pytest
import torch

from gptloss import load_model
from gptloss.charts.colours import TARGET
from gptloss.charts.conventions import BATCH, MOST_BOXES, READ, SHOWN, PartOfText, convention_chart, split_chart
from gptloss.charts.corpus import (
    COLOURS,
    MOST_STEPS,
    RunLosses,
    WindowLoss,
    along_chart,
    merged,
    ruler_chart,
    running_chart,
)
from gptloss.charts.spread import histogram_chart, position_chart
from gptloss.corpus.context import context_bands
from gptloss.corpus.conventions import Plan, Window, plan, windows
from gptloss.corpus.samples import island
from gptloss.corpus.scoring import ScoredWindow, scored_windows
from gptloss.corpus.tally import BIN, Tally

UNITS = [("nats", 1.0), ("bits", 1 / math.log(2))]
BOOK = Plan("book", 4, 4, False)


def told(losses: list[list[float]], how: Plan = BOOK) -> Tally:
    """A tally of windows of which these are the losses."""
    tally = Tally(how)
    for k, of_window in enumerate(losses):
        window = Window(4 * k, 4 * k + len(of_window), 4 * k + 1)
        log_probas = -torch.tensor(of_window)
        tally.add(ScoredWindow(window, torch.zeros(len(of_window), dtype=torch.long), log_probas, 1, len(of_window)))
    return tally


@pytest.fixture
def reading() -> RunLosses:
    """Three windows of training and two of validation."""
    training, validation = [[1.0] * 4, [2.0] * 4, [3.0] * 4], [[4.0] * 4, [5.0, 7.0, 5.0, 7.0]]
    found = [
        WindowLoss(k + 1, part, 10 * k, 10 * k + 10, 4, sum(losses) / 4)
        for k, (part, losses) in enumerate(
            [*(("training", x) for x in training), *(("validation", x) for x in validation)]
        )
    ]
    parts = {"training": told(training).snapshot(), "validation": told(validation).snapshot()}
    return RunLosses("A <b>model</b>", 256, parts, tuple(found))


@pytest.fixture(scope="module")
def bigram() -> RunLosses:
    """The sample under the bigram, as one part."""
    model = load_model("bigram")
    how = plan("book", model.info, 256)
    tally, found = Tally(how), []
    for k, scored in enumerate(scored_windows(model, [island()], how)):
        tally.add(scored)
        found.append(WindowLoss(k + 1, "training", 256 * k, 256 * k + 256, 256, -scored.log_probas.mean().item()))
    return RunLosses("Byte bigram", 256, {"training": tally.snapshot()}, tuple(found))


@pytest.mark.parametrize(("units", "factor"), UNITS)
def test_the_ruler_has_both_losses_and_the_blind_guess(reading: RunLosses, units: Any, factor: float) -> None:
    chart = ruler_chart([reading], units)
    training, validation = chart.data
    assert (training.x[0], validation.x[0]) == pytest.approx((2 * factor, 5 * factor))
    error = reading.parts["training"].loss_stderr
    assert error is not None
    assert training.error_x.array[0] == pytest.approx(error * factor)
    assert (training.marker.color, training.marker.symbol) == (COLOURS["training"], "circle")
    assert validation.marker.symbol == "diamond"
    assert chart.figure.layout.xaxis.range[0] == 0
    assert chart.figure.layout.xaxis.range[1] > factor * math.log(256)
    assert chart.figure.layout.xaxis.title.text == f"loss, {units} per token"
    guess = factor * math.log(256)
    assert [shape.x0 for shape in chart.figure.layout.shapes if shape.line.dash == "dash"] == pytest.approx([guess])
    said = [note.text for note in chart.figure.layout.annotations]
    assert said[0].startswith(f"<b>{2 * factor:.4f}</b> ± ")
    assert said[-1] == f"blind guess, {'ln' if units == 'nats' else 'log<sub>2</sub>'} 256 = {guess:.4f}"


def test_the_ruler_reaches_a_loss_beyond_the_guess_and_names_two_models(reading: RunLosses) -> None:
    other = RunLosses("Other", 4, {"training": reading.parts["validation"]}, reading.windows)
    chart = ruler_chart([reading, other], "nats")
    assert [shape.x0 for shape in chart.figure.layout.shapes if shape.line.dash == "dash"] == pytest.approx(
        [math.log(4), math.log(256)]
    )
    assert list(chart.figure.layout.yaxis.ticktext) == [
        "A &lt;b&gt;model&lt;/b&gt;<br>training",
        "A &lt;b&gt;model&lt;/b&gt;<br>validation",
        "Other<br>training",
    ]
    alone = ruler_chart([other], "nats")
    assert alone.figure.layout.xaxis.range[1] > 5 > math.log(4)


def test_one_window_has_no_error_bar() -> None:
    one = RunLosses("A", 256, {"training": told([[1.0] * 4]).snapshot()}, ())
    chart = ruler_chart([one], "nats")
    assert chart.data[0].error_x.array[0] == 0
    assert chart.figure.layout.annotations[0].text == "<b>1.0000</b>"


@pytest.mark.parametrize(("units", "factor"), UNITS)
def test_the_running_loss_ends_at_the_loss(reading: RunLosses, units: Any, factor: float) -> None:
    training, validation = running_chart([reading], units).data
    assert list(training.x) == [4, 8, 12]
    assert list(training.y) == pytest.approx([factor, 1.5 * factor, 2 * factor])
    assert validation.y[-1] == pytest.approx(reading.parts["validation"].loss * factor)
    assert (
        running_chart([reading], units).figure.layout.annotations[1].text == f"<b>validation<br>{5 * factor:.4f}</b>"
    )


@pytest.mark.parametrize(("units", "factor"), UNITS)
def test_each_window_stands_in_its_place(reading: RunLosses, units: Any, factor: float) -> None:
    chart = along_chart([reading], 2, units)
    training, validation = chart.data
    assert list(training.x) == [5, 15, 25]
    assert list(validation.y) == pytest.approx([4 * factor, 6 * factor])
    assert [point[0] for point in validation.customdata] == [4, 5]
    means = [shape.y0 for shape in chart.figure.layout.shapes if shape.type == "line"]
    assert means == pytest.approx([2 * factor, 5 * factor])
    (look,) = (shape for shape in chart.figure.layout.shapes if shape.type == "rect")
    assert (look.x0, look.x1) == (10, 20)
    assert chart.figure.layout.yaxis.title.text == f"{units} per token"


def test_a_choice_changes_nothing_but_the_mark(reading: RunLosses) -> None:
    one, other = along_chart([reading], 1, "nats"), along_chart([reading], 5, "nats")
    assert (
        one.figure.layout.datarevision
        == other.figure.layout.datarevision
        != along_chart([reading], 1, "bits").figure.layout.datarevision
    )
    assert json.loads(one.to_json())["data"] == json.loads(other.to_json())["data"]
    assert one.figure.layout.shapes != other.figure.layout.shapes


def test_many_windows_share_steps_and_keep_their_mean(reading: RunLosses) -> None:
    many = tuple(WindowLoss(k + 1, "training", k, k + 1, 2, float(k % 7)) for k in range(3 * MOST_STEPS))
    chart = along_chart([RunLosses("A", 9, {"training": reading.parts["training"]}, many)], None, "nats")
    assert len(chart.data[0].x) == MOST_STEPS
    assert "each step is 3 windows" in chart.figure.layout.title.subtitle.text
    three = merged(many[:4], 3)
    assert [(step.number, step.begins, step.ends, step.tokens) for step in three] == [(1, 0, 3, 6), (4, 3, 4, 2)]
    assert three[0].loss == pytest.approx(1)


def test_the_second_model_is_dashed_and_named(reading: RunLosses, bigram: RunLosses) -> None:
    for chart in (along_chart([reading, bigram], None, "nats"), histogram_chart([reading, bigram], "nats")):
        assert [trace.line.dash for trace in chart.data] == ["solid", "solid", "dash"]
        assert "dashed Byte bigram" in chart.figure.layout.title.subtitle.text
        assert "<b>model" not in chart.figure.layout.title.subtitle.text
    assert along_chart([reading, bigram], None, "nats").data[2].marker.symbol == "circle-open"


@pytest.mark.parametrize(("units", "factor"), UNITS)
def test_the_histogram_holds_every_token(bigram: RunLosses, units: Any, factor: float) -> None:
    (bars,) = histogram_chart([bigram], units).data
    assert sum(bars.y) == pytest.approx(1)
    assert bars.x[1] == pytest.approx(BIN * factor)
    assert sum(count for count, _ in bars.customdata) == bigram.parts["training"].tokens_scored
    middle = sum(x * y for x, y in zip(bars.x, bars.y, strict=True)) + BIN * factor / 2
    assert middle == pytest.approx(bigram.parts["training"].loss * factor, abs=BIN * factor / 2)


def test_context_is_cut_in_doubling_stretches(bigram: RunLosses) -> None:
    result = bigram.parts["training"]
    found = context_bands(result)
    assert [(stretch.first, stretch.last) for stretch in found] == [
        (1, 1), (2, 3), (4, 7), (8, 15), (16, 31), (32, 63), (64, 127), (128, 256),
    ]  # fmt: skip
    assert sum(stretch.tokens for stretch in found) == result.tokens_scored
    assert sum(stretch.tokens * stretch.loss for stretch in found) == pytest.approx(-result.log_likelihood)
    chart = position_chart([bigram], "bits")
    assert list(chart.data[0].y) == pytest.approx([stretch.loss / math.log(2) for stretch in found])
    assert list(chart.figure.layout.xaxis.ticktext) == ["1", "2", "4", "8", "16", "32", "64", "128"]
    assert chart.figure.layout.xaxis.title.text == "tokens before it in its window"


@pytest.mark.parametrize("window", [2, 3, 5, 6, 7, 100, 1000])
def test_stretches_of_any_window_hold_every_target(window: int) -> None:
    how = Plan("book", window, window, False)
    tally = Tally(how)
    ids = torch.zeros(window, dtype=torch.long)
    tally.add(ScoredWindow(Window(0, window, 1), ids, -torch.arange(window).float(), 1, window))
    found = context_bands(tally.snapshot())
    assert [found[0].first, found[-1].last] == [1, window]
    assert sum(stretch.tokens for stretch in found) == window
    assert all(a.last + 1 == b.first for a, b in pairwise(found))


def test_the_cut_and_the_windows_are_drawn_to_scale() -> None:
    parts = [
        PartOfText("training", 0, 90, 30, [(0, 10), (10, 20), (20, 30)]),
        PartOfText("validation", 90, 100, 4, [(90, 95)]),
    ]
    chart = split_chart(parts)
    bands = [shape for shape in chart.figure.layout.shapes if shape.y0 == 0.1]
    boxes = [shape for shape in chart.figure.layout.shapes if shape.y0 == -0.9]
    assert [(band.x0, band.x1, band.fillcolor) for band in bands] == [
        (0, 90, COLOURS["training"]),
        (90, 100, COLOURS["validation"]),
    ]
    assert [(box.x0, box.x1) for box in boxes] == [(0, 10), (10, 20), (20, 30), (90, 95)]
    assert [box.opacity for box in boxes] == [0.75, 0.75, 0.4, 0.75]  # batches of two
    assert list(chart.data[0].customdata[0]) == ["training", 90, 30, 3]
    assert chart.figure.layout.xaxis.title.text == "character of the text"


def test_many_windows_share_boxes() -> None:
    spans = [(k, k + 1) for k in range(10 * MOST_BOXES)]
    chart = split_chart([PartOfText("training", 0, len(spans), len(spans), spans)])
    boxes = [shape for shape in chart.figure.layout.shapes if shape.y0 == -0.9]
    assert len(boxes) <= MOST_BOXES
    assert (boxes[0].x0, boxes[-1].x1) == (0, len(spans))
    assert BATCH == 2


@pytest.mark.parametrize(
    "how", [Plan("book", 8, 8, False), Plan("rolling", 8, 8, True), Plan("strided", 8, 3, False)]
)
def test_the_first_windows_are_those_that_are_scored(how: Plan) -> None:
    chart = convention_chart(how, 30)
    expected = list(windows(how, 30))[:SHOWN]
    assert len(chart.data) == len(expected)
    for trace, window in zip(chart.data, expected, strict=True):
        assert list(trace.base) == [window.start, window.first]
        assert list(trace.x) == [window.first - window.start, window.scored]
        assert list(trace.marker.color) == [READ, TARGET]
    assert [note.text for note in chart.figure.layout.annotations] == ["start token"] * how.bos
    assert chart.figure.layout.xaxis.title.text == "token"
    assert chart.figure.layout.barmode == "overlay"  # else the bars of a window stand beside its name's line


def test_a_text_shorter_than_a_window_has_an_empty_drawing() -> None:
    chart = convention_chart(BOOK, 3)
    assert len(chart.data) == 0
    assert chart.figure.layout.yaxis.ticktext == ()
