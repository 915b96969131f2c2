"""What cost most in a text: its costliest tokens and words, and the loss of its sentences."""

import re
from collections.abc import Sequence
from dataclasses import dataclass

from gptloss.analysis.words import Stretch, around, costliest
from gptloss.charts.colours import FAINT, MODEL, TARGET, TARGET_SOFT
from gptloss.charts.figure import Chart
from gptloss.charts.surprise import add_loss
from gptloss.charts.theme import MONO, TEXT_SIZE, figure, level, plain, quiet_axis
from gptloss.numbers import Units, counted, in_units
from gptloss.scoring.batch import ScoredBatch

MOST = 10
NUMBERED = 16  # numbers that fit below the sentences
_BLANKS = re.compile(r"\s+")
LINE = 46  # pixels for a bar with words above it


@dataclass(frozen=True)
class _Bar:
    """A bar with a line of words above it: markup that is escaped already, the loss in nats, what it consists of."""

    words: str
    nats: float
    note: str


def costliest_tokens_chart(batch: ScoredBatch, units: Units) -> Chart:
    """The ten tokens with the highest losses, between the words that stand around them."""
    losses = -batch.log_probas.double()
    bars = []
    for k in costliest(losses, MOST):
        before, after = around(batch, k, 13)
        token = f'<b><span style="color:{TARGET}">{plain(batch.targets[k].label, 18)}</span></b>'
        bars.append(_Bar(f"{_line(before)}{token}{_line(after)}", losses[k].item(), ""))
    return _ranked("The tokens that cost most", bars, losses.sum().item(), units)


def costliest_words_chart(words: Sequence[Stretch], units: Units) -> Chart:
    """The ten words with the highest losses, each the sum over its tokens."""
    most = sorted(words, key=lambda word: -word.loss)[:MOST]
    bars = [_Bar(f"<b>{plain(word.text, 30)}</b>", word.loss, f" · {counted(word.tokens, 'token')}") for word in most]
    return _ranked("The words that cost most", bars, sum(word.loss for word in words), units)


def _ranked(title: str, bars: Sequence[_Bar], total: float, units: Units) -> Chart:
    values = [in_units(bar.nats, units) for bar in bars]
    chart = figure(title, f"{units}, and share of the whole text's", height=76 + LINE * len(bars), left=12)
    chart.add_bar(
        orientation="h",
        x=values,
        y=list(range(len(bars))),
        width=0.34,
        marker_color=TARGET_SOFT,
        text=[f"{value:.4f}{bar.note} · {_share(bar.nats, total)}" for bar, value in zip(bars, values, strict=True)],
        textposition="outside",
        cliponaxis=False,
        constraintext="none",
        hoverinfo="skip",
    )
    for place, bar in enumerate(bars):
        chart.add_annotation(
            x=0,
            y=place - 0.2,
            text=bar.words,
            font={"family": MONO, "size": TEXT_SIZE - 1},
            showarrow=False,
            xanchor="left",
            yanchor="bottom",
        )
    chart.update_xaxes(quiet_axis("", showticklabels=False, ticks="", range=[0, (max(values) or 1.0) * 2]))
    chart.update_yaxes(quiet_axis("", showticklabels=False, ticks="", range=[len(bars) - 0.6, -0.8]))
    chart.update_layout(margin_b=12)
    return chart


def _line(text: str) -> str:
    return plain(_BLANKS.sub(" ", text))


def _share(part: float, whole: float) -> str:
    return f"{part / whole:.1%}" if whole else "–"


def sentence_chart(sentences: Sequence[Stretch], units: Units) -> Chart:
    """A bar for each sentence, as wide as it has tokens and as high as its mean: so its area is its sum."""
    total, n = sum(part.loss for part in sentences), sum(part.tokens for part in sentences)
    mean = in_units(total / n, units)
    chart = figure("Loss by sentence", f"mean in {units}; width: its tokens, so the area is its sum", 340, left=56)
    sums = [in_units(part.loss, units) for part in sentences]
    chart.add_bar(
        x=[part.first for part in sentences],
        width=[part.tokens for part in sentences],
        offset=0,
        y=[in_units(part.mean, units) for part in sentences],
        marker={"color": TARGET_SOFT, "opacity": 0.75, "line": {"width": 1, "color": TARGET}},
        customdata=[
            [number, plain(part.text, 60), counted(part.tokens, "token"), f"{value:.4f}", _share(part.loss, total)]
            for number, (part, value) in enumerate(zip(sentences, sums, strict=True), 1)
        ],
        hovertemplate="sentence %{customdata[0]}: %{customdata[1]}<br>mean %{y:.4f}, %{customdata[2]}"
        "<br>sum %{customdata[3]}, %{customdata[4]} of the text<extra></extra>",
    )
    chart.add_shape(level(mean, color=MODEL, width=2))
    add_loss(chart, mean)
    shown = _apart([part.first + part.tokens / 2 for part in sentences], n / NUMBERED)
    chart.update_xaxes(
        quiet_axis(
            "sentence",
            range=[0, n],
            tickvals=list(shown.values()),
            ticktext=[f"{number:,}" for number in shown],
            tickangle=0,
            ticks="",
        )
    )
    chart.update_yaxes(quiet_axis(units, showgrid=True, gridcolor=FAINT, nticks=5))
    return chart


def _apart(places: Sequence[float], least: float) -> dict[int, float]:
    """The numbers, from 1, of places that are so far apart that each has room for a label."""
    shown: dict[int, float] = {}
    for number, place in enumerate(places, 1):
        if not shown or place - next(reversed(shown.values())) >= least:
            shown[number] = place
    return shown
