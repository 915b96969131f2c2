"""The loss ruler: from certain to a blind guess and beyond, in nats, in bits and as a perplexity."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from gptloss.charts.colours import FAINT
from gptloss.charts.figure import Chart
from gptloss.charts.theme import TEXT_SIZE, figure, plain, quiet_axis
from gptloss.numbers import Units, in_units, nats_to_bits

# Pixels: what stands under the line, and each label above it.
BELOW, ROW, ABOVE = 92, 27, 2
LEFT, RIGHT = 82, 22
# Marks on the axis, at most.
TICKS = 6


@dataclass(frozen=True)
class RulerMark:
    """A loss in nats per token, what it belongs to, and its colour; the text's own is `strong`."""

    name: str
    loss: float
    colour: str
    strong: bool = False


def loss_ruler_chart(marks: Sequence[RulerMark], units: Units) -> Chart:
    """A line with a dot for each loss; each label has a row of its own, so that none covers another."""
    ordered = sorted(marks, key=lambda mark: mark.loss)
    longest = 1.03 * max(ordered[-1].loss, 1e-3)
    chart = figure("", "", height=BELOW + ROW * (len(ordered) + 1) + ABOVE + 8, left=LEFT)
    chart.add_scatter(
        x=[mark.loss for mark in ordered],
        y=[0] * len(ordered),
        mode="markers",
        marker={
            "size": [20 if mark.strong else 14 for mark in ordered],
            "color": [mark.colour for mark in ordered],
            "line": {"width": 0},
            "opacity": 1,
        },
        cliponaxis=False,
        customdata=[[plain(mark.name, 60), in_units(mark.loss, units), _perplexity(mark.loss)] for mark in ordered],
        hovertemplate=f"%{{customdata[0]}}<br>%{{customdata[1]:.4f}} {units} per token"
        "<br>perplexity %{customdata[2]}<extra></extra>",
    )
    chart.layout.shapes = [
        {"type": "line", "x0": 0, "x1": longest, "y0": 0, "y1": 0, "line": {"width": 4, "color": FAINT}},
        *(_leader(mark, row) for row, mark in enumerate(ordered, 1)),
    ]
    chart.layout.annotations = [
        *(_label(mark, row, longest, units) for row, mark in enumerate(ordered, 1)),
        *(_unit(row, name) for row, name in enumerate(("nats", "bits", "perplexity"))),
    ]
    ticks = _ticks(longest)
    chart.layout.xaxis = quiet_axis(
        "per token",
        range=[0, longest],
        tickvals=ticks,
        ticktext=[_tick(tick) for tick in ticks],
        ticks="outside",
        tickangle=0,
    )
    chart.layout.yaxis = quiet_axis("", visible=False, range=[-0.5, len(ordered) + 0.7])
    chart.layout.margin = {"l": LEFT, "r": RIGHT, "t": ABOVE, "b": BELOW}
    return chart


def _leader(mark: RulerMark, row: int) -> dict[str, object]:
    """From the dot up to its label."""
    line = {"width": 1.5, "color": mark.colour}
    return {"type": "line", "x0": mark.loss, "x1": mark.loss, "y0": 0, "y1": row, "line": line}


def _label(mark: RulerMark, row: int, longest: float, units: Units) -> dict[str, object]:
    text = f"{plain(mark.name, 60)} <b>{in_units(mark.loss, units):.4f}</b>"
    right = mark.loss > longest / 2
    return {
        "x": mark.loss,
        "y": row,
        "text": f"<b>{text}</b>" if mark.strong else text,
        "font": {"size": TEXT_SIZE + 2 * mark.strong},
        "showarrow": False,
        "xanchor": "right" if right else "left",
        "xshift": -6 if right else 6,
        "yanchor": "middle",
    }


def _unit(row: int, name: str) -> dict[str, object]:
    """What a line of numbers under the axis is in, at its left."""
    return {
        "x": 0,
        "xref": "paper",
        "xanchor": "right",
        "xshift": -16,
        "y": 0,
        "yref": "paper",
        "yanchor": "top",
        "yshift": -13 - 18.2 * row,
        "text": name,
        "showarrow": False,
        "font": {"size": TEXT_SIZE},
    }


def _ticks(longest: float) -> list[float]:
    """Round numbers of nats from 0 on."""
    power = 10.0 ** math.floor(math.log10(longest / TICKS))
    step = next(power * size for size in (1, 2, 5, 10) if longest / (power * size) <= TICKS)
    return [round(step * n, 9) for n in range(int(longest / step) + 1)]


def _tick(nats: float) -> str:
    return f"{nats:g}<br>{nats_to_bits(nats):.3g}<br>{_perplexity(nats)}"


def _perplexity(nats: float) -> str:
    """As short as it can be: 1, 7.39, 403, 22,026, 3e+07."""
    value = math.exp(min(nats, 700))
    return f"{value:.3g}" if value < 100 or value >= 1e6 else f"{value:,.0f}"
