"""The charts of "Token probabilities": what they show is what torch says in float64."""

import math

import numpy as np
import plotly.graph_objects as go
import pytest
import torch

from gptloss import ScoredBatch, score
from gptloss.charts.colours import MODEL, RUNS, TARGET
from gptloss.charts.loss import position_title
from gptloss.charts.probabilities import Mark, View, likeliest_chart
from gptloss.charts.ranks import LINE, Other, cumulative_chart, rank_chart
from gptloss.models import load_model
from gptloss.prediction.distribution import Distribution
from gptloss.scoring.predictions import predictions
from gptloss.tokens import ByteTokenizer, gpt2_tokenizer

TOKENS = gpt2_tokenizer()
MOVES = Mark(TOKENS.token(6100), "▸", TARGET)
FIRST = Mark(TOKENS.token(339), "◆", RUNS[3])
THE = Mark(TOKENS.token(262), "①", RUNS[0])

VIEWS: tuple[View, ...] = ("probas", "logits")


@pytest.fixture(scope="module")
def here(lecture: ScoredBatch) -> Distribution:
    return Distribution(lecture.logits_at(1, 2))


def bars(batch: ScoredBatch, at: tuple[int, int], marks: list[Mark], k: int, view: View = "probas") -> go.Figure:
    """The chart of a position, as the page makes it."""
    first = batch.top(*at, k)
    missing = {mark.token.id for mark in marks} - {found.token.id for found in first}
    marked = [batch.prediction(*at, id) for id in missing]
    return likeliest_chart(position_title(batch, *at), first, marked, marks, view)


def exact(lecture: ScoredBatch) -> torch.Tensor:
    return lecture.logits_at(1, 2).double().softmax(-1)


def test_the_likeliest_and_the_target_below_them(lecture: ScoredBatch) -> None:
    chart = bars(lecture, (1, 2), [MOVES], 10)
    (drawn,) = chart.data
    probas = exact(lecture)
    assert list(drawn.x[:10]) == pytest.approx(probas.topk(10).values.tolist(), rel=1e-5)
    assert drawn.x[10] == pytest.approx(probas[6100].item(), rel=1e-5)
    assert list(drawn.marker.color) == [MODEL] * 10 + [TARGET]
    assert drawn.text[-1] == "<b>3.11e-05 · rank 7,247</b>"
    assert chart.figure.layout.yaxis.ticktext[-1] == "<b>▸ ·moves</b>"
    assert chart.figure.layout.annotations[0].text == f"… {7247 - 10 - 1:,} more"
    assert "every effort" in chart.figure.layout.title.text
    assert chart.figure.layout.xaxis.title.text == "probability"
    assert drawn.base == 0


@pytest.mark.parametrize("k", [5, 50])
def test_k_bars_and_what_is_marked(here: Distribution, lecture: ScoredBatch, k: int) -> None:
    chart = bars(lecture, (1, 2), [MOVES, THE], k)
    (drawn,) = chart.data
    assert len(drawn.x) == k + 2
    assert (np.diff(drawn.x) <= 0).all()
    hidden = [
        int(note.text.removeprefix("… ").removesuffix(" more").replace(",", ""))
        for note in chart.figure.layout.annotations
    ]
    last = max(here.rank(6100), here.rank(262))
    assert sum(hidden) + k + 2 == last
    assert chart.figure.layout.height >= 22 * (k + 2)


def test_a_marked_token_among_the_first_is_marked_in_its_place(lecture: ScoredBatch) -> None:
    chart = bars(lecture, (1, 2), [Mark(TOKENS.token(339), "▸", TARGET), FIRST], 5)
    (drawn,) = chart.data
    assert len(drawn.x) == 5
    assert not chart.figure.layout.annotations
    assert drawn.marker.color[0] == TARGET  # the first mark wins, both signs stand there
    assert chart.figure.layout.yaxis.ticktext[0] == "<b>▸◆ ·he</b>"
    assert "rank" not in drawn.text[0]


def test_logits_are_the_same_tokens_in_the_same_order(lecture: ScoredBatch) -> None:
    probas, logits = (bars(lecture, (1, 2), [MOVES], 10, view) for view in VIEWS)
    assert probas.figure.layout.yaxis.ticktext == logits.figure.layout.yaxis.ticktext
    (drawn,) = logits.data
    wanted = [lecture.logits_at(1, 2)[row[1]].item() for row in drawn.customdata]
    assert [drawn.base + x for x in drawn.x] == pytest.approx(wanted)
    assert [float(text.strip("<b>/").split(" ")[0]) for text in drawn.text] == pytest.approx(wanted, abs=5e-5)
    assert logits.figure.layout.xaxis.title.text == "logit; the bars start at 0"


@pytest.mark.parametrize(
    ("logits", "base"),
    [
        ([3.0, 2.0, -1.0], 0),
        ([-1.0, -2.0, -3.0], 0),
        ([3.0, 2.5, 1.0], 0),
        ([-90.0, -91.0, -94.0], -95),
        ([101.0, 99.0, 97.0], 96),
        ([5.0, 5.0, 5.0], 4),
    ],
)
def test_bars_of_logits_start_where_they_can_be_told_apart(logits: list[float], base: float) -> None:
    line = torch.tensor(logits)
    shown = predictions(ByteTokenizer(), torch.arange(3), line, line.logsumexp(-1))
    chart = likeliest_chart("p", shown, [], [Mark(ByteTokenizer().token(2), "▸", TARGET)], "logits")
    (drawn,) = chart.data
    assert drawn.base == base
    assert chart.figure.layout.xaxis.title.text == f"logit; the bars start at {base}"
    low, high = chart.figure.layout.xaxis.range
    assert low <= min(base, *logits) < high
    assert max(base, *logits) <= high


def test_all_probabilities_by_rank(here: Distribution, lecture: ScoredBatch) -> None:
    chart = rank_chart(here, [MOVES])
    curve, target = chart.data
    assert len(curve.x) <= 200
    assert (curve.x[0], curve.x[-1]) == (1, 50257)
    ordered = exact(lecture).sort(descending=True).values.numpy()
    np.testing.assert_allclose(curve.y, ordered[np.array(curve.x) - 1], rtol=1e-9)
    assert target.x[0] == 7247
    assert target.y[0] == pytest.approx(exact(lecture)[6100].item(), rel=1e-9)
    assert (chart.figure.layout.xaxis.type, chart.figure.layout.yaxis.type) == ("log", "log")
    assert chart.figure.layout.xaxis.title.text == "rank, most to least likely"
    assert "probabilities" in chart.figure.layout.title.text
    assert len(chart.figure.layout.shapes) == 1
    assert chart.figure.layout.shapes[0].y0 == pytest.approx(1 / 50257)
    assert not chart.figure.layout.showlegend
    assert "1.0000" in chart.figure.layout.title.subtitle.text


def test_cuts_are_upright_lines_with_their_names(here: Distribution) -> None:
    kept = here.holders([0.9])[0]
    chart = rank_chart(here, [MOVES], top_k=0, top_p=0.9)
    _, line, shade = chart.figure.layout.shapes
    assert (line.x0, line.x1) == (kept, kept)
    assert (shade.x0, shade.x1) == (kept, 50257)
    assert f"top-p 0.9: {kept:,} tokens" in [note.text for note in chart.figure.layout.annotations]
    chart = rank_chart(here, [MOVES], top_k=50, top_p=0.9)
    _, by_k, by_p, shade = chart.figure.layout.shapes
    assert by_k.x0 == 50
    assert by_p.x0 == here.cuts(50, 0.9)[1] < 50
    assert shade.x0 == by_p.x0
    words = {note.text: note for note in chart.figure.layout.annotations}
    assert words["top-k 50"].x == pytest.approx(math.log10(50))


def test_what_equals_the_last_of_top_k_is_not_cut_off_and_said() -> None:
    chart = rank_chart(Distribution(torch.zeros(256)), [], top_k=5, top_p=0.5)
    words = [note.text for note in chart.figure.layout.annotations]
    assert words[1:] == ["top-k 5, and 251 as likely", "top-p 0.5: 128 of these 256"]
    assert [line.x0 for line in chart.figure.layout.shapes[1:]] == [256, 128, 128]


@pytest.mark.parametrize(("top_k", "start"), [(0, 1), (20, 20), (5_000, 1)])
def test_no_cut_crosses_the_words(here: Distribution, top_k: int, start: int) -> None:
    chart = rank_chart(here, [MOVES], top_k=top_k)
    guess = next(note for note in chart.figure.layout.annotations if "1/V" in note.text)
    assert guess.x == pytest.approx(math.log10(start))


def test_the_words_of_the_target_and_of_the_cuts_have_a_line_each_above_the_plot(here: Distribution) -> None:
    plain, cut = rank_chart(here, [MOVES]), rank_chart(here, [MOVES], top_k=50, top_p=0.9)
    _, target, by_k, by_p = cut.figure.layout.annotations
    assert target.text == "▸ <b>·moves</b> 3.11e-05, rank 7,247"
    assert {(note.yref, note.y, note.yanchor) for note in (target, by_k, by_p)} == {("paper", 1, "bottom")}
    lines = [note.yshift or 0 for note in (target, by_k, by_p)]
    assert lines == [0, LINE, 2 * LINE]
    assert cut.figure.layout.margin.t == plain.figure.layout.margin.t + 2 * LINE


@pytest.mark.parametrize("v", [1, 256, 50257])
def test_the_ranks_run_from_1_to_v_whatever_is_written_beside_them(v: int) -> None:
    line = torch.randn(v, generator=torch.Generator().manual_seed(1))
    low, high = rank_chart(Distribution(line), [THE] if v > 262 else [], top_p=0.5).figure.layout.xaxis.range
    assert -0.2 < low < 0
    assert math.log10(v) < high < math.log10(v) + 0.1


@pytest.mark.parametrize("width", [0.0, 0.3, 1.0, 2.0, 3.0, 5.0, 30.0, 700.0])
@pytest.mark.parametrize("v", [9, 256, 50257])
def test_probabilities_can_be_read_off_however_flat_they_are(v: int, width: float) -> None:
    """Two ticks at least, each with its value in full; `width` is how far the logits are apart."""
    here = Distribution(torch.linspace(0, width, v))
    axis = rank_chart(here, []).figure.layout.yaxis
    low, high = axis.range
    assert low < here.ordered[-1] / math.log(10) <= here.ordered[0] / math.log(10) < high
    if axis.tickvals is None:
        assert 2 <= (high - low) / axis.dtick <= 9
    else:
        assert 1 < len(axis.tickvals) <= 8
        assert all(low <= math.log10(value) <= high for value in axis.tickvals)
        assert [float(text) for text in axis.ticktext] == list(axis.tickvals)


def test_pinned_positions_and_tokens_on_the_curve(here: Distribution, lecture: ScoredBatch) -> None:
    other = Other("② p13", RUNS[1], Distribution(lecture.logits_at(1, 3)))
    chart = rank_chart(here, [MOVES, FIRST, THE], "p12", [other])
    pinned, curve, _, first, the = chart.data
    assert (pinned.name, curve.name) == ("② p13", "p12")
    assert pinned.line.color == RUNS[1]
    assert pinned.y[0] == pytest.approx(lecture.logits_at(1, 3).double().softmax(-1).max().item(), rel=1e-9)
    assert (first.x[0], first.text[0]) == (1, "◆")
    assert the.x[0] == here.rank(262)
    assert chart.figure.layout.showlegend


def test_how_many_hold_the_probability(here: Distribution, lecture: ScoredBatch) -> None:
    other = Other("② p13", RUNS[1], Distribution(lecture.logits_at(1, 3)))
    chart = cumulative_chart(here, "p12", [other])
    _, curve, marks = chart.data
    held = exact(lecture).sort(descending=True).values.cumsum(-1).numpy()
    np.testing.assert_allclose(curve.y, held[np.array(curve.x) - 1], atol=1e-9)
    assert tuple(marks.x) == here.holders()
    np.testing.assert_allclose(marks.y, held[np.array(marks.x) - 1], atol=1e-9)
    assert [note.text for note in chart.figure.layout.annotations] == [
        f"{word} in {count:,} tokens" for word, count in zip(("half", "90 %", "99 %"), here.holders(), strict=True)
    ]
    for share, count in zip((0.5, 0.9, 0.99), here.holders(), strict=True):
        assert held[count - 1] >= share > held[count - 2]
    assert chart.figure.layout.xaxis.type == "log"
    assert chart.figure.layout.yaxis.title.text == "share of the probability"
    assert f"half: {here.holders()[0]:,}" in chart.figure.layout.title.subtitle.text


def test_one_token_that_holds_all() -> None:
    sure = Distribution(torch.tensor([0.0, -30.0, -31.0, -40.0]))
    target = Mark(ByteTokenizer().token(3), "▸", TARGET)
    chart = cumulative_chart(sure)
    assert chart.figure.layout.annotations[0].text == "half in 1 token"
    assert rank_chart(sure, [target], top_p=0.5).figure.layout.annotations[-1].text == "top-p 0.5: 1 token"


@pytest.mark.parametrize("view", VIEWS)
def test_fewer_tokens_than_are_asked_for(view: View) -> None:
    batch = score(load_model("uniform"), "ab")
    assert len(bars(batch, (1, 1), [Mark(batch.targets[0], "▸", TARGET)], 300, view).data[0].x) == 256


def test_as_likely_as_the_last_that_is_shown() -> None:
    batch = score(load_model("uniform"), "ab")
    chart = bars(batch, (1, 1), [Mark(batch.targets[0], "▸", TARGET)], 10)
    assert len(chart.data[0].x) == 11
    assert not chart.figure.layout.annotations  # nothing likelier is left out
    assert chart.data[0].text[-1] == "<b>0.003906 · rank 1</b>"


def test_charts_are_small(here: Distribution, lecture: ScoredBatch) -> None:
    marks = [MOVES, FIRST, THE]
    assert len(bars(lecture, (1, 2), marks, 50).to_json()) < 16_000
    assert len(rank_chart(here, marks).to_json()) < 16_000
    assert len(cumulative_chart(here).to_json()) < 16_000
