"""One position's likeliest tokens as bars, by probability or by logit, with the tokens that are pointed out."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from jaxtyping import Float

from gptloss.charts.colours import FAINT, MODEL
from gptloss.charts.figure import Chart, Part
from gptloss.charts.theme import MONO, TEXT_SIZE, figure, plain, quiet_axis
from gptloss.numbers import proba_text
from gptloss.scoring.predictions import Prediction
from gptloss.tokens import Token

View = Literal["probas", "logits"]
# Pixels of a bar, and of all that is not bars.
BAR, AROUND, HEIGHT = 22, 132, 396
# Where tokens between two bars are left out, this much room, in bars.
GAP = 0.8


@dataclass(frozen=True)
class Mark:
    """A token that is pointed out: the target, one that was searched for, a pinned one."""

    token: Token
    sign: str
    colour: str


@dataclass(frozen=True)
class _Row:
    """A bar: a token, its place from the top of the chart, how many tokens before it are left out, its marks."""

    found: Prediction
    place: float
    hidden: int
    marks: tuple[Mark, ...]

    @property
    def label(self) -> str:
        text = " ".join(["".join(mark.sign for mark in self.marks), plain(self.found.token.label, 14)]).strip()
        return f"<b>{text}</b>" if self.marks else text


def likeliest_chart(
    title: str, first: Sequence[Prediction], marked: Sequence[Prediction], marks: Sequence[Mark], view: View
) -> Chart:
    """The likeliest tokens and the marked ones as bars, in order, as probabilities or as logits.

    `title` is Plotly's markup. `marked` are what the marks stand for, if they are not among the first. The first mark
    is the target; the tokens left out between two bars are counted.
    """
    rows = _rows(first, marked, marks)
    values = np.array([row.found.proba if view == "probas" else row.found.logit for row in rows])
    height = max(HEIGHT, AROUND + round(BAR * (rows[-1].place + 1.2)))
    chart = figure(title, _signs(view, marks), height=height, left=140)
    base = 0.0 if view == "probas" else _baseline(values)
    bars = Part(
        type="bar",
        orientation="h",
        x=values - base,
        base=base,
        y=[row.place for row in rows],
        width=0.72,
        marker={"color": [row.marks[0].colour if row.marks else MODEL for row in rows]},
        text=[_written(row, view, row.found in first) for row in rows],
        textposition="outside",
        cliponaxis=False,
        customdata=[_hover(row.found) for row in rows],
        hovertemplate="%{customdata[0]}<br>id %{customdata[1]}, rank %{customdata[2]}<br>p = %{customdata[3]}"
        "<br>logit %{customdata[4]}<extra></extra>",
    )
    chart.add_traces([bars])
    chart.layout.annotations = [_left_out(row) for row in rows if row.hidden]
    chart.layout.yaxis = quiet_axis(
        "",
        tickvals=[row.place for row in rows],
        ticktext=[row.label for row in rows],
        tickfont={"family": MONO, "size": TEXT_SIZE},
        ticks="",
        range=[rows[-1].place + 0.6, -0.6],
    )
    chart.layout.xaxis = _bar_axis(values, base, view)
    chart.layout.margin.b = 36 if view == "probas" else 60
    return chart


def _left_out(row: _Row) -> dict[str, object]:
    """How many tokens stand between a bar and the one above it."""
    middle, text = row.place - (1 + GAP) / 2, f"… {row.hidden:,} more"
    return {"x": 0, "xref": "x domain", "y": middle, "text": text, "showarrow": False, "xanchor": "left"}


def _rows(first: Sequence[Prediction], marked: Sequence[Prediction], marks: Sequence[Mark]) -> list[_Row]:
    """In order; a token that is as likely as the last of the first stands below them."""
    rows: list[_Row] = []
    counted, place = 0, -1.0
    for found in [*first, *sorted(marked, key=lambda found: (found.rank, found.token.id))]:
        hidden = max(0, found.rank - 1 - counted)
        counted += hidden + 1
        place += 1 + (GAP if hidden else 0)
        rows.append(_Row(found, place, hidden, tuple(mark for mark in marks if mark.token == found.token)))
    return rows


def _signs(view: View, marks: Sequence[Mark]) -> str:
    """The subtitle: what the bars are, and the sign of the target."""
    what = "what the model expected" if view == "probas" else "the same tokens by their logits"
    return f"{what}; {marks[0].sign} the target" if marks else what


def _baseline(logits: Float[np.ndarray, " n"]) -> float:
    """Where bars of logits start: at 0 if that is near, else a little below the smallest.

    A softmax knows only differences between logits, so any place will do; it is said on the axis.
    """
    low, high = logits.min(), logits.max()
    near = low <= 0 <= high or min(abs(low), abs(high)) <= high - low
    return 0.0 if near else float(np.floor(low - 0.15 * (high - low) - 0.01))


def _written(row: _Row, view: View, is_first: bool) -> str:
    """What stands at the end of a bar."""
    found = row.found
    value = proba_text(found.log_proba) if view == "probas" else f"{found.logit:.4f}"
    text = value if is_first else f"{value} · rank {found.rank:,}"
    return f"<b>{text}</b>" if row.marks else text


def _hover(found: Prediction) -> list[str | int]:
    token, log_proba = found.token, found.log_proba
    return [plain(token.label), token.id, f"{found.rank:,}", proba_text(log_proba, 4), f"{found.logit:.4f}"]


def _bar_axis(lengths: Float[np.ndarray, " n"], base: float, view: View) -> dict[str, object]:
    """Room for what stands at the ends of the bars; a scale only for logits."""
    if view == "probas":
        return quiet_axis("probability", showticklabels=False, ticks="", range=[0, lengths.max() * 1.45])
    low, high = min(lengths.min(), base), max(lengths.max(), base)
    room = 0.45 * (high - low or 1.0)
    return quiet_axis(
        f"logit; the bars start at {base:g}",
        range=[low - (room if lengths.min() < base else 0), high + room],
        zeroline=base == 0,
        zerolinecolor=FAINT,
        nticks=5,
    )
