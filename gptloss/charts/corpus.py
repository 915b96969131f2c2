"""The charts of "Data set loss": what two parts of a text cost under one model or two."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from gptloss.charts.colours import FAINT, GUESS, MODEL, TARGET
from gptloss.charts.figure import Chart
from gptloss.charts.theme import TEXT_SIZE, figure, plain, quiet_axis
from gptloss.corpus.tally import CorpusLoss
from gptloss.numbers import LOGARITHMS, Units, in_units

COLOURS = {"training": MODEL, "validation": TARGET}
SYMBOLS = {"training": "circle", "validation": "diamond"}
# The first model's lines are solid, the second's dashed.
DASHES = ("solid", "dash")
# More windows than this share a step with their neighbours.
MOST_STEPS = 600
# Of a running mean, which is sent at every tick.
MOST_POINTS = 400
ROW, LINE, RULER_TOP, RULER_BOTTOM = 52, 20, 62, 58


@dataclass(frozen=True)
class WindowLoss:
    """A scored window: its number, its part, the characters of its targets, how many they are, their mean in nats."""

    number: int
    part: str
    begins: int
    ends: int
    tokens: int
    loss: float


@dataclass(frozen=True, eq=False)
class RunLosses:
    """What one model made of the text: a name, its V, the parts that were scored, and the windows in order."""

    title: str
    v: int
    parts: dict[str, CorpusLoss]
    windows: tuple[WindowLoss, ...]


def legend(readings: Sequence[RunLosses]) -> str:
    """Which colour is which part and, of two models, which line is whose; as Plotly's markup."""
    parts = "  ".join(f'<span style="color:{colour}">■</span> {part}' for part, colour in COLOURS.items())
    titles = [plain(reading.title, 20) for reading in readings]
    return parts + (f"; solid {titles[0]}, dashed {titles[1]}" if len(titles) > 1 else "")


def ruler_chart(readings: Sequence[RunLosses], units: Units) -> Chart:
    """The loss of each part on a ruler from 0 to ln V, with a standard error to each side."""
    rows = [(reading, part, result) for reading in readings for part, result in reading.parts.items()]
    guesses = {in_units(math.log(reading.v), units): reading.v for reading in readings}
    top = RULER_TOP + LINE * len(guesses)
    chart = figure("From certain to a blind guess", "± one standard error", top + RULER_BOTTOM + ROW * len(rows))
    highest = max([*guesses, *(in_units(result.loss, units) for _, _, result in rows)])
    for place, (_, part, result) in enumerate(rows):
        _add_mark(chart, place, part, result, units, highest, min(guesses))
    for line, (guess, v) in enumerate(sorted(guesses.items())):
        _add_guess(chart, guess, v, units, line)
    chart.update_xaxes(quiet_axis(f"loss, {units} per token", range=[0, highest * 1.06], nticks=8, showline=True))
    chart.update_yaxes(
        quiet_axis(
            "",
            tickvals=list(range(len(rows))),
            ticktext=[_row_name(reading, part, len(readings)) for reading, part, _ in rows],
            ticks="",
            range=[len(rows) - 0.4, -0.75],
        )
    )
    chart.update_layout(margin={"l": 170 if len(readings) > 1 else 96, "t": top, "b": RULER_BOTTOM})
    return chart


def _row_name(reading: RunLosses, part: str, readings: int) -> str:
    return f"{plain(reading.title, 20)}<br>{part}" if readings > 1 else f"<b>{part}</b>"


def _add_mark(
    chart: Chart, place: int, part: str, result: CorpusLoss, units: Units, highest: float, guess: float
) -> None:
    loss, colour = in_units(result.loss, units), COLOURS[part]
    error = None if result.loss_stderr is None else in_units(result.loss_stderr, units)
    chart.add_shape(type="line", x0=0, x1=highest * 1.06, y0=place, y1=place, line={"color": FAINT, "width": 6})
    chart.add_shape(type="line", x0=0, x1=loss, y0=place, y1=place, line={"color": colour, "width": 6})
    chart.add_scatter(
        x=[loss],
        y=[place],
        mode="markers",
        marker={"color": colour, "size": 16, "symbol": SYMBOLS[part]},
        error_x={"type": "data", "array": [error or 0.0], "color": colour, "thickness": 3, "width": 8},
        hovertemplate=f"{part}<br>loss %{{x:.5f}} {units}<extra></extra>",
    )
    chart.add_annotation(
        x=min(loss, guess) if loss > highest / 2 else loss,  # beside the line of the guess, not on it
        y=place,
        text=f"<b>{loss:.4f}</b>" + ("" if error is None else f" ± {error:.4f}"),
        font={"color": colour, "size": TEXT_SIZE + 1},
        showarrow=False,
        xanchor="right" if loss > highest / 2 else "left",
        xshift=-6 if loss > highest / 2 else 0,
        yanchor="bottom",
        yshift=7,
    )


def _add_guess(chart: Chart, guess: float, v: int, units: Units, line: int) -> None:
    log = LOGARITHMS[units].html
    chart.add_shape(
        type="line", x0=guess, x1=guess, yref="paper", y0=0, y1=1, line={"color": GUESS, "dash": "dash", "width": 1.5}
    )
    chart.add_annotation(
        x=guess,
        yref="paper",
        y=1,
        text=f"blind guess, {log} {v:,} = {guess:.4f}",
        showarrow=False,
        xanchor="right" if guess > 5 else "left",
        yanchor="bottom",
        yshift=LINE * line,
    )


def running_chart(readings: Sequence[RunLosses], units: Units) -> Chart:
    """The running loss of each part, window by window, while it is computed."""
    chart = figure("The running loss", f"mean so far, {units} per token", height=300, left=64)
    for n, reading in enumerate(readings):
        for part in reading.parts:
            windows = [window for window in reading.windows if window.part == part]
            tokens = np.cumsum([window.tokens for window in windows])
            sums = np.cumsum([window.tokens * in_units(window.loss, units) for window in windows])
            drawn = np.unique(np.linspace(0, len(windows) - 1, MOST_POINTS).astype(int))
            chart.add_scatter(
                x=tokens[drawn],
                y=(sums / tokens)[drawn],
                mode="lines+markers" if len(windows) <= 40 else "lines",
                line={"color": COLOURS[part], "width": 3, "dash": DASHES[n]},
                hovertemplate=f"{part}: mean of the first %{{x:,}} tokens: %{{y:.4f}}<extra></extra>",
            )
            _add_end(chart, tokens[-1].item(), (sums / tokens)[-1].item(), part)
    chart.update_xaxes(quiet_axis("tokens scored of the part", tickformat=",d", rangemode="tozero"))
    chart.update_yaxes(quiet_axis(units, showgrid=True, gridcolor=FAINT, nticks=5))
    chart.update_layout(margin_r=110)
    return chart


def _add_end(chart: Chart, x: float, y: float, part: str) -> None:
    chart.add_annotation(
        x=x,
        y=y,
        text=f"<b>{part}<br>{y:.4f}</b>",
        font={"color": COLOURS[part]},
        align="left",
        showarrow=False,
        xanchor="left",
        xshift=8,
    )


def along_chart(readings: Sequence[RunLosses], look: int | None, units: Units) -> Chart:
    """The loss of each window in its place in the text, and each part's mean; the windows of the first are points.

    Of more than 600 windows neighbours share a step: their mean over tokens. `look` is the number of the window that
    stands out.
    """
    steps = max((-(-len(reading.windows) // MOST_STEPS) for reading in readings), default=1)
    said = f"  each step is {steps} windows" if steps > 1 else ""
    chart = figure("Loss of each window along the text", f"{legend(readings)}{said}", height=360, left=64)
    for n, reading in enumerate(readings):
        for part, result in reading.parts.items():
            windows = merged([window for window in reading.windows if window.part == part], steps)
            _add_windows(chart, windows, reading, n, units)
            _add_mean(chart, windows, in_units(result.loss, units), COLOURS[part], n, len(readings))
    _add_look(chart, readings, look, units)
    chart.update_xaxes(quiet_axis("character of the text", tickformat=",d", rangemode="tozero"))
    chart.update_yaxes(quiet_axis(f"{units} per token", showgrid=True, gridcolor=FAINT, nticks=6))
    # As long as this stays the same, the browser need not look whether the windows have changed.
    data = (units, *((reading.title, reading.windows) for reading in readings))
    chart.update_layout(datarevision=str(hash(data)), clickmode="event+select")
    return chart


def merged(windows: Sequence[WindowLoss], size: int) -> list[WindowLoss]:
    """Each `size` neighbours as one, with the number of the first."""
    if size == 1:
        return list(windows)
    groups = [windows[start : start + size] for start in range(0, len(windows), size)]
    return [
        WindowLoss(
            group[0].number,
            group[0].part,
            group[0].begins,
            group[-1].ends,
            sum(window.tokens for window in group),
            sum(window.loss * window.tokens for window in group) / sum(window.tokens for window in group),
        )
        for group in groups
    ]


def _add_windows(chart: Chart, windows: Sequence[WindowLoss], reading: RunLosses, n: int, units: Units) -> None:
    colour, symbol = COLOURS[windows[0].part], SYMBOLS[windows[0].part]
    chart.add_scatter(
        x=[(window.begins + window.ends) / 2 for window in windows],
        y=[in_units(window.loss, units) for window in windows],
        mode="lines+markers",
        line={"color": colour, "width": 1.5, "dash": DASHES[n]},
        marker={"color": colour, "size": 11 if len(windows) <= 100 else 6, "symbol": symbol + "-open" * n},
        # A click chooses; it need not fade the others.
        selected={"marker": {"opacity": 1}},
        unselected={"marker": {"opacity": 1}},
        customdata=[[window.number, n, window.part, window.tokens, plain(reading.title)] for window in windows],
        hovertemplate="window %{customdata[0]:,}, %{customdata[2]}<br>%{customdata[4]}<br>loss %{y:.4f} over"
        " %{customdata[3]:,} tokens<extra></extra>",
    )


def _add_mean(chart: Chart, windows: Sequence[WindowLoss], loss: float, colour: str, n: int, of: int) -> None:
    chart.add_shape(
        type="line",
        x0=windows[0].begins,
        x1=windows[-1].ends,
        y0=loss,
        y1=loss,
        line={"color": colour, "width": 2, "dash": "dot"},
    )


def _add_look(chart: Chart, readings: Sequence[RunLosses], look: int | None, units: Units) -> None:
    """The chosen window of the first model: a shape, because a new shape alone is drawn in no time."""
    for window in readings[0].windows:
        if window.number == look:
            chart.add_shape(
                type="rect",
                x0=window.begins,
                x1=window.ends,
                yref="paper",
                y0=0,
                y1=1,
                fillcolor=COLOURS[window.part],
                opacity=0.18,
                line={"width": 0},
                layer="below",
            )
