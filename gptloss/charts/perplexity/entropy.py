"""The entropy of a distribution, added up from its likeliest token on."""

from gptloss.charts.colours import FAINT, GUESS, MODEL, TARGET
from gptloss.charts.figure import Chart
from gptloss.charts.theme import figure, level, quiet_axis
from gptloss.lessons.pitfalls.digits import TOP, EntropyCurve
from gptloss.numbers import Units, in_units


def entropy_bound_chart(curve: EntropyCurve, units: Units) -> Chart:
    """The part of the entropy that the k likeliest tokens show, a lower bound; the entropy is the line above it."""
    ks, sums = curve.points()
    whole, part = in_units(curve.entropy, units), in_units(curve.at(min(TOP, len(curve.logs))), units)
    chart = figure("A lower bound: the entropy that k tokens show", f"{units}; the line is all of it", 300, left=58)
    chart.add_scatter(
        x=ks,
        y=[in_units(value, units) for value in sums],
        mode="lines",
        line={"color": MODEL, "width": 3},
        hovertemplate=f"the %{{x:,}} likeliest tokens<br>at least %{{y:.4f}} {units}<extra></extra>",
    )
    chart.add_scatter(
        x=[min(TOP, len(curve.logs))],
        y=[part],
        mode="markers+text",
        marker={"color": TARGET, "size": 13, "symbol": "diamond"},
        text=[f"  k = {min(TOP, len(curve.logs))}: {part:.4f}"],
        textposition="top right",
        cliponaxis=False,
        hoverinfo="skip",
    )
    chart.layout.shapes = [level(whole, color=GUESS, width=1.5, dash="dash")]
    chart.layout.annotations = [
        {
            "x": 0,
            "xref": "paper",
            "xanchor": "left",
            "y": whole,
            "yanchor": "bottom",
            "text": f"entropy {whole:.4f}",
            "showarrow": False,
        }
    ]
    chart.layout.xaxis = quiet_axis("k, the likeliest tokens that are counted", type="log", dtick=1, tickformat=",d")
    chart.layout.yaxis = quiet_axis("", showgrid=True, gridcolor=FAINT, range=[0, 1.15 * max(whole, 1e-3)], nticks=5)
    return chart
