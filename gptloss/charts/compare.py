"""The charts of "Compare": the loss of each token under each run, and where two runs differ."""

from collections.abc import Sequence
from dataclasses import dataclass

import plotly.graph_objects as go
from plotly.subplots import make_subplots

from gptloss.charts.theme import FAINT, MONO, RUNS, TEXT_SIZE, figure, plain, quiet_axis
from gptloss.compare import Piece, Span
from gptloss.ladder import in_units
from gptloss.numbers import Units, proba_text

# More tokens than this have no room for a label each.
LABELLED = 110
PANEL, LABELS, TOP = 150, 86, 64


@dataclass(frozen=True)
class Run:
    """One text under one model: a title for the eye, the tokens of the row that is shown, and the chosen one's j."""

    title: str
    row: tuple[Piece, ...]
    chosen: int | None = None


def token_chart(runs: Sequence[Run], units: Units) -> go.Figure:
    """A panel for each run: a bar as wide as the token is long, as high as its loss; one scale for all."""
    flat = figure("Loss of each token", f"{units}; a bar is as wide as its token has bytes", height=PANEL)
    panels = make_subplots(
        rows=len(runs), cols=1, vertical_spacing=LABELS / (len(runs) * (PANEL + LABELS)) if len(runs) > 1 else 0
    )
    chart = go.Figure(panels).update_layout(flat.layout)
    highest = max((in_units(piece.loss, units) for run in runs for piece in run.row), default=1.0)
    last = max((piece.stop for run in runs for piece in run.row), default=1)
    for n, run in enumerate(runs):
        _add_tokens(chart, n, run, units)
        chart.update_yaxes(
            quiet_axis(units, showgrid=True, gridcolor=FAINT, nticks=4), range=[0, highest * 1.08], row=n + 1, col=1
        )
        chart.update_xaxes(range=[0, last], row=n + 1, col=1)
    bottom = LABELS if any(len(run.row) <= LABELLED for run in runs) else 40
    chart.update_layout(
        height=TOP + len(runs) * (PANEL + bottom) + 24, margin={"l": 56, "r": 12, "t": TOP + 24, "b": bottom}
    )
    return chart


def _add_tokens(chart: go.Figure, n: int, run: Run, units: Units) -> None:
    colour, few = RUNS[n], len(run.row) <= LABELLED
    chart.add_bar(
        x=[piece.start for piece in run.row],
        width=[piece.stop - piece.start for piece in run.row],
        offset=0,
        y=[in_units(piece.loss, units) for piece in run.row],
        marker={
            "color": colour,
            "opacity": [1.0 if piece.j == run.chosen else 0.5 for piece in run.row],
            "line": {"width": 1, "color": colour},
        },
        # A click chooses; it need not fade the others.
        selected={"marker": {"opacity": 1.0}},
        unselected={"marker": {"opacity": 0.5}},
        customdata=[[piece.j, plain(piece.label), proba_text(-piece.loss)] for piece in run.row],
        hovertemplate=f"%{{customdata[1]}}<br>loss %{{y:.4f}} {units}<br>p = %{{customdata[2]}}<extra></extra>",
        row=n + 1,
        col=1,
    )
    axis = f"y{n + 1 if n else ''} domain"
    chart.add_annotation(
        x=0,
        xref="paper",
        y=1,
        yref=axis,
        text=f"<b>{plain(run.title, 90)}</b>",
        font={"color": colour},
        showarrow=False,
        xanchor="left",
        yanchor="bottom",
    )
    ticks = {
        "tickvals": [(piece.start + piece.stop) / 2 for piece in run.row] if few else [],
        "ticktext": [plain(piece.label, 14) for piece in run.row] if few else [],
        "tickfont": {"family": MONO, "size": TEXT_SIZE - 2 if len(run.row) > 24 else TEXT_SIZE},
        "tickangle": -90 if len(run.row) > 10 else 0,
        "ticks": "",
    }
    chart.update_xaxes(quiet_axis("", **ticks), row=n + 1, col=1)


def difference_chart(
    spans: Sequence[Span], text: bytes, titles: tuple[str, str], units: Units, colours: tuple[int, int] = (0, 1)
) -> go.Figure:
    """What the first run paid more than the second for each stretch of `text` that both share."""
    gains = [in_units(span.difference, units) for span in spans]
    words = [text[span.start : span.stop].decode("utf-8", "replace") for span in spans]
    first, second = (plain(title, 60) for title in titles)
    chart = figure(
        f"{first} minus {second}",
        f"{units}, on the same stretches of text; above 0: {second} expected the text better",
        height=TOP + PANEL + LABELS,
        left=56,
    )
    chart.add_bar(
        x=[span.start for span in spans],
        width=[span.stop - span.start for span in spans],
        offset=0,
        y=gains,
        marker={"color": [RUNS[colours[1 if gain > 0 else 0]] for gain in gains], "opacity": 0.75},
        customdata=[
            [plain(word), *(f"{in_units(loss, units):.4f}" for loss in span.losses)]
            for word, span in zip(words, spans, strict=True)
        ],
        hovertemplate="%{customdata[0]}<br>%{customdata[1]} - %{customdata[2]} = %{y:+.4f} "
        + f"{units}<extra></extra>",
    )
    few = len(spans) <= LABELLED
    chart.update_xaxes(
        quiet_axis(
            "",
            tickvals=[(span.start + span.stop) / 2 for span in spans] if few else [],
            ticktext=[plain(_visible(word), 14) for word in words] if few else [],
            tickfont={"family": MONO, "size": TEXT_SIZE - 2 if len(spans) > 24 else TEXT_SIZE},
            tickangle=-90 if len(spans) > 10 else 0,
            ticks="",
        )
    )
    chart.update_yaxes(
        quiet_axis(units, showgrid=True, gridcolor=FAINT, nticks=5, zeroline=True, zerolinecolor=FAINT)
    )
    chart.update_layout(margin={"b": LABELS if few else 40, "r": 12})
    return chart


def _visible(word: str) -> str:
    return word.replace(" ", "·").replace("\n", "↵")
