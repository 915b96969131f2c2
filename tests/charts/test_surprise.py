import json
import math
from typing import Any

import numpy as np
import pytest
import torch

from gptloss import ScoredBatch, load_model, score
from gptloss.analysis.words import Stretch, running_mean, sentences, words
from gptloss.charts.colours import TARGET
from gptloss.charts.stretches import LINE, costliest_tokens_chart, costliest_words_chart, sentence_chart
from gptloss.charts.surprise import BARS, MOST_POINTS, loss_chart, rank_counts_chart
from gptloss.models import LanguageModel
from gptloss.models.architectures.toy import SAMPLE

UNITS = [("nats", 1.0), ("bits", 1 / math.log(2))]


@pytest.fixture(scope="module")
def story() -> ScoredBatch:
    """3,817 scored bytes."""
    return score(load_model("bigram"), SAMPLE.read_text("utf-8"))


def part(batch: ScoredBatch, n: int) -> ScoredBatch:
    return score(batch.model, [token.id for token in batch.targets[: n + 1]])


@pytest.mark.parametrize(("units", "factor"), UNITS)
@pytest.mark.parametrize("n", [1, 6, BARS, BARS + 1, MOST_POINTS])
def test_every_token_has_its_loss_and_the_mean_ends_at_the_loss(
    story: ScoredBatch, n: int, units: Any, factor: float
) -> None:
    batch = part(story, n)
    chart = loss_chart(batch, n - 1, units)
    tokens, mean = chart.data
    assert tokens.type == ("bar" if n <= BARS else "scatter")
    assert (tokens.x0, len(tokens.y)) == (1, n)
    np.testing.assert_allclose(tokens.y, -factor * batch.log_probas.double(), rtol=1e-5)
    np.testing.assert_allclose(mean.y, factor * running_mean(-batch.log_probas), rtol=1e-5)
    assert mean.y[-1] == pytest.approx(factor * batch.loss)
    assert list(mean.x) == list(range(1, n + 1))
    loss, chosen = chart.figure.layout.annotations
    assert (loss.text, loss.y) == (f"<b>loss<br>{factor * batch.loss:.4f}</b>", pytest.approx(factor * batch.loss))
    assert chosen.text == f"<b>{batch.targets[-1].label}</b> {-factor * batch.log_probas[-1].item():.4f}"
    assert chart.figure.layout.yaxis.title.text == units


def test_past_two_thousand_tokens_neighbours_share_a_step(story: ScoredBatch) -> None:
    chart = loss_chart(story, 7, "nats")
    highest, means, running = chart.data
    losses = (-story.log_probas.double()).tolist()
    assert len(highest.y) == len(means.y) == len(running.y) == 1909  # 3,817 tokens two by two
    assert (highest.y[0], means.y[0]) == pytest.approx((max(losses[:2]), sum(losses[:2]) / 2))
    assert (highest.y[-1], means.y[-1]) == pytest.approx((losses[-1], losses[-1]))  # one is left
    assert max(highest.y) == pytest.approx(max(losses))
    assert (list(running.x[:2]), running.x[-1]) == ([2, 4], 3817)
    assert running.y[-1] == pytest.approx(story.loss)
    assert (means.customdata[1], means.x[1]) == (3, 4)
    assert "each step is 2 tokens" in chart.figure.layout.title.subtitle.text
    assert len(chart.to_json()) < 150_000


def test_the_chosen_token_is_marked_in_its_place(story: ScoredBatch) -> None:
    batch = part(story, 6)
    chart = loss_chart(batch, 2, "nats")
    (shape,) = chart.figure.layout.shapes
    assert (shape.x0 + shape.x1) / 2 == pytest.approx(3)
    assert (shape.y0, shape.y1) == (0, pytest.approx(chart.data[0].y[2]))
    assert shape.fillcolor == TARGET
    assert list(chart.figure.layout.xaxis.ticktext) == [token.label for token in batch.targets]


def test_a_click_changes_nothing_but_the_mark(story: ScoredBatch) -> None:
    """The browser compares `datarevision` and then need not look at the data."""
    one, other = loss_chart(story, 1, "nats"), loss_chart(story, 900, "nats")
    assert one.figure.layout.datarevision == other.figure.layout.datarevision
    assert one.figure.layout.datarevision != loss_chart(story, 1, "bits").figure.layout.datarevision
    assert one.figure.layout.shapes != other.figure.layout.shapes
    assert json.loads(one.to_json())["data"] == json.loads(other.to_json())["data"]


def test_ranks_are_counted_with_their_share() -> None:
    chart = rank_counts_chart(torch.tensor([1, 1, 2, 11, 101, 1001, 5000, 50257], dtype=torch.int32))
    (bars,) = chart.data
    assert list(bars.y) == [2, 1, 1, 1, 3]
    assert bars.text[0] == "<b>2</b><br>25.0%"
    assert bars.text[4] == "<b>3</b><br>37.5%"
    assert list(bars.customdata) == ["1", "2 to 10", "11 to 100", "101 to 1,000", "over 1,000"]
    assert (chart.figure.layout.xaxis.title.text, chart.figure.layout.yaxis.title.text) == ("rank", "tokens")


@pytest.mark.parametrize(("units", "factor"), UNITS)
def test_the_ten_costliest_tokens_stand_in_their_words(gpt2: LanguageModel, units: Any, factor: float) -> None:
    batch = score(gpt2, "I <b>like</b> tea\nand $ cakes with my very old friend")
    chart = costliest_tokens_chart(batch, units)
    (bars,) = chart.data
    losses = sorted((-batch.log_probas.double()).tolist(), reverse=True)
    assert list(bars.x) == pytest.approx([factor * loss for loss in losses[:10]])
    assert bars.text[0] == f"{factor * losses[0]:.4f} · {losses[0] / sum(losses):.1%}"
    texts = [note.text for note in chart.figure.layout.annotations]
    assert len(texts) == 10
    costliest = batch.targets[int(batch.log_probas.argmin())].label
    assert costliest in texts[0]
    assert not any("<b>like" in text or "\n" in text or "$" in text for text in texts)
    assert units in chart.figure.layout.title.subtitle.text
    assert chart.figure.layout.height > 10 * LINE


def test_fewer_tokens_have_fewer_bars(lecture: ScoredBatch) -> None:
    assert len(costliest_tokens_chart(lecture, "nats").data[0].x) == 6
    assert len(costliest_words_chart(words(lecture), "nats").data[0].x) == 6


def test_the_costliest_words_are_sums_of_tokens(story: ScoredBatch) -> None:
    parts = words(story)
    chart = costliest_words_chart(parts, "bits")
    most = sorted(parts, key=lambda word: -word.loss)
    assert list(chart.data[0].x) == pytest.approx([word.loss / math.log(2) for word in most[:10]])
    assert most[0].text in chart.figure.layout.annotations[0].text
    share = most[0].loss / (story.loss * len(story))
    assert chart.data[0].text[0] == f"{most[0].loss / math.log(2):.4f} · {most[0].tokens} tokens · {share:.1%}"


@pytest.mark.parametrize(("units", "factor"), UNITS)
def test_the_area_of_a_sentence_is_its_sum(story: ScoredBatch, units: Any, factor: float) -> None:
    parts = sentences(story)
    chart = sentence_chart(parts, units)
    (bars,) = chart.data
    areas = np.array(bars.width) * np.array(bars.y)
    assert areas == pytest.approx([factor * part.loss for part in parts])
    assert areas.sum() == pytest.approx(factor * story.loss * len(story))
    assert list(bars.x) == [part.first for part in parts]
    assert chart.figure.layout.shapes[0].y0 == pytest.approx(factor * story.loss)
    assert bars.customdata[0][1:3] == ["he Clock on Harbour Street", "26 tokens"]
    assert float(bars.customdata[0][3]) == pytest.approx(factor * parts[0].loss, abs=1e-4)


def test_sentences_have_numbers_where_there_is_room() -> None:
    parts = [Stretch(b"x.", k, k, 1.0) for k in range(300)]
    axis = sentence_chart(parts, "nats").figure.layout.xaxis
    assert axis.ticktext[0] == "1"
    assert 10 < len(axis.ticktext) <= 16
    assert min(np.diff(axis.tickvals)) >= 300 / 16
    few = sentence_chart(parts[:3], "nats").figure.layout.xaxis
    assert list(few.ticktext) == ["1", "2", "3"]


def test_a_text_that_costs_nothing_has_charts_all_the_same(story: ScoredBatch) -> None:
    free = [Stretch(b"a", 0, 0, 0.0), Stretch(b"b", 1, 1, 0.0)]
    assert costliest_words_chart(free, "nats").data[0].text[0] == "0.0000 · 1 token · –"
    assert sentence_chart(free, "nats").data[0].y == (0.0, 0.0)
