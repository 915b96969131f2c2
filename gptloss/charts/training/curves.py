"""The losses of a training run, between ln V and 0."""

import math
from collections.abc import Sequence

from gptloss.charts.colours import FAINT, GUESS, MODEL, TARGET
from gptloss.charts.figure import Chart
from gptloss.charts.theme import figure, level, quiet_axis
from gptloss.numbers import LOGARITHMS, Units, in_units
from gptloss.training.snapshot import Baselines, Snapshot

# Pixels. The margins are those of every chart but the left one, so a page can tell where a step lies.
HEIGHT, LEFT, RIGHT, TOP, BOTTOM = 390, 60, 16, 72, 60


def curves_chart(
    snapshots: Sequence[Snapshot],
    reached: Baselines,
    v: int,
    units: Units,
    last: int,
    batches: int,
    turn: Snapshot | None = None,
    *,
    other: Sequence[Snapshot] = (),
    other_title: str = "",
) -> Chart:
    """Training and validation loss of every look, the baselines as lines across, and where over-fitting begins.

    `last` is the last step of the run, `batches` the steps of an epoch. Another run is drawn dotted.
    """
    per_step = snapshots[-1].tokens // snapshots[-1].step if snapshots[-1].step else 0
    chart = figure(
        "Loss while it trains",
        f"{units} per token" + (f"; dotted: {other_title[:1].lower()}{other_title[1:]}" if other else ""),
        height=HEIGHT,
        left=LEFT,
    )
    top = top_of(snapshots, reached, units, other)
    chart.layout.shapes = [
        level(in_units(value, units), color=GUESS, width=1, dash="dash") for _, value in _levels(reached, v, units)
    ]
    chart.layout.annotations = [
        {
            "x": 1,
            "xref": "paper",
            "xanchor": "right",
            "y": in_units(value, units),
            "yanchor": "bottom",
            "text": f"{name} {in_units(value, units):.2f}",
            "showarrow": False,
            "font": {"size": 13},
        }
        for name, value in _levels(reached, v, units)
    ]
    for looks, dash, width in ((other, "dot", 2), (snapshots, "solid", 3)):
        for name, colour in (("training", MODEL), ("validation", TARGET)):
            if looks:
                _line(chart, looks, name, colour, units, dash, width)
    if turn:
        _mark(chart, turn, units, last, top)
    chart.layout.xaxis = quiet_axis(_steps_title(per_step, batches, last), range=[0, last], tickformat=",d", nticks=7)
    chart.layout.yaxis = quiet_axis("", showgrid=True, gridcolor=FAINT, range=[0, top], nticks=7)
    return chart


def top_of(snapshots: Sequence[Snapshot], reached: Baselines, units: Units, other: Sequence[Snapshot] = ()) -> float:
    """The upper end of the axis of losses, in `units`."""
    losses = [loss for look in (*snapshots, *other) for loss in (look.train_loss, look.val_loss)]
    return 1.07 * in_units(max(reached.uniform, *losses), units)


def _levels(reached: Baselines, v: int, units: Units) -> list[tuple[str, float]]:
    guess = f"a blind guess, {LOGARITHMS[units].symbol} {v:,} ="
    return [(guess, reached.uniform), ("unigram", reached.unigram), ("bigram", reached.bigram)]


def _line(
    chart: Chart, looks: Sequence[Snapshot], name: str, colour: str, units: Units, dash: str, width: float
) -> None:
    losses = [in_units(look.train_loss if name == "training" else look.val_loss, units) for look in looks]
    chart.add_scatter(
        x=[look.step for look in looks],
        y=losses,
        mode="lines" if len(looks) > 1 else "markers",
        line={"color": colour, "width": width, "dash": dash},
        customdata=[[look.epoch, look.tokens] for look in looks],
        hovertemplate=(
            f"{name} loss %{{y:.4f}} {units}<br>step %{{x:,}}, epoch %{{customdata[0]:.1f}},"
            " %{customdata[1]:,} tokens<extra></extra>"
        ),
    )


def _mark(chart: Chart, turn: Snapshot, units: Units, last: int, top: float) -> None:
    """Where over-fitting begins: in words below the curve, if there is room above the training loss."""
    loss, training = in_units(turn.val_loss, units), in_units(turn.train_loss, units)
    chart.add_scatter(
        x=[turn.step],
        y=[loss],
        mode="markers",
        marker={"color": TARGET, "size": 13, "symbol": "circle-open", "line": {"width": 3}},
        hoverinfo="skip",
    )
    chart.add_annotation(
        x=turn.step,
        y=loss,
        text=f"<b>over-fitting begins, step {turn.step:,}</b>",
        font={"color": TARGET},
        showarrow=True,
        arrowhead=0,
        arrowcolor=TARGET,
        standoff=8,
        ax=0,
        ay=24 if loss - training > top / 4 else -60,
        xanchor="left" if turn.step < last / 2 else "right",
    )


def _steps_title(per_step: int, batches: int, last: int) -> str:
    """What a round number of steps is in epochs and tokens."""
    steps = 10 ** max(0, round(math.log10(max(last, 1))) - 1)
    tokens = f", {steps * per_step:,} tokens" if per_step else ""
    return f"step; {steps:,} are {steps / batches:.1f} epochs{tokens}"
