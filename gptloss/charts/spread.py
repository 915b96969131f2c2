"""How the loss of a text is spread: over single tokens, and over how much context a token had."""

import math
from collections.abc import Sequence

import numpy as np

from gptloss.charts.colours import FAINT
from gptloss.charts.corpus import COLOURS, DASHES, SYMBOLS, RunLosses, legend
from gptloss.charts.figure import Chart
from gptloss.charts.theme import figure, plain, quiet_axis
from gptloss.corpus.context import ContextBand, context_bands
from gptloss.corpus.tally import BIN
from gptloss.numbers import Units, in_units


def histogram_chart(readings: Sequence[RunLosses], units: Units) -> Chart:
    """How the losses of single tokens are spread, as shares of each part; the last bin holds all higher ones too."""
    size = in_units(BIN, units)
    chart = figure("Loss of single tokens", legend(readings), height=340, left=64)
    last = 0
    for n, reading in enumerate(readings):
        for part, result in reading.parts.items():
            counts = np.array(result.histogram)
            last = max(last, int(counts.nonzero()[0].max()) + 1)
            chart.add_scatter(
                x=np.arange(len(counts)) * size,
                y=counts / counts.sum(),
                mode="lines",
                line={"color": COLOURS[part], "width": 2, "shape": "hv", "dash": DASHES[n]},
                fill="tozeroy" if n == 0 and part == "training" else None,
                fillcolor="rgba(47, 128, 216, 0.18)",
                customdata=[[count, plain(reading.title)] for count in result.histogram],
                hovertemplate=f"%{{customdata[1]}}, {part}<br>from %{{x:.2f}} {units}<br>%{{customdata[0]:,}} tokens,"
                " %{y:.2%}<extra></extra>",
            )
    chart.update_xaxes(quiet_axis(f"loss of a token, {units}", range=[0, (last + 1) * size], nticks=9))
    chart.update_yaxes(
        quiet_axis(f"share, by {size:.2g} {units}", showgrid=True, gridcolor=FAINT, nticks=5, tickformat=".0~%")
    )
    return chart


def position_chart(readings: Sequence[RunLosses], units: Units) -> Chart:
    """The mean loss against how many tokens of context a target had: why context helps."""
    chart = figure("Loss by context", legend(readings), height=340, left=64)
    names: dict[float, str] = {}
    for n, reading in enumerate(readings):
        for part, result in reading.parts.items():
            bands = context_bands(result)
            places = [math.log2(band.first) for band in bands]
            names |= {place: _range(band) for place, band in zip(places, bands, strict=True)}
            chart.add_scatter(
                x=places,
                y=[in_units(band.loss, units) for band in bands],
                mode="lines+markers",
                line={"color": COLOURS[part], "width": 2.5, "dash": DASHES[n]},
                marker={"color": COLOURS[part], "size": 9, "symbol": SYMBOLS[part] + "-open" * n},
                customdata=[[_range(band), band.tokens, plain(reading.title)] for band in bands],
                hovertemplate=f"%{{customdata[2]}}, {part}<br>%{{customdata[0]}} tokens before<br>loss %{{y:.4f}}"
                " over %{customdata[1]:,} tokens<extra></extra>",
            )
    ticks = sorted(names)
    chart.update_xaxes(
        quiet_axis(
            "tokens before it in its window",
            tickvals=ticks,
            ticktext=[names[tick].partition(" ")[0] for tick in ticks],
            tickangle=0,
            ticks="",
        )
    )
    chart.update_yaxes(quiet_axis(f"{units} per token", showgrid=True, gridcolor=FAINT, nticks=5))
    return chart


def _range(band: ContextBand) -> str:
    return f"{band.first:,}" if band.first == band.last else f"{band.first:,} to {band.last:,}"
