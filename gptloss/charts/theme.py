"""What all charts share: text that is never markup, quiet axes.

All text takes the page's own colour, so a figure need not know whether the page is light or dark.
"""

import html
from collections.abc import Sequence
from math import ceil, floor, log10

from gptloss.charts.figure import Chart

MONO = "ui-monospace, 'DejaVu Sans Mono', Menlo, Consolas, monospace"
TEXT_SIZE = 14

# Zooming and dragging get in the way of reading; the picture can still be saved.
CONFIG = {"displaylogo": False, "scrollZoom": False, "modeBarButtons": [["toImage"]]}


def plain(text: str, limit: int = 24) -> str:
    """Text for a Plotly label: its `<b>` and `$x$` shown as typed, and shortened in the middle past `limit`."""
    if len(text) > limit:
        text = f"{text[: limit - 6]}…{text[-5:]}"
    return html.escape(text, quote=False).replace("$", "&#36;")


def figure(title: str, subtitle: str, height: int, left: int = 72) -> Chart:
    """An empty figure in the house style. Titles are Plotly markup: pass what is not ours through `plain`."""
    return Chart(
        layout={
            "title": {
                "text": f"<b>{title}</b>",
                "subtitle": {"text": subtitle, "font": {"size": TEXT_SIZE}},
                "x": 0,
                "xref": "container",
                "y": 1,
                "yref": "container",
                "yanchor": "top",
                "font": {"size": 17},
                "pad": {"l": 4, "t": 6},
            },
            "height": height,
            "margin": {
                "l": left,
                "r": 16,
                "t": 72,
                "b": 60,
            },  # margins that Plotly finds itself cost it a second drawing
            "font": {"size": TEXT_SIZE},
            "showlegend": False,
            "dragmode": False,
            "bargap": 0.25,
            "hoverlabel": {"font": {"family": MONO}},
        }
    )


def quiet_axis(title: str, **more: object) -> dict[str, object]:
    """An axis with a title, ticks and nothing else."""
    return {
        "title": {"text": title, "font": {"size": TEXT_SIZE}, "standoff": 8},
        "tickfont": {"size": TEXT_SIZE},
        "showgrid": False,
        "zeroline": False,
        "automargin": False,
        "ticklabeloverflow": "allow",  # to look for room costs Plotly more than to draw the axis
        "fixedrange": True,
        **more,
    }


def bars_axis(places: Sequence[float], labels: Sequence[str], font: str | None = MONO) -> dict[str, object]:
    """The axis of bars that lie, from the top down, with a label before each."""
    letters = {"family": font, "size": TEXT_SIZE} if font else {"size": TEXT_SIZE}
    below = places[-1] + 0.6
    return quiet_axis("", tickvals=[*places], ticktext=[*labels], tickfont=letters, ticks="", range=[below, -0.6])


def rank_axis(v: int) -> dict[str, object]:
    """A log axis of the ranks from 1 to V. Plotly's own range would make room for what is written beside them."""
    across = [-0.15, log10(v) + 0.05]
    return quiet_axis("rank, most to least likely", type="log", dtick=1, tickformat=",d", range=across)


def proba_axis(low: float, high: float) -> dict[str, object]:
    """A log axis from 10^low to 10^high: about six decades; of less than two what is between them."""
    decades = high - low
    if decades >= 2:
        step = max(1, round(decades / 6))
        powers = [power for power in range(ceil(low), floor(high) + 1) if power % step == 0]
        ticks = {"tickvals": [10.0**power for power in powers], "ticktext": [_power(power) for power in powers]}
    else:
        marks = (1, 2, 3, 5, 7) if decades < 1 else (1, 2, 5)
        at = [float(f"{mark}e{power}") for power in range(floor(low), ceil(high)) for mark in marks]
        shown = [value for value in at if 10**low <= value <= 10**high]
        ticks = {"tickvals": shown, "ticktext": [f"{value:g}" for value in shown]}
    return quiet_axis("", type="log", range=[low, high], **ticks)


def power_axis(low: float, high: float) -> dict[str, object]:
    """The same for values that are powers of ten themselves, however small: from `low` to `high`."""
    step = max(1, ceil((high - low) / 6))
    powers = range(step * ceil(low / step), floor(high) + 1, step)
    return quiet_axis("", range=[low, high], tickvals=[*powers], ticktext=[_power(power) for power in powers])


def _power(power: int) -> str:
    """`1`, `0.1`, `0.01`, `1e-3`."""
    return f"{10.0**power:g}" if -3 < power < 1 else f"1e{power}"


def level(y: float, **line: object) -> dict[str, object]:
    """A line across the whole chart at height y."""
    return {"type": "line", "xref": "paper", "x0": 0, "x1": 1, "y0": y, "y1": y, "line": line}
