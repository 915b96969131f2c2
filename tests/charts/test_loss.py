import re

import numpy as np
import plotly.graph_objects as go
import pytest

from gptloss import ScoredBatch, score
from gptloss.charts.colours import TARGET
from gptloss.charts.loss import expected_chart, losses_chart
from gptloss.charts.probabilities import Mark
from gptloss.charts.ranks import CURVE_POINTS, rank_chart
from gptloss.charts.theme import plain
from gptloss.models import LanguageModel
from gptloss.prediction.distribution import Distribution, log_spaced_ranks


def distribution_chart(batch: ScoredBatch, i: int, j: int) -> go.Figure:
    """All probabilities at (i, j), as the main page draws them."""
    target = batch.targets[batch.index(i, j)]
    return rank_chart(Distribution(batch.logits_at(i, j)), [Mark(target, "", TARGET)])


def test_expected_shows_the_target_below_a_gap(lecture: ScoredBatch) -> None:
    chart = expected_chart(lecture, 1, 2)
    (bars,) = chart.data
    assert len(bars.x) == 9
    assert bars.x[-1] == pytest.approx(3.1061e-05, rel=1e-4)
    assert bars.marker.color[-1] == TARGET
    assert "rank 7,247" in bars.text[-1]
    assert chart.figure.layout.annotations[0].text == "… 7,238 more"
    shown, left_out = len(bars.x) - 1, int(re.sub(r"\D", "", chart.figure.layout.annotations[0].text))
    assert shown + left_out + 1 == lecture.ranks[lecture.index(1, 2)]
    assert chart.figure.layout.xaxis.title.text == "probability"
    assert "every effort" in chart.figure.layout.title.text


def test_a_target_among_the_top_is_marked_in_its_place(gpt2: LanguageModel) -> None:
    batch = score(gpt2, [[16833, 3626]], [[16657, 339]])  # the model's own first choices
    chart = expected_chart(batch, 1, 1)
    (bars,) = chart.data
    assert len(bars.x) == 8
    assert bars.marker.color[0] == TARGET
    assert list(bars.marker.color).count(TARGET) == 1
    assert not chart.figure.layout.annotations


def test_the_distribution_is_whole_ordered_and_small(lecture: ScoredBatch) -> None:
    chart = distribution_chart(lecture, 1, 2)
    curve, target = chart.data
    assert len(curve.x) <= CURVE_POINTS
    assert (curve.x[0], curve.x[-1]) == (1, 50257)
    assert (np.diff(curve.y) <= 0).all()
    assert target.x[0] == 7247
    assert target.y[0] == pytest.approx(3.1061e-05, rel=1e-4)
    assert (chart.figure.layout.xaxis.type, chart.figure.layout.yaxis.type) == ("log", "log")
    assert chart.figure.layout.xaxis.title.text == "rank, most to least likely"
    assert chart.figure.layout.title.text == "<b>All 50,257 probabilities</b>"
    assert chart.figure.layout.shapes[0].y0 == pytest.approx(1 / 50257)
    assert "1.0000" in chart.figure.layout.title.subtitle.text
    assert len(chart.to_json()) < 30_000


def test_the_curve_passes_through_the_targets(lecture: ScoredBatch) -> None:
    here = Distribution(lecture.logits_at(1, 2))
    ranks = log_spaced_ranks(50257, points=5000)
    at = np.searchsorted(ranks, 7247)
    assert here.ordered[ranks[at] - 1] == pytest.approx(-10.3796, abs=0.01)
    assert np.exp(here.ordered).sum() == pytest.approx(1, abs=1e-5)


@pytest.mark.parametrize(("units", "factor"), [("nats", 1.0), ("bits", 1.442695)])
def test_losses_mean_guess_and_shares(lecture: ScoredBatch, units: str, factor: float) -> None:
    chart = losses_chart(lecture, 2, 3, units)  # type: ignore[arg-type]
    (bars,) = chart.data
    assert list(bars.y) == pytest.approx([-value * factor for value in lecture.log_probas.tolist()], rel=1e-5)
    guess, mean = (shape.y0 for shape in chart.figure.layout.shapes)
    assert mean == pytest.approx(10.793964 * factor, abs=1e-4)
    assert guess == pytest.approx(np.log(50257) * factor, abs=1e-4)
    assert [note.text for note in chart.figure.layout.annotations] == [
        f"mean {mean:.2f}",
        f"blind<br>guess {guess:.2f}",
    ]
    shares = [float(text.split("<b>")[1].rstrip("%</b>")) for text in chart.figure.layout.xaxis.ticktext]
    assert sum(shares) == pytest.approx(100, abs=3)
    assert [entry[0] for entry in bars.customdata] == list(range(6))
    assert max(shares) == shares[5]
    assert [color == TARGET for color in bars.marker.color] == [False] * 5 + [True]
    assert units in chart.figure.layout.title.subtitle.text


def test_many_bars_have_fewer_labels(tiny: LanguageModel) -> None:
    chart = losses_chart(score(tiny, [" a" * 17] * 2), 1, 1, "nats")
    assert len(chart.data[0].y) == 32
    assert chart.data[0].text is None
    assert len(chart.figure.layout.xaxis.ticktext) == 16


def test_long_tokens_are_shortened_with_a_mark() -> None:
    assert plain("-" * 64) == "-" * 18 + "…" + "-" * 5


def test_half_a_character_in_a_title_is_shown_as_its_bytes(tiny: LanguageModel) -> None:
    title = expected_chart(score(tiny, "I 💙 tea"), 1, 2).figure.layout.title.text
    assert "“I&lt;20 F0 9F&gt;”" in title
