"""Why the logarithm: the product of the probabilities of a growing text, and the sum of their logarithms."""

import math
from collections.abc import Sequence

from gptloss.charts.colours import FAINT, MODEL, TARGET
from gptloss.charts.figure import Chart
from gptloss.charts.theme import figure, power_axis, quiet_axis
from gptloss.lessons.products import Product
from gptloss.numbers import LOGARITHMS, Units, in_units, power_text

# The smallest number that float32 holds is 2^-149.
SMALLEST = -149 * math.log10(2)
POINTS = 200
HEIGHT = 330


def product_chart(product: Product) -> Chart:
    """The product after each token, on a log axis, and what float32 makes of it: 0 from some token on."""
    shown = _shown(len(product.logs))
    powers = [product.logs[n] / math.log(10) for n in shown]
    low = min(powers[-1], SMALLEST) * 1.06
    lost = product.lost_at
    said = f"0 in float32 from token {lost:,} on" if lost else "float32 holds it so far"
    chart = figure("The product of the probabilities", said, height=HEIGHT, left=66)
    chart.add_scatter(
        x=[n + 1 for n in shown],
        y=powers,
        mode="lines",
        line={"color": FAINT, "width": 3, "dash": "dot"},
        hoverinfo="skip",
    )
    held = [n for n in shown if product.held[n] > 0]
    chart.add_scatter(
        x=[n + 1 for n in held],
        y=[product.logs[n] / math.log(10) for n in held],
        mode="lines+markers" if len(held) <= 40 else "lines",
        line={"color": MODEL, "width": 3},
        marker={"size": 8},
        customdata=[[power_text(product.logs[n])] for n in held],
        hovertemplate="%{x:,} tokens<br>product %{customdata[0]}<extra></extra>",
    )
    if lost:
        chart.add_scatter(
            x=[lost],
            y=[SMALLEST],
            mode="markers+text",
            marker={"color": TARGET, "size": 14, "symbol": "x"},
            text=["0 "],
            textposition="middle left",
            textfont={"size": 18},
            cliponaxis=False,
            hovertemplate=f"{lost:,} tokens<br>float32: 0<extra></extra>",
        )
    chart.layout.xaxis = quiet_axis("tokens of the text, repeated", tickformat=",d", nticks=8)
    chart.layout.yaxis = power_axis(low, 0.5) | {"showgrid": True, "gridcolor": FAINT}
    return chart


def log_sum_chart(product: Product, units: Units) -> Chart:
    """The sum of the logarithms after each token: a straight walk, no end in sight."""
    shown = _shown(len(product.logs))
    symbol = LOGARITHMS[units].html
    chart = figure("The sum of their logarithms", f"{symbol} p, in {units}; it stays an ordinary number", HEIGHT, 66)
    chart.add_scatter(
        x=[n + 1 for n in shown],
        y=[in_units(product.logs[n], units) for n in shown],
        mode="lines+markers" if len(shown) <= 40 else "lines",
        line={"color": MODEL, "width": 3},
        marker={"size": 8},
        hovertemplate=f"%{{x:,}} tokens<br>sum %{{y:.4f}} {units}<extra></extra>",
    )
    chart.layout.xaxis = quiet_axis("tokens of the text, repeated", tickformat=",d", nticks=8)
    chart.layout.yaxis = quiet_axis("", showgrid=True, gridcolor=FAINT, nticks=6)
    return chart


def _shown(length: int) -> Sequence[int]:
    """Some of the tokens, from 0, with the last one."""
    step = 1 + (length - 1) // POINTS
    return sorted({*range(0, length, step), length - 1})
