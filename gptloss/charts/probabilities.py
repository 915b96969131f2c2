"""One position's likeliest tokens as bars, by probability or by logit, with the tokens that are pointed out."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import plotly.graph_objects as go

from gptloss.charts.theme import FAINT, MODEL, MONO, TEXT_SIZE, figure, plain, quiet_axis
from gptloss.distribution import Distribution
from gptloss.numbers import proba_text
from gptloss.tokens import Token, Tokenizer

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

    token: Token
    place: float
    hidden: int
    marks: tuple[Mark, ...]

    @property
    def label(self) -> str:
        text = " ".join(["".join(mark.sign for mark in self.marks), plain(self.token.label, 14)]).strip()
        return f"<b>{text}</b>" if self.marks else text


def likeliest_chart(
    title: str, here: Distribution, tokenizer: Tokenizer, marks: Sequence[Mark], k: int, view: View
) -> go.Figure:
    """The k likeliest tokens and the marked ones as bars, in order, as probabilities or as logits.

    `title` is Plotly's markup. The first mark is the target; the tokens left out between two bars are counted.
    """
    rows = _rows(here, tokenizer, marks, k)
    values = [here.log_proba(row.token.id) if view == "probas" else here.logit(row.token.id) for row in rows]
    height = max(HEIGHT, AROUND + round(BAR * (rows[-1].place + 1.2)))
    chart = figure(title, _signs(view, marks), height=height, left=140)
    lengths, base = (np.exp(values), 0.0) if view == "probas" else (np.array(values), _baseline(values))
    first = here.likeliest(k)
    bars = go.Bar(
        orientation="h",
        x=lengths - base,
        base=base,
        y=[row.place for row in rows],
        width=0.72,
        marker={"color": [row.marks[0].colour if row.marks else MODEL for row in rows]},
        text=[_written(here, row, view, row.token.id in first) for row in rows],
        textposition="outside",
        cliponaxis=False,
        customdata=[_hover(here, row.token) for row in rows],
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
    chart.layout.xaxis = _bar_axis(lengths, base, view)
    chart.layout.margin.b = 36 if view == "probas" else 60
    return chart


def _left_out(row: _Row) -> dict[str, object]:
    """How many tokens stand between a bar and the one above it."""
    middle, text = row.place - (1 + GAP) / 2, f"… {row.hidden:,} more"
    return {"x": 0, "xref": "x domain", "y": middle, "text": text, "showarrow": False, "xanchor": "left"}


def _rows(here: Distribution, tokenizer: Tokenizer, marks: Sequence[Mark], k: int) -> list[_Row]:
    shown = dict.fromkeys([*here.likeliest(k), *(mark.token.id for mark in marks)])
    ordered = sorted((here.place(id), id) for id in shown)
    rows: list[_Row] = []
    before, place = 0, -1.0
    for rank, id in ordered:
        hidden = rank - before - 1
        place += 1 + (GAP if hidden else 0)
        rows.append(_Row(tokenizer.token(id), place, hidden, tuple(mark for mark in marks if mark.token.id == id)))
        before = rank
    return rows


def _signs(view: View, marks: Sequence[Mark]) -> str:
    """The subtitle: what the bars are, and the sign of the target."""
    what = "what the model expected" if view == "probas" else "the same tokens by their logits"
    return f"{what}; {marks[0].sign} the target" if marks else what


def _baseline(logits: Sequence[float]) -> float:
    """Where bars of logits start: at 0 if that is near, else a little below the smallest.

    A softmax knows only differences between logits, so any place will do; it is said on the axis.
    """
    low, high = min(logits), max(logits)
    near = low <= 0 <= high or min(abs(low), abs(high)) <= high - low
    return 0.0 if near else float(np.floor(low - 0.15 * (high - low) - 0.01))


def _written(here: Distribution, row: _Row, view: View, is_first: bool) -> str:
    """What stands at the end of a bar."""
    id = row.token.id
    value = proba_text(here.log_proba(id)) if view == "probas" else f"{here.logit(id):.4f}"
    text = value if is_first else f"{value} · rank {here.rank(id):,}"
    return f"<b>{text}</b>" if row.marks else text


def _hover(here: Distribution, token: Token) -> list[str | int]:
    id = token.id
    return [plain(token.label), id, f"{here.rank(id):,}", proba_text(here.log_proba(id), 4), f"{here.logit(id):.4f}"]


def _bar_axis(lengths: np.ndarray, base: float, view: View) -> dict[str, object]:
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
