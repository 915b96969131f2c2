"""How a text becomes windows: where it is cut, and which tokens are scored with how much before them."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import islice

from gptloss.charts.colours import GUESS, MODEL, TARGET
from gptloss.charts.corpus import COLOURS
from gptloss.charts.figure import Chart
from gptloss.charts.theme import figure, quiet_axis
from gptloss.corpus.conventions import Plan, Window, windows
from gptloss.numbers import counted

# More windows than this have no room for a box each: their batches have one, or all of them together.
MOST_BOXES = 240
BATCH = 2
SHOWN, ROW = 5, 34
READ = "rgba(47, 128, 216, 0.28)"


@dataclass(frozen=True)
class PartOfText:
    """A part of a text: its name, its characters, its tokens, and the characters of each window's targets."""

    name: str
    begins: int
    ends: int
    tokens: int
    windows: Sequence[tuple[int, int]]


def split_chart(parts: Sequence[PartOfText]) -> Chart:
    """The text as a band, cut in training and validation, and below it the windows, in batches of two."""
    chart = figure("The text, cut in two", _split_legend(), height=212, left=80)
    shapes, count = [_band(part) for part in parts], dict.fromkeys(COLOURS, 0)
    for part in parts:
        for begins, ends, size in _boxes(part.windows):
            shapes.append(_box(part, begins, ends, count[part.name] // BATCH % 2 == 0))
            count[part.name] += size
    chart.update_layout(shapes=shapes)  # one by one each would take as long as all before it
    _add_hovers(chart, parts)
    last = max(part.ends for part in parts)
    chart.update_xaxes(quiet_axis("character of the text", tickformat=",d", range=[0, last], nticks=8))
    chart.update_yaxes(
        quiet_axis("", tickvals=[0.5, -0.55], ticktext=["text", "windows"], ticks="", range=[-1.05, 1.05])
    )
    chart.update_layout(margin={"t": 66, "b": 52})
    return chart


def _split_legend() -> str:
    """Which colour is which part, and what the shades mean."""
    names = "  ".join(f'<span style="color:{colour}">■</span> {name}' for name, colour in COLOURS.items())
    return f"{names}  one shade: a batch of {BATCH}"


def _boxes(spans: Sequence[tuple[int, int]]) -> list[tuple[int, int, int]]:
    """Where to draw boxes, and how many windows are in each."""
    size = 1
    while len(spans) / size > MOST_BOXES:
        size *= BATCH
    groups = [spans[start : start + size] for start in range(0, len(spans), size)]
    return [(group[0][0], group[-1][1], len(group)) for group in groups]


def _band(part: PartOfText) -> dict[str, object]:
    look = {"fillcolor": COLOURS[part.name], "opacity": 0.8, "line": {"width": 0}}
    return {"type": "rect", "x0": part.begins, "x1": part.ends, "y0": 0.1, "y1": 0.9, **look}


def _box(part: PartOfText, begins: int, ends: int, strong: bool) -> dict[str, object]:
    colour = COLOURS[part.name]
    look = {"fillcolor": colour, "opacity": 0.75 if strong else 0.4, "line": {"width": 1, "color": colour}}
    return {"type": "rect", "x0": begins, "x1": ends, "y0": -0.9, "y1": -0.2, **look}


def _add_hovers(chart: Chart, parts: Sequence[PartOfText]) -> None:
    """What each part is, in words, over its middle."""
    chart.add_scatter(
        x=[(part.begins + part.ends) / 2 for part in parts],
        y=[0.5] * len(parts),
        mode="markers",
        marker={"size": 26, "opacity": 0},
        customdata=[[part.name, part.ends - part.begins, part.tokens, len(part.windows)] for part in parts],
        hovertemplate="%{customdata[0]}<br>%{customdata[1]:,} characters<br>%{customdata[2]:,} tokens<br>"
        "%{customdata[3]:,} windows<extra></extra>",
    )


def convention_chart(plan: Plan, length: int) -> Chart:
    """The first windows over a stream of `length` tokens: what the model reads, and of which targets the loss counts.

    A window is a row; a text with more of them goes on below.
    """
    shown = list(islice(windows(plan, length), SHOWN))
    more = next(islice(windows(plan, length), SHOWN, None), None) is not None
    end = min(length, max((window.stop + 1 for window in shown), default=plan.window))
    chart = figure(
        "How the text is cut into windows",
        _legend(),
        height=128 + ROW * max(len(shown), 1),
        left=80,
    )
    for row, window in enumerate(shown):
        _add_row(chart, row, window)
    if plan.bos:
        _add_start(chart)
    step = " …" if more else ""
    chart.update_xaxes(quiet_axis("token", tickformat=",d", range=[-0.012 * end, end], nticks=8, rangemode="tozero"))
    chart.update_yaxes(
        quiet_axis(
            "",
            tickvals=list(range(len(shown))),
            ticktext=[f"window {row + 1}{step if row == len(shown) - 1 else ''}" for row in range(len(shown))],
            ticks="",
            range=[len(shown) - 0.4, -0.6],
        )
    )
    chart.update_layout(margin={"t": 72, "b": 52, "l": 96}, barmode="overlay")  # each bar beside its name
    return chart


def _legend() -> str:
    return (
        f'<span style="color:{MODEL}">□</span> read only  <span style="color:{TARGET}">■</span> scored:'
        " its loss counts, once"
    )


def _add_row(chart: Chart, row: int, window: Window) -> None:
    before = window.first - window.start
    chart.add_bar(
        orientation="h",
        base=[window.start, window.first],
        x=[before, window.scored],
        y=[row, row],
        width=0.62,
        marker={"color": [READ, TARGET], "line": {"width": 1, "color": [MODEL, TARGET]}},
        customdata=[
            [f"read only: {counted(before, 'token')}"],
            [f"scored: {window.scored:,}, the first with {before:,} before it"],
        ],
        hovertemplate=f"window {row + 1}<br>%{{customdata[0]}}<extra></extra>",
    )


def _add_start(chart: Chart) -> None:
    chart.add_annotation(
        x=0,
        y=1,
        yref="paper",
        text="start token",
        font={"color": GUESS},
        showarrow=False,
        xanchor="left",
        yanchor="bottom",
    )
    chart.add_shape(type="line", x0=0, x1=0, yref="paper", y0=0, y1=1, line={"color": GUESS, "width": 1.5})
