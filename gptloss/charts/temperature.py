"""The chart of the loss against the temperature: calibration in one picture."""

import math

from gptloss.analysis.temperature import TEMPERATURES, TemperatureCurve
from gptloss.charts.colours import GUESS, MODEL, TARGET
from gptloss.charts.figure import Chart
from gptloss.charts.sampling import tall_figure
from gptloss.charts.theme import level, quiet_axis
from gptloss.numbers import LOGARITHMS, Units, in_units

# Much above the interesting part the curve leaves the picture: at a tenth it is many times as high.
ROOM_ABOVE, ROOM_BELOW = 1.2, 0.2
HEIGHT = 560
TICKS = (0.1, 0.2, 0.5, 1, 2, 5, 10)


def temperature_chart(curve: TemperatureCurve, temperature: float, units: Units) -> Chart:
    """The mean loss at temperatures from 0.1 to 10, with T = 1, the minimum, the chosen temperature and ln V."""
    low, high = _frame(curve, units)
    chart = tall_figure("Loss of the whole text", _legend(curve, temperature, units), HEIGHT)
    chart.add_scatter(
        x=curve.temperatures,
        y=[in_units(loss, units) for loss in curve.losses],
        mode="lines",
        line={"color": MODEL, "width": 3, "shape": "spline"},
        hovertemplate="temperature %{x:.3g}<br>loss %{y:.4f} " + f"{units}<extra></extra>",
    )
    _add_blind_guess(chart, in_units(curve.blind, units), units)
    _add_marks(chart, curve, units)
    _add_now(chart, curve, temperature, units, low)
    names = [f"{t:g}" for t in TICKS]
    chart.layout.xaxis = quiet_axis("temperature", type="log", tickvals=TICKS, ticktext=names, range=[-1.03, 1.03])
    chart.layout.yaxis = quiet_axis(f"loss, {units} per token", range=[low, high], nticks=6)
    return chart


def best_sentence(curve: TemperatureCurve, units: Units) -> str:
    """Where the loss is smallest, in words."""
    loss = in_units(curve.best_loss, units)
    if curve.flat:
        return "the same at every temperature: all tokens are equally likely"
    if curve.best == math.inf:
        return "best temperature: infinite. No temperature beats a blind guess"
    if curve.best == 0:
        return f"best temperature: 0. Every target is the first choice, the loss falls to {loss:.4g}"
    return f"best temperature {_short(curve.best)}: {loss:.4f} {units} per token"


def _short(temperature: float) -> str:
    return f"{temperature:.2f}" if temperature >= 0.1 else f"{temperature:.2g}"


def _frame(curve: TemperatureCurve, units: Units) -> tuple[float, float]:
    """The losses at the lower and upper edge."""
    low = in_units(min(*curve.losses, curve.best_loss), units)
    span = in_units(max(curve.blind, curve.loss), units) - low or 1.0
    return low - ROOM_BELOW * span, low + (1 + ROOM_ABOVE) * span


def _add_blind_guess(chart: Chart, loss: float, units: Units) -> None:
    chart.add_shape(level(loss, color=GUESS, dash="dash", width=1.5))
    log = LOGARITHMS[units].html
    chart.add_annotation(
        x=1,
        xref="paper",
        y=loss,
        text=f"blind guess, {log} V = {loss:.4f}",
        showarrow=False,
        xanchor="right",
        yanchor="bottom",
    )


def _add_marks(chart: Chart, curve: TemperatureCurve, units: Units) -> None:
    """The loss as it is, and the smallest one."""
    best = _on_axis(curve.best)
    marks = [(1.0, curve.loss), *([(curve.best, curve.best_loss)] if best else [])]
    chart.add_scatter(
        x=[t for t, _ in marks],
        y=[in_units(loss, units) for _, loss in marks],
        mode="markers",
        marker={"color": MODEL, "size": 13, "symbol": ["circle", "diamond"][: len(marks)]},
        hovertemplate="temperature %{x:.4g}<br>loss %{y:.4f} " + f"{units}<extra></extra>",
    )


def _add_now(chart: Chart, curve: TemperatureCurve, temperature: float, units: Units, low: float) -> None:
    """The chosen temperature as a dot with a line down to the axis; only the line where the curve is out of sight."""
    if not _on_axis(temperature):
        return
    loss = in_units(curve.at(temperature), units)
    ends = {"x0": temperature, "x1": temperature, "y0": low, "y1": loss}
    chart.add_shape(type="line", **ends, line={"color": TARGET, "width": 1.5, "dash": "dot"})
    chart.add_scatter(
        x=[temperature],
        y=[loss],
        mode="markers",
        marker={"color": TARGET, "size": 13},
        hovertemplate=f"now: temperature {temperature:g}<br>loss {loss:.4f} {units}<extra></extra>",
    )


def _legend(curve: TemperatureCurve, temperature: float, units: Units) -> str:
    """What the marks mean, with their losses: beside the points the words would cover the curve."""
    best = best_sentence(curve, units)
    if _on_axis(curve.best) and not curve.flat:
        best = f'<span style="color:{MODEL}">◆</span> {best}'
    one = f'<span style="color:{MODEL}">●</span> temperature 1: {in_units(curve.loss, units):.4f}'
    if not _on_axis(temperature):
        return f"{best}<br>{one}"
    now = f'<span style="color:{TARGET}">●</span> now, {temperature:g}: {in_units(curve.at(temperature), units):.4f}'
    return f"{best}<br>{one}  {now}"


def _on_axis(temperature: float) -> bool:
    return TEMPERATURES[0] <= temperature <= TEMPERATURES[-1]
