"""What a text takes: under a model, under general compressors, and the running bits of a code."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate

from gptloss.charts.colours import FAINT, GUESS, MODEL, TARGET
from gptloss.charts.figure import Chart
from gptloss.charts.theme import bars_axis, figure, plain, quiet_axis

ROW = 40


@dataclass(frozen=True)
class Size:
    """A number of bytes and what has it; that of a model `is_code`, and stands out."""

    name: str
    size: float
    is_code: bool = False


def sizes_chart(sizes: Sequence[Size]) -> Chart:
    """A bar for each."""
    chart = figure("The same text, in bytes", "shorter is better", height=100 + ROW * len(sizes), left=170)
    places = [float(n) for n in range(len(sizes))]
    chart.add_bar(
        orientation="h",
        x=[size.size for size in sizes],
        y=places,
        width=0.7,
        marker_color=[TARGET if size.is_code else GUESS for size in sizes],
        text=[f"<b>{_bytes(size.size)}</b>" if size.is_code else _bytes(size.size) for size in sizes],
        textposition="outside",
        cliponaxis=False,
        hovertemplate="%{x:,.1f} bytes<extra></extra>",
    )
    chart.layout.yaxis = bars_axis(places, [plain(size.name, 40) for size in sizes], font=None)
    longest = max(size.size for size in sizes)
    chart.layout.xaxis = quiet_axis("", showticklabels=False, ticks="", range=[0, 1.2 * longest])
    chart.layout.margin.b = 16
    return chart


def _bytes(size: float) -> str:
    return f"{size:,.1f}" if size != int(size) else f"{int(size):,}"


def running_bits_chart(bits: Sequence[float], coded: Sequence[int], labels: Sequence[str]) -> Chart:
    """The sum of -log2 p after each token, and the bits that the coder has written so far, in whole words."""
    sums = list(accumulate(bits))
    ends = list(range(1, len(sums) + 1))
    chart = figure(
        "Bits, token by token",
        f'<span style="color:{MODEL}">■</span> sum of −log<sub>2</sub> p '
        f' <span style="color:{TARGET}">■</span> the code, in words of 32',
        height=300,
        left=60,
    )
    names = [plain(label) for label in labels[: len(sums)]]
    chart.add_scatter(
        x=ends,
        y=sums,
        mode="lines",
        line={"color": MODEL, "width": 3},
        customdata=[[name, cost] for name, cost in zip(names, bits, strict=True)],
        hovertemplate="%{customdata[0]}<br>%{customdata[1]:.2f} bits<br>%{y:,.1f} bits in all<extra></extra>",
    )
    chart.add_scatter(
        x=ends[: len(coded)],
        y=[8 * size for size in coded],
        mode="lines",
        line={"color": TARGET, "width": 2, "shape": "hv"},
        hovertemplate="%{x:,} tokens<br>%{y:,} bits written<extra></extra>",
    )
    chart.layout.xaxis = quiet_axis("token", tickformat=",d", nticks=8, range=[0, len(labels) + 0.5])
    chart.layout.yaxis = quiet_axis("", showgrid=True, gridcolor=FAINT, nticks=5, rangemode="tozero")
    return chart
