"""The probability of each token of a few texts, step by step of a training run."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from gptloss.charts.figure import Chart
from gptloss.charts.theme import MONO, figure, plain
from gptloss.numbers import proba_text
from gptloss.training.snapshot import Followed

# Faint and full green, on white and on near-black alike.
LOW, HIGH = "rgba(31, 138, 96, 0.06)", "rgb(24, 122, 84)"
# Pixels: a row of a few texts and of more, the head of a text with letters or with words, and the top of the chart.
ROW, THIN_ROW = 9, 7
LETTERS_HEAD, WORDS_HEAD = 30, 70
TOP, BOTTOM, LEFT, RIGHT = 62, 10, 56, 14


@dataclass(frozen=True)
class Layout:
    """Where the texts lie in a heat map, in pixels from its top."""

    height: int
    row: int
    tops: tuple[int, ...]


def layout_of(texts: Sequence[Followed], steps: int) -> Layout:
    """The heights of a heat map of these texts with so many steps."""
    row = ROW if len(texts) <= 2 else THIN_ROW
    tops, at = [], TOP
    for text in texts:
        at += _head(text)
        tops.append(at)
        at += row * steps
    return Layout(at + BOTTOM, row, tuple(tops))


def heat_map_chart(texts: Sequence[Followed], steps: Sequence[int], unit: str) -> Chart:
    """A block for each text: a column for each of its tokens, a row for each step; the greener, the likelier.

    `unit` is what a token is to the reader: a letter or a token.
    """
    place = layout_of(texts, len(steps))
    chart = figure(f"p of each {unit}, step by step", "faint: p = 0 · green: p = 1", height=place.height, left=LEFT)
    chart.layout.margin = {"l": LEFT, "r": RIGHT, "t": TOP, "b": BOTTOM}
    inner = place.height - TOP - BOTTOM
    widest = max(len(text.tokens) for text in texts)
    for n, (text, top) in enumerate(zip(texts, place.tops, strict=True), 1):
        suffix = "" if n == 1 else str(n)
        _block(chart, text, steps, suffix)
        high = 1 - (top - TOP) / inner
        chart.layout[f"yaxis{suffix}"] = {
            "domain": [max(0.0, high - place.row * len(steps) / inner), high],
            "range": [len(steps) - 0.5, -0.5],
            "tickvals": [0, len(steps) - 1],
            "ticktext": [f"{steps[0]:,}", f"{steps[-1]:,}"],
            **_quiet(),
        }
        chart.layout[f"xaxis{suffix}"] = {
            "anchor": f"y{suffix}",
            "side": "top",
            "range": [-0.5, widest - 0.5],
            "tickvals": list(range(len(text.tokens))),
            "ticktext": [plain(token, 12) for token in text.tokens],
            "tickangle": 0 if _of_letters(text) else -40,
            **_quiet(),
        }
    return chart


def _quiet() -> dict[str, object]:
    return {
        "showgrid": False,
        "zeroline": False,
        "fixedrange": True,
        "ticks": "",
        "automargin": False,
        "tickfont": {"family": MONO, "size": 13},
    }


def _block(chart: Chart, text: Followed, steps: Sequence[int], suffix: str) -> None:
    labels = [plain(token) for token in text.tokens]
    chart.add_heatmap(
        z=[[None, *(math.exp(value) for value in row)] for row in text.log_probas],
        customdata=[_told(labels, step, row) for step, row in zip(steps, text.log_probas, strict=True)],
        xaxis=f"x{suffix}",
        yaxis=f"y{suffix}",
        zmin=0,
        zmax=1,
        colorscale=[[0, LOW], [1, HIGH]],
        showscale=False,
        xgap=1,
        ygap=1,
        hoverongaps=False,
        hovertemplate="%{customdata[0]}<br>step %{customdata[1]}, p = %{customdata[2]}<extra></extra>",
    )


def _told(labels: Sequence[str], step: int, row: Sequence[float]) -> list[list[str]]:
    """What each cell of a row says under the pointer; the first token has nothing before it."""
    cells = [[label, f"{step:,}", proba_text(value)] for label, value in zip(labels[1:], row, strict=True)]
    return [["", "", ""], *cells]


def _head(text: Followed) -> int:
    return LETTERS_HEAD if _of_letters(text) else WORDS_HEAD


def _of_letters(text: Followed) -> bool:
    return all(len(token) == 1 for token in text.tokens)
