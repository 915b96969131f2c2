"""The charts of "Compare": the loss of each token under each model or text, and where two of them differ."""

from collections.abc import Sequence
from dataclasses import dataclass

from gptloss.analysis.alignment import AlignedToken, Span
from gptloss.charts.colours import FAINT, RUNS
from gptloss.charts.figure import Chart
from gptloss.charts.theme import MONO, TEXT_SIZE, figure, plain, quiet_axis
from gptloss.numbers import Units, in_units, proba_text

# More tokens than this have no room for a label each.
LABELLED = 110
# Up to this many letters, labels lie flat: on a phone they stand beside each other.
FLAT = 30
# More than this are small.
LARGE = 24
PANEL, TITLE, TOP = 150, 34, 64
# How wide a letter is for its size.
LETTER = 0.62
# Longer labels are shortened in the middle.
LETTERS = 22


@dataclass(frozen=True)
class TokenPanel:
    """One text under one model: a title, the tokens of the row that is shown, the chosen one's j, and a colour."""

    title: str
    row: tuple[AlignedToken, ...]
    chosen: int | None = None
    colour: str = RUNS[0]


def token_chart(panels: Sequence[TokenPanel], units: Units, title: str = "Loss of each token") -> Chart:
    """A panel for each model or text: a bar as wide as the token is long, as high as its loss; one scale for all."""
    room = TITLE + max(_label_room([piece.label for piece in panel.row]) for panel in panels)
    height = len(panels) * (PANEL + room)
    chart = figure(title, f"{units}; each bar as wide as its token", height=TOP + height, left=56)
    chart.update_layout(margin={"t": TOP + TITLE, "b": room - TITLE, "r": 12})
    highest = max((in_units(piece.loss, units) for panel in panels for piece in panel.row), default=1.0)
    last = max((piece.stop for panel in panels for piece in panel.row), default=1)
    step = (PANEL + room) / (height - room)
    # As long as this stays the same, the browser need not look whether the bars and labels have changed.
    chart.update_layout(datarevision=str(hash((units, *((panel.title, panel.row) for panel in panels)))))
    for n, panel in enumerate(panels):
        top = 1 - n * step
        scale = quiet_axis(units, showgrid=True, gridcolor=FAINT, nticks=4, range=[0, highest * 1.08])
        scale["domain"] = [max(0.0, top - PANEL / (height - room)), top]
        axis = "" if n == 0 else str(n + 1)
        chart.update_layout(
            {f"yaxis{axis}": scale, f"xaxis{axis}": _labels(panel.row) | {"range": [0, last], "anchor": f"y{axis}"}}
        )
        _add_tokens(chart, panel, axis, units)
    return chart


def _label_room(labels: Sequence[str]) -> int:
    """Pixels below a panel for its labels: one line, or as long as the longest if they stand upright."""
    if len(labels) > LABELLED:
        return 20
    longest = max(map(len, labels), default=0)
    return 34 if _flat(labels) else 22 + round(LETTER * _size(labels) * min(longest, LETTERS))


def _size(labels: Sequence[str]) -> int:
    return TEXT_SIZE - 2 if len(labels) > LARGE else TEXT_SIZE


def _flat(labels: Sequence[str]) -> bool:
    return sum(map(len, labels)) <= FLAT


def _add_tokens(chart: Chart, panel: TokenPanel, axis: str, units: Units) -> None:
    chart.add_bar(
        xaxis=f"x{axis}",
        yaxis=f"y{axis}",
        x=[piece.start for piece in panel.row],
        width=[piece.stop - piece.start for piece in panel.row],
        offset=0,
        y=[in_units(piece.loss, units) for piece in panel.row],
        marker={
            "color": panel.colour,
            "opacity": 0.5,
            "line": {"width": 1, "color": panel.colour},
        },
        # A click chooses; it need not fade the others.
        selected={"marker": {"opacity": 0.5}},
        unselected={"marker": {"opacity": 0.5}},
        customdata=[[piece.j, plain(piece.label), proba_text(-piece.loss)] for piece in panel.row],
        hovertemplate=f"%{{customdata[1]}}<br>loss %{{y:.4f}} {units}<br>p = %{{customdata[2]}}<extra></extra>",
    )
    _add_chosen(chart, panel, axis, units)
    chart.add_annotation(
        x=0,
        xref="paper",
        y=1,
        yref=f"y{axis} domain",
        text=f"<b>{plain(panel.title, 90)}</b>",
        font={"color": panel.colour},
        showarrow=False,
        xanchor="left",
        yanchor="bottom",
    )


def _add_chosen(chart: Chart, panel: TokenPanel, axis: str, units: Units) -> None:
    """The chosen token's bar, solid behind the pale one: a shape, because a new shape alone is drawn in no time."""
    for piece in panel.row:
        if piece.j == panel.chosen:
            chart.add_shape(
                type="rect",
                xref=f"x{axis}",
                yref=f"y{axis}",
                x0=piece.start,
                x1=piece.stop,
                y0=0,
                y1=in_units(piece.loss, units),
                fillcolor=panel.colour,
                line={"color": panel.colour, "width": 3},
                layer="below",
            )


def _labels(pieces: Sequence[AlignedToken]) -> dict[str, object]:
    return _tick_labels([((piece.start + piece.stop) / 2, piece.label) for piece in pieces])


def _tick_labels(places: Sequence[tuple[float, str]]) -> dict[str, object]:
    """An axis with a label under each bar, none if there are too many."""
    shown = places if len(places) <= LABELLED else []
    labels = [label for _, label in shown]
    return quiet_axis(
        "",
        tickvals=[place for place, _ in shown],
        ticktext=[plain(label, LETTERS) for label in labels],
        tickfont={"family": MONO, "size": _size(labels)},
        tickangle=0 if _flat(labels) else -90,
        ticks="",
    )


def difference_chart(
    spans: Sequence[Span], titles: tuple[str, str], units: Units, above: str, colours: tuple[str, str] = RUNS[:2]
) -> Chart:
    """What the first panel paid more than the second for each span; `above` says what a bar above 0 means."""
    gains = [in_units(span.difference, units) for span in spans]
    words = [span.label for span in spans]
    first, second = (plain(title, 60) for title in titles)
    room = _label_room(words)
    chart = figure(
        f"{first} minus {second}", f"{units}; above 0: {plain(above, 60)}", height=TOP + PANEL + room, left=56
    )
    chart.update_layout(margin={"b": room, "r": 12})
    chart.add_bar(
        x=[span.start for span in spans],
        width=[span.stop - span.start for span in spans],
        offset=0,
        y=gains,
        marker={"color": [colours[1 if gain > 0 else 0] for gain in gains], "opacity": 0.75},
        customdata=[
            [plain(word), *(f"{in_units(loss, units):.4f}" for loss in span.losses)]
            for word, span in zip(words, spans, strict=True)
        ],
        hovertemplate="%{customdata[0]}<br>%{customdata[1]} - %{customdata[2]} = %{y:+.4f} "
        + f"{units}<extra></extra>",
    )
    middles = [(span.start + span.stop) / 2 for span in spans]
    chart.update_xaxes(_tick_labels(list(zip(middles, words, strict=True))), range=[0, spans[-1].stop])
    chart.update_yaxes(
        quiet_axis(units, showgrid=True, gridcolor=FAINT, nticks=5, zeroline=True, zerolinecolor=FAINT)
    )
    return chart
