"""All V probabilities of one position: by rank on log axes, and what the likeliest hold together.

Figures are put together from whole parts: plotly's `update_xaxes` alone takes as long as all of them.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from gptloss.charts.colours import FAINT, GUESS, MODEL
from gptloss.charts.figure import Chart, Part
from gptloss.charts.probabilities import HEIGHT, Mark
from gptloss.charts.theme import figure, level, plain, proba_axis, quiet_axis, rank_axis
from gptloss.numbers import counted, proba_text
from gptloss.prediction.distribution import Distribution, log_spaced_ranks
from gptloss.tokens import Token

# 50,257 points would be 559 kB; a line through 200 of them looks the same.
CURVE_POINTS = 200
# Pixels of a line of names, and of a line of words above the plot.
LEGEND, LINE = 26, 18
WORDS = ("half", "90 %", "99 %")
ALL_UP: dict[str, Any] = {"yref": "paper", "y0": 0, "y1": 1}


@dataclass(frozen=True, eq=False)
class Other:
    """Another position's distribution, to compare with: its name, its colour."""

    name: str
    colour: str
    distribution: Distribution


def rank_chart(
    distribution: Distribution,
    marks: Sequence[Mark],
    name: str = "",
    others: Sequence[Other] = (),
    top_k: int = 0,
    top_p: float = 1.0,
) -> Chart:
    """All V probabilities from most to least likely, on log axes, with 1/V, the marked tokens and the cuts.

    `name` is that of the position, told apart from `others`. The first mark is the target. What top-k (0: off) and
    top-p (1: off) cut off is shaded.
    """
    v = len(distribution)
    total = distribution.share(np.array([v]))[0]
    chart = figure(f"All {v:,} probabilities", f"they sum to {total:.4f}", height=HEIGHT)
    lines = [(other.distribution, other.name, other.colour, 2) for other in others] + [(distribution, name, MODEL, 3)]
    foot, head = _frame([line for line, *_ in lines])
    chart.add_traces(
        [
            *(_curve(*line) for line in lines),
            *(_target(distribution, mark, foot) for mark in marks[:1]),
            *(_point(distribution, mark) for mark in marks[1:]),
        ]
    )
    cuts = _cuts(distribution, top_k, top_p)
    chart.layout.shapes = [level(1 / v, color=GUESS, dash="dash", width=1.5), *_cut_shapes(cuts, v)]
    chart.layout.annotations = [
        _uniform_words(v, cuts),
        *(_target_words(distribution, mark) for mark in marks[:1]),
        *_cut_words(cuts, v),
    ]
    chart.layout.margin.t += LINE * (1 + len(cuts))
    chart.layout.xaxis = rank_axis(v)
    chart.layout.yaxis = proba_axis(foot, head)
    _name_curves(chart, bool(others))
    return chart


def _frame(lines: Sequence[Distribution]) -> tuple[float, float]:
    """log10 of the probabilities at the lower and upper edge, with room for the signs."""
    low = float(min(line.ordered[-1] for line in lines)) / np.log(10)
    high = float(max(line.ordered[0] for line in lines)) / np.log(10)
    return low - 0.3, high + 0.1 * (high - low) + 0.2


def _curve(distribution: Distribution, name: str, colour: str, width: int) -> Part:
    ranks = log_spaced_ranks(len(distribution), CURVE_POINTS)
    log_probas = distribution.ordered[ranks - 1]
    return Part(
        type="scatter",
        x=ranks,
        y=np.exp(log_probas),
        name=name,
        mode="lines",
        line={"color": colour, "width": width},
        customdata=[proba_text(value) for value in log_probas],
        hovertemplate=f"{name} rank %{{x:,}}<br>p = %{{customdata}}<extra></extra>".lstrip(),
    )


def _target(distribution: Distribution, mark: Mark, foot: float) -> Part:
    """A line from the curve down to the axis."""
    rank = distribution.rank(mark.token.id)
    return Part(
        type="scatter",
        x=[rank, rank],
        y=[np.exp(distribution.log_proba(mark.token.id)), 10**foot],
        mode="lines+markers",
        line={"color": mark.colour, "width": 2, "dash": "dot"},
        marker={"size": [14, 0], "opacity": 1},
        hovertemplate=_hover(distribution, mark.token),
        showlegend=False,
    )


def _target_words(distribution: Distribution, mark: Mark) -> dict[str, Any]:
    """Above the plot at the right: beside their line a narrow screen has no room for them."""
    rank, proba = distribution.rank(mark.token.id), proba_text(distribution.log_proba(mark.token.id))
    text = f"{mark.sign} <b>{plain(mark.token.label, 14)}</b> {proba}, rank {rank:,}".strip()
    at = {"x": 1, "xref": "paper", "xanchor": "right", "y": 1, "yref": "paper", "yanchor": "bottom"}
    return {"text": text, "showarrow": False, **at}


def _point(distribution: Distribution, mark: Mark) -> Part:
    """A point on the curve, and its sign above it."""
    return Part(
        type="scatter",
        x=[distribution.rank(mark.token.id)],
        y=[np.exp(distribution.log_proba(mark.token.id))],
        mode="markers+text",
        marker={"color": mark.colour, "size": 11},
        text=[mark.sign],
        textposition="top center",
        cliponaxis=False,
        hovertemplate=_hover(distribution, mark.token),
        showlegend=False,
    )


def _hover(distribution: Distribution, token: Token) -> str:
    label, rank, proba = plain(token.label), distribution.rank(token.id), proba_text(distribution.log_proba(token.id))
    return f"{label}<br>rank {rank:,}<br>p = {proba}<extra></extra>"


def _beside(rank: int, v: int, away: int) -> dict[str, Any]:
    """At the side of a rank where there is more room."""
    left = rank < v**0.5
    return {"xanchor": "left" if left else "right", "xshift": away if left else -away}


def _uniform_words(v: int, cuts: Sequence[tuple[int, str]]) -> dict[str, Any]:
    """Below its line, clear of the curve; after a cut that leaves no room before it."""
    near = [rank for rank, _ in cuts if rank < v**0.4]
    text = f"{'' if cuts else 'uniform guess '}1/V = {1 / v:.2e}"
    at = {"x": np.log10(max(near)), "xshift": 6} if near else {"x": 0}
    return {"y": -np.log10(v), "text": text, "showarrow": False, "xanchor": "left", "yanchor": "top", **at}


def _cuts(distribution: Distribution, top_k: int, top_p: float) -> list[tuple[int, str]]:
    """How many tokens each cut that is on leaves, and what to call it."""
    by_k, by_p = distribution.cuts(top_k, top_p)
    equals = f", and {by_k - top_k:,} as likely" if by_k > top_k else ""
    cuts = [(by_k, f"top-k {top_k:,}{equals}")] if top_k else []
    of = f"of these {by_k:,}" if top_k else "token" if by_p == 1 else "tokens"
    return cuts + ([(by_p, f"top-p {top_p:g}: {by_p:,} {of}")] if top_p < 1 else [])


def _cut_shapes(cuts: Sequence[tuple[int, str]], v: int) -> list[dict[str, Any]]:
    """An upright line for each cut, and a shade over what is cut off."""
    if not cuts:
        return []
    look = {"color": GUESS, "dash": "dashdot"}
    lines = [{"type": "line", "x0": rank, "x1": rank, "line": look, **ALL_UP} for rank, _ in cuts]
    first = min(rank for rank, _ in cuts)
    shade = {"type": "rect", "x0": first, "x1": v, "fillcolor": FAINT, "opacity": 0.4, "line": {"width": 0}}
    return [*lines, {**shade, "layer": "below", **ALL_UP}]


def _cut_words(cuts: Sequence[tuple[int, str]], v: int) -> list[dict[str, Any]]:
    """Above the target's words, each in a line of its own: two cuts may be close. At the left is more room."""
    return [
        {"x": np.log10(rank), "y": 1, "yref": "paper", "yanchor": "bottom", "yshift": LINE * n, "text": words}
        | {"showarrow": False, "xanchor": "left" if rank < v**0.37 else "right"}
        for n, (rank, words) in enumerate(cuts, 1)
    ]


def cumulative_chart(distribution: Distribution, name: str = "", others: Sequence[Other] = ()) -> Chart:
    """The share of the probability that the r likeliest tokens hold together; half, 90 % and 99 % are marked."""
    v, counts = len(distribution), distribution.holders()
    held = distribution.share(np.array(counts))
    said = " · ".join(f"{word}: {count:,}" for word, count in zip(WORDS, counts, strict=True))
    chart = figure("How many tokens hold the probability", f"{said} of {v:,}", height=340)
    marks = Part(
        type="scatter",
        x=counts,
        y=held,
        mode="markers",
        marker={"color": MODEL, "size": 11},
        cliponaxis=False,
        hovertemplate="%{x:,} tokens hold %{y:.2%}<extra></extra>",
        showlegend=False,
    )
    curves = [_shares(other.distribution, other.name, other.colour, 2) for other in others]
    chart.add_traces([*curves, _shares(distribution, name, MODEL, 3), marks])
    chart.layout.annotations = [_share_words(*mark, v) for mark in zip(WORDS, held, counts, strict=True)]
    counted = {"type": "log", "dtick": 1, "tickformat": ",d", "range": [0, np.log10(v)]}
    shares = {"tickformat": ".0%", "showgrid": True, "gridcolor": FAINT, "range": [0, 1.12]}
    chart.layout.xaxis = quiet_axis("the likeliest tokens, counted", **counted)
    chart.layout.yaxis = quiet_axis("share of the probability", **shares)
    _name_curves(chart, bool(others))
    return chart


def _shares(distribution: Distribution, name: str, colour: str, width: int) -> Part:
    ranks = log_spaced_ranks(len(distribution), CURVE_POINTS)
    return Part(
        type="scatter",
        x=ranks,
        y=distribution.share(ranks),
        name=name,
        mode="lines",
        line={"color": colour, "width": width},
        hovertemplate=f"{name} %{{x:,}} likeliest tokens<br>hold %{{y:.2%}}<extra></extra>".lstrip(),
    )


def _share_words(word: str, share: float, count: int, v: int) -> dict[str, Any]:
    """Beside a rising curve: at the right below it, at the left above it."""
    text = f"{word} in {counted(count, 'token')}"
    side = _beside(count, v, 9)
    yanchor = "top" if side["xanchor"] == "left" else "bottom"
    return {"x": np.log10(count), "y": share, "text": text, "showarrow": False, "yanchor": yanchor, **side}


def _name_curves(chart: Chart, on: bool) -> None:
    """The names of the curves, in a line below the title."""
    if on:
        top = {"yref": "container", "y": 1 - 58 / chart.layout.height, "yanchor": "top"}
        chart.layout.legend = {"orientation": "h", "x": 0, "xref": "container", "bgcolor": "rgba(0, 0, 0, 0)", **top}
        chart.layout.showlegend = True
        chart.layout.margin.t += LEGEND
