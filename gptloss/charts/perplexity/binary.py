"""Binary cross-entropy: a curve for each of two classes, and where an example stands on them."""

import numpy as np

from gptloss.charts.colours import FAINT, MODEL, TARGET
from gptloss.charts.figure import Chart
from gptloss.charts.theme import figure, quiet_axis
from gptloss.lessons.binary import binary_loss
from gptloss.numbers import LOGARITHMS, Units, in_units

HIGH = 5.0


def binary_chart(y: int, p: float, units: Units) -> Chart:
    """-ln p, which counts if y = 1, and -ln(1 - p), which counts if y = 0; the dot is the example."""
    symbol, loss = LOGARITHMS[units].html, in_units(binary_loss(y, p), units)
    top = in_units(HIGH, units)
    chart = figure("The loss of one example", f"{units}; the dot is y = {y}, p = {p:g}: {loss:.4f}", 330, left=50)
    probas = np.linspace(0.002, 0.998, 250)
    for truth, name, colour in ((1, f"y = 1: −{symbol} p", TARGET), (0, f"y = 0: −{symbol}(1 − p)", MODEL)):
        counts = truth == y
        chart.add_scatter(
            x=probas,
            y=[in_units(binary_loss(truth, value), units) for value in probas],
            mode="lines",
            line={"color": colour, "width": 4 if counts else 1.5, "dash": "solid" if counts else "dot"},
            hovertemplate=f"{name}<br>p = %{{x:.3f}}<br>%{{y:.4f}} {units}<extra></extra>",
        )
        chart.add_annotation(
            x=0.16 if truth else 0.84,
            y=in_units(2.2, units),
            text=f"<b>{name}</b>" if counts else name,
            font={"color": colour},
            showarrow=False,
            xanchor="left" if truth else "right",
        )
    chart.add_scatter(
        x=[p],
        y=[min(loss, top)],
        mode="markers",
        marker={"color": TARGET if y else MODEL, "size": 16},
        cliponaxis=False,
        hoverinfo="skip",
    )
    chart.layout.xaxis = quiet_axis("p, the probability that the model gives to 1", range=[0, 1], nticks=6)
    chart.layout.yaxis = quiet_axis("", range=[0, top], showgrid=True, gridcolor=FAINT, nticks=6)
    return chart
