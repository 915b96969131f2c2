"""The charts of "Temperature and sampling", against torch in float64."""

import json
import math
from dataclasses import replace

import numpy as np
import pytest
import torch

from gptloss import ScoredBatch, score
from gptloss.analysis.temperature import TemperatureCurve, temperature_curve
from gptloss.charts.draws import DRAWN, draws_chart
from gptloss.charts.sampling import AFTER, BARS, BEFORE, CURVE_POINTS, bars_chart, ranks_chart, shown_ids
from gptloss.charts.temperature import best_sentence, temperature_chart
from gptloss.models import LanguageModel, load_model
from gptloss.prediction.sampled import SampledDistribution
from gptloss.prediction.sampling import Sampler, draw
from views.temperature.controls import BOOK_WORDS
from views.temperature.distribution import BOOK_LOGITS

SAMPLERS = (
    Sampler(),
    Sampler(0.0),
    Sampler(0.01),
    Sampler(0.5, 50),
    Sampler(5.0),
    Sampler(2.0, 0, 0.9),
    Sampler(0.7, 20, 0.5),
)


def book(sampler: Sampler) -> SampledDistribution:
    return SampledDistribution(torch.tensor(BOOK_LOGITS), BOOK_WORDS.__getitem__, sampler)


def lecture_choice(lecture: ScoredBatch, sampler: Sampler) -> SampledDistribution:
    token = lecture.model.tokenizer.token
    return SampledDistribution(lecture.logits_at(1, 2), lambda id: token(id).label, sampler, lecture.targets[1].id)


def by_hand(logits: torch.Tensor, sampler: Sampler) -> torch.Tensor:
    """Temperature, top-k, top-p with nothing but torch, in float64."""
    logits = logits.double()
    if sampler.temperature == 0:
        return torch.nn.functional.one_hot(logits.argmax(), len(logits)).double()
    probas = torch.softmax(logits / sampler.temperature, -1)
    if sampler.top_k:
        probas[logits < logits.sort(descending=True).values[sampler.top_k - 1]] = 0
        probas /= probas.sum()
    if sampler.top_p < 1:
        order = probas.argsort(descending=True)
        held = 0.0
        for place, id in enumerate(order.tolist()):
            if held >= sampler.top_p:
                probas[order[place:]] = 0
                break
            held += probas[id].item()
        probas /= probas.sum()
    return probas


@pytest.mark.parametrize("sampler", SAMPLERS, ids=str)
def test_what_is_shown_is_what_is_drawn_from(lecture: ScoredBatch, sampler: Sampler) -> None:
    choice = lecture_choice(lecture, sampler)
    shown = choice.after.exp()
    assert shown.sum().item() == pytest.approx(1, abs=1e-9)
    assert torch.allclose(shown, by_hand(choice.logits, sampler), atol=1e-9)
    assert torch.allclose(shown, sampler.probas(choice.logits), atol=1e-12)
    assert choice.kept == int((by_hand(choice.logits, sampler) > 0).sum()) or sampler.temperature == 0.01


@pytest.mark.parametrize("sampler", SAMPLERS, ids=str)
def test_bars_are_the_probabilities(lecture: ScoredBatch, sampler: Sampler) -> None:
    choice = lecture_choice(lecture, sampler)
    before, after, cut = bars_chart(choice).data
    expected = by_hand(choice.logits, sampler)[list(shown_ids(choice))]
    assert (before.marker.color, after.marker.color) == (BEFORE, AFTER)
    assert before.x == pytest.approx(choice.logits.double().softmax(-1)[list(shown_ids(choice))].numpy())
    assert after.x == pytest.approx(expected.numpy(), abs=1e-9)
    gone = [text == "cut off" for text in cut.text]
    assert gone == [value == 0 for value in after.x]
    assert cut.marker.pattern.shape == "/"
    if not sampler.greedy:  # a hatched bar is as long as the token was likely before it was cut off
        heated = (choice.logits.double() / sampler.temperature).softmax(-1)[list(shown_ids(choice))].numpy()
        assert cut.x == pytest.approx(np.where(gone, heated, 0))


def test_the_book_prints_these_figures() -> None:
    _, after, _ = bars_chart(book(Sampler(top_k=3))).data
    figures = dict(zip(BOOK_WORDS, [""] * 9, strict=True)) | {
        BOOK_WORDS[id]: text for id, text in zip(shown_ids(book(Sampler())), after.text, strict=True)
    }
    assert [figures[word] for word in ("closer", "forward", "toward")] == ["0.0615", "0.5775", "0.3610"]
    assert sum(text == "" for text in after.text) == 6
    before, _, _ = bars_chart(book(Sampler())).data
    assert before.text[:3] == ("0.5721", "0.3576", "0.0609")  # the book's, temperature 1
    _, sharp, _ = bars_chart(book(Sampler(0.1))).data
    assert sharp.text[:2] == ("0.9910", "0.0090")
    _, flat, _ = bars_chart(book(Sampler(5.0))).data
    assert flat.text[:3] == ("0.2421", "0.2203", "0.1546")


@pytest.mark.parametrize(
    ("sampler", "says"),
    [
        (Sampler(), "all 9 tokens, temperature 1"),
        (Sampler(0.5), "all 9 tokens, temperature 0.5"),
        (Sampler(0.0), "greedy, always the first choice"),
        (Sampler(2.0, 3), "renormalised over 3 of 9 tokens"),
        (Sampler(1.0, 0, 0.5), "renormalised over 1 of 9 tokens"),
    ],
)
def test_the_subtitle_says_what_was_done(sampler: Sampler, says: str) -> None:
    for chart in (bars_chart(book(sampler)), ranks_chart(book(sampler))):
        assert chart.figure.layout.title.subtitle.text.endswith(f"after: {says}")


def test_the_token_that_really_came_is_marked_behind_a_gap(lecture: ScoredBatch) -> None:
    chart = bars_chart(lecture_choice(lecture, Sampler()), "p<sub>12</sub>")
    assert len(chart.data[0].x) == BARS + 1
    assert chart.figure.layout.title.text == "<b>p<sub>12</sub></b>"
    labels, places = chart.figure.layout.yaxis.ticktext, chart.figure.layout.yaxis.tickvals
    assert [label.startswith("<b>▸ ") for label in labels] == [False] * BARS + [True]
    assert "moves" in labels[-1]
    assert places[-1] - places[-2] > 1.5
    assert chart.figure.layout.xaxis.title.text == "probability"


def test_a_target_among_the_likeliest_has_one_bar(gpt2: LanguageModel) -> None:
    batch = score(gpt2, [[16833, 3626]], [[16657, 339]])  # the model's own first choices
    chart = bars_chart(lecture_choice(batch, Sampler()))
    assert len(chart.data[0].x) == BARS
    assert [label.startswith("<b>▸ ") for label in chart.figure.layout.yaxis.ticktext] == [True] + [False] * (
        BARS - 1
    )


def test_curves_by_rank_and_the_cut(lecture: ScoredBatch) -> None:
    choice = lecture_choice(lecture, Sampler(0.5, 50))
    chart = ranks_chart(choice)
    before, heated, after = chart.data
    assert len(before.x) <= CURVE_POINTS
    assert (before.x[0], before.x[-1], after.x[0], after.x[-1]) == (1, 50257, 1, 50)
    assert before.y[0] == pytest.approx(choice.logits.double().softmax(-1).max().item())
    expected = by_hand(choice.logits, choice.sampler).sort(descending=True).values
    assert after.y == pytest.approx(expected[np.array(after.x) - 1].numpy())
    unkept = (choice.logits.double() / 0.5).softmax(-1).sort(descending=True).values
    assert heated.y == pytest.approx(unkept[np.array(heated.x) - 1].numpy())
    (line,) = chart.figure.layout.shapes
    assert 50 < line.x0 < 51
    assert chart.figure.layout.annotations[0].text == "50,207 cut off"
    assert (chart.figure.layout.xaxis.type, chart.figure.layout.yaxis.type) == ("log", "log")
    assert chart.figure.layout.xaxis.title.text == "rank, most to least likely"
    assert len(chart.to_json()) < 9_000


def test_greedy_is_one_point_and_no_cut_is_no_line() -> None:
    *_, after = ranks_chart(book(Sampler(0.0))).data
    assert (list(after.x), list(after.y), after.mode) == ([1], [1.0], "markers")
    chart = ranks_chart(book(Sampler(2.0)))
    assert len(chart.data) == 2
    assert not chart.figure.layout.shapes


def test_equal_probabilities_have_ticks_with_their_values() -> None:
    axis = ranks_chart(SampledDistribution(torch.zeros(256), str, Sampler())).figure.layout.yaxis
    assert list(axis.tickvals) == [0.003, 0.005, 0.007]
    assert list(axis.ticktext) == ["0.003", "0.005", "0.007"]


def counts(choice: SampledDistribution, n: int, seed: int = 123) -> torch.Tensor:
    return torch.bincount(draw(choice.sampler.probas(choice.logits), n, seed), minlength=len(choice.logits))


def test_draws_are_counted_against_their_probability() -> None:
    choice = book(Sampler(5.0))
    drawn = counts(choice, 1_000)
    chart = draws_chart(choice, drawn)
    bars, points, figures = chart.data
    p = by_hand(choice.logits, choice.sampler)[list(shown_ids(choice))].numpy()
    assert bars.x == pytest.approx(drawn[list(shown_ids(choice))].numpy() / 1000)
    assert sum(bars.x) == pytest.approx(1)
    assert points.x == pytest.approx(p)
    assert points.error_x.array == pytest.approx(2 * np.sqrt(p * (1 - p) / 1000))
    inside = sum(abs(bars.x - p) <= points.error_x.array)
    assert f"{inside} of 9 bars end within" in chart.figure.layout.title.subtitle.text
    assert [text.strip() for text in figures.text] == [
        str(count) for count in drawn[list(shown_ids(choice))].tolist()
    ]
    assert bars.marker.color == DRAWN
    assert chart.figure.layout.title.text == "<b>1,000 draws</b>"
    assert chart.figure.layout.xaxis.title.text == "share of the draws"


def test_all_other_tokens_are_one_bar_that_may_run_off(lecture: ScoredBatch) -> None:
    choice = lecture_choice(lecture, Sampler())
    drawn = counts(choice, 1_000)
    chart = draws_chart(choice, drawn)
    bars, points, off, figures = chart.data
    assert len(bars.x) == BARS + 1
    assert chart.figure.layout.yaxis.ticktext[-1] == "all others"
    assert sum(bars.x) == pytest.approx(1)
    assert sum(points.x) == pytest.approx(1)
    assert chart.figure.layout.xaxis.range[1] < 0.01 < bars.x[-1]
    assert [text.strip() for text in off.text] == [f"<b>{round(bars.x[-1] * 1000)} →</b>"]
    assert len(figures.text) == BARS


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_more_draws_come_nearer(seed: int) -> None:
    choice = book(Sampler(5.0))
    away = []
    for n in (100, 10_000):
        bars, points, _ = draws_chart(choice, counts(choice, n, seed)).data
        away.append(float(np.abs(np.array(bars.x) - np.array(points.x)).max()))
    assert away[1] < away[0]


@pytest.fixture(scope="module")
def curve() -> TemperatureCurve:
    return temperature_curve(score(load_model("bigram"), "The clock on the wall was slow."))


@pytest.mark.parametrize(("units", "factor"), [("nats", 1.0), ("bits", 1 / math.log(2))])
def test_the_loss_at_every_temperature(curve: TemperatureCurve, units: str, factor: float) -> None:
    chart = temperature_chart(curve, 2.0, units)  # type: ignore[arg-type]
    line, marks, now = chart.data
    assert line.x == pytest.approx(curve.temperatures)
    assert line.y == pytest.approx([loss * factor for loss in curve.losses])
    assert list(marks.x) == [1.0, curve.best]
    assert marks.y == pytest.approx([curve.loss * factor, curve.best_loss * factor])
    assert (now.x[0], now.y[0]) == (2.0, pytest.approx(curve.at(2.0) * factor))
    blind, dotted = chart.figure.layout.shapes
    assert blind.y0 == pytest.approx(math.log(256) * factor)
    assert (dotted.x0, dotted.x1) == (2.0, 2.0)
    assert chart.figure.layout.xaxis.type == "log"
    assert chart.figure.layout.yaxis.title.text == f"loss, {units} per token"
    assert (
        f"blind guess, {'ln' if units == 'nats' else 'log<sub>2</sub>'} V" in chart.figure.layout.annotations[0].text
    )
    low, high = chart.figure.layout.yaxis.range
    assert low < min(*marks.y, blind.y0) < max(*marks.y, blind.y0) < high
    said = chart.figure.layout.title.subtitle.text
    assert f"best temperature {curve.best:.2f}: {curve.best_loss * factor:.4f} {units}" in said
    assert f"temperature 1: {curve.loss * factor:.4f}" in said
    assert f"now, 2: {curve.at(2.0) * factor:.4f}" in said


@pytest.mark.parametrize("temperature", [0.0, 0.05])
def test_a_temperature_off_the_axis_has_no_dot(curve: TemperatureCurve, temperature: float) -> None:
    chart = temperature_chart(curve, temperature, "nats")
    assert len(chart.data) == 2
    assert "now" not in chart.figure.layout.title.subtitle.text


@pytest.mark.parametrize(
    ("best", "loss", "says"),
    [
        (math.inf, math.log(256), "best temperature: infinite. No temperature beats a blind guess"),
        (0.0, 0.0, "best temperature: 0. Every target is the first choice, the loss falls to 0"),
        (11.8549, 5.5, "best temperature 11.85: 5.5000 nats per token"),
        (0.0312, 1.25, "best temperature 0.031: 1.2500 nats per token"),
    ],
)
def test_the_best_temperature_in_words(curve: TemperatureCurve, best: float, loss: float, says: str) -> None:
    changed = replace(curve, best=best, best_loss=loss)
    assert best_sentence(changed, "nats") == says
    chart = temperature_chart(changed, 1.0, "nats")
    assert says in chart.figure.layout.title.subtitle.text
    assert list(chart.data[1].x) == [1.0]  # the minimum is not on the axis
    assert "inf" not in json.dumps(chart.to_plotly_json(), default=str).replace("infinite", "")


def test_equal_logits_are_said_to_be_equal() -> None:
    flat = temperature_curve(score(load_model("uniform"), "tea"))
    assert best_sentence(flat, "nats") == "the same at every temperature: all tokens are equally likely"
    assert temperature_chart(flat, 1.0, "nats").figure.layout.yaxis.range[0] < math.log(256)
