"""The charts of one gradient step: the push on each logit, the curve under it, and what steps do to probabilities."""

import math
from collections.abc import Sequence

from gptloss.charts.colours import FAINT, GUESS, MODEL, RUNS, TARGET
from gptloss.charts.figure import Chart
from gptloss.charts.loss import position_markup
from gptloss.charts.probabilities import HEIGHT
from gptloss.charts.theme import MONO, TEXT_SIZE, bars_axis, figure, plain, power_axis, quiet_axis
from gptloss.lessons.gradients import LogitCurve, Push
from gptloss.numbers import Units, in_units, position_name, proba_text
from gptloss.scoring.batch import ScoredBatch
from gptloss.training.optimizer_steps import OptimizerStep

# Points of a curve, and logits that it shows at least on each side of where it stands.
POINTS, AROUND = 81, 4.0
# More lines than this are not told apart.
LINES = 8
# Pixels of a row of bars.
ROW = 24
SIGNS = ("circle", "square", "diamond", "triangle-up", "cross", "x", "star", "triangle-down")
COLOURS = (TARGET, MODEL, *RUNS, GUESS, "#5b8c2a")


def push_text(push: float) -> str:
    """A push for the eye, with its sign."""
    return f"{push:+.4f}" if abs(push) >= 1e-3 or push == 0 else f"{push:+.2e}"


def pushes_chart(pushes: Sequence[Push], v: int, at: tuple[int, int], units: Units) -> Chart:
    """How the V logits at a position are pushed: the target up, all others down; the bars add up to 0."""
    values = [-in_units(push.gradient, units) for push in pushes]
    labels = [plain(push.token.label, 15) for push in pushes]
    values.append(-sum(values))
    labels = [f"<b>{labels[0]}</b>", *labels[1:], f"{v - len(pushes):,} others"]
    chart = figure(
        f"The push on each logit at {position_markup(*at)}",
        f"minus the gradient, in {units}; the bars add up to 0",
        height=HEIGHT,
        left=140,
    )
    places = list(range(len(values)))
    chart.add_bar(
        orientation="h",
        x=values,
        y=places,
        width=0.72,
        marker_color=[TARGET, *[MODEL] * (len(pushes) - 1), GUESS],
        customdata=[[label, push_text(value)] for label, value in zip(labels, values, strict=True)],
        hovertemplate="%{customdata[0]}<br>%{customdata[1]}<extra></extra>",
    )
    most = max(map(abs, values))
    chart.layout.annotations = [
        {
            "x": max(value, 0) + 0.03 * most,
            "y": place,
            "text": push_text(value),
            "showarrow": False,
            "xanchor": "left",
        }
        for place, value in zip(places, values, strict=True)
    ]
    chart.layout.yaxis = bars_axis(places, labels)
    across = [-1.08 * most, 1.75 * most]
    chart.layout.xaxis = quiet_axis("down ← logit → up", showticklabels=False, ticks="", range=across)
    chart.layout.xaxis.zeroline, chart.layout.xaxis.zerolinecolor = True, GUESS
    return chart


def logit_curve_chart(curve: LogitCurve, at: tuple[int, int], units: Units) -> Chart:
    """The loss of one target as a function of its logit, and the tangent whose slope is p - 1."""
    low = curve.logit - AROUND
    high = max(curve.logit, curve.others) + AROUND
    logits = [low + (high - low) * n / (POINTS - 1) for n in range(POINTS)]
    losses = [in_units(curve.at(logit), units) for logit in logits]
    slope, here = in_units(curve.slope, units), in_units(curve.loss, units)
    chart = figure(
        f"Loss at {position_markup(*at)} against the target’s logit",
        f"the slope here is {slope:.4f} = {'p − 1' if units == 'nats' else '(p − 1) / ln 2'}",
        height=HEIGHT,
    )
    chart.add_scatter(x=logits, y=losses, mode="lines", line={"color": MODEL, "width": 3}, hoverinfo="skip")
    tangent = [low, min(high, curve.logit - curve.loss / curve.slope if curve.slope else high)]
    chart.add_scatter(
        x=tangent,
        y=[in_units(curve.tangent(logit), units) for logit in tangent],
        mode="lines",
        line={"color": TARGET, "width": 2, "dash": "dash"},
        hoverinfo="skip",
    )
    chart.add_scatter(
        x=[curve.logit],
        y=[here],
        mode="markers",
        marker={"color": TARGET, "size": 13},
        hovertemplate=f"logit %{{x:.4f}}<br>loss %{{y:.4f}} {units}<extra></extra>",
    )
    chart.layout.xaxis = quiet_axis("logit of the target", range=[low, high])
    chart.layout.yaxis = quiet_axis(
        f"loss, {units}", showgrid=True, gridcolor=FAINT, range=[-0.04 * max(losses), 1.06 * max(losses)]
    )
    return chart


def climb_chart(batch: ScoredBatch, steps: Sequence[OptimizerStep]) -> Chart:
    """p of the first targets before the first step and after each, by their logs: e^-99,819 is no float."""
    rows = [steps[0].log_probas_before, *(step.log_probas_after for step in steps)]
    shown = range(min(LINES, len(batch)))
    more = f", the first {LINES} of {len(batch)}" if len(batch) > LINES else ""
    chart = figure("Target probabilities, step by step", f"log axis{more}", height=HEIGHT + 110)
    powers = [[row[k] / math.log(10) for k in shown] for row in rows]
    finite = [power for row in powers for power in row if math.isfinite(power)]
    low, high = min(finite), max(finite)
    for k in shown:
        label = f"{position_name(*batch.positions[k])} {plain(batch.targets[k].label, 12)}"
        chart.add_scatter(
            x=list(range(len(rows))),
            y=[row[k] if math.isfinite(row[k]) else None for row in powers],
            mode="lines+markers",
            name=label,
            line={"color": COLOURS[k], "width": 2.5},
            marker={"symbol": SIGNS[k], "size": 9},
            customdata=[proba_text(row[k]) if math.isfinite(row[k]) else "no number" for row in rows],
            hovertemplate=f"{label}<br>after %{{x}} steps p = %{{customdata}}<extra></extra>",
        )
    chart.layout.showlegend = True
    chart.layout.legend = {"orientation": "h", "x": 0, "y": -0.22, "font": {"family": MONO, "size": TEXT_SIZE}}
    chart.layout.margin.b = 190  # on a phone the names stand one below the other
    chart.layout.xaxis = quiet_axis(
        "steps", range=[-0.15, len(rows) - 0.85], tickformat=",d", nticks=min(12, len(rows))
    )
    room = 0.08 * (high - low) + 0.05
    chart.layout.yaxis = power_axis(low - room, high + room)
    return chart


def layers_chart(step: OptimizerStep) -> Chart:
    """The norm of the gradient of each layer, and how far the step moved its weights."""
    places = list(range(len(step.layers)))
    chart = figure(
        "How much each layer has to do with it",
        "norm of its gradient · how far the step moved its weights",
        height=110 + ROW * len(places),
        left=150,
    )
    norms = [layer.gradient_norm if math.isfinite(layer.gradient_norm) else 0.0 for layer in step.layers]
    chart.add_bar(
        orientation="h",
        x=norms,
        y=places,
        width=0.7,
        marker_color=MODEL,
        text=[f"{layer.gradient_norm:.3g} · {layer.moved:.2g}" for layer in step.layers],
        textposition="outside",
        cliponaxis=False,
        customdata=[layer.name for layer in step.layers],
        hovertemplate="%{customdata}<br>%{text}<extra></extra>",
    )
    chart.layout.yaxis = bars_axis(places, [layer.name for layer in step.layers], font=None)
    chart.layout.xaxis = quiet_axis("", showticklabels=False, ticks="", range=[0, 1.35 * (max(norms) or 1.0)])
    chart.layout.margin.b = 16
    return chart
