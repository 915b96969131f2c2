"""A changed position, as a waterfall: what it and every later position of its row gains or loses."""

from gptloss.charts.colours import FAINT, MODEL, TARGET, TRAINED
from gptloss.charts.figure import Chart
from gptloss.charts.theme import figure, plain, quiet_axis
from gptloss.lessons.what_if import Branch
from gptloss.numbers import Units, in_units, position_name

# More bars than this have no room for a label each: what is left of the row is one bar.
BARS, LABELLED = 32, 14


def waterfall_chart(branch: Branch, units: Units) -> Chart:
    """A bar for each position from the changed one on, then the sum; up is worse."""
    touched = list(branch.touched)
    shown, rest = touched[:BARS], touched[BARS:]
    changes = [in_units(value, units) for value in branch.changes.tolist()]
    values = [changes[k] for k in shown]
    names = [plain(branch.targets[k].label, 12) for k in shown]
    hovers = [position_name(*branch.batch.positions[k]) for k in shown]
    if rest:
        values.append(sum(changes[k] for k in rest))
        names.append(f"{len(rest):,} more")
        hovers.append("the rest of the row")
    total = sum(values)
    loss = in_units(branch.change, units)
    chart = figure(
        "What each position gains or loses",
        f"{units}; the sum, {total:+.4f}, over {len(branch.batch):,} targets is {loss:+.4f} of loss",
        height=340,
        left=54,
    )
    few = len(values) <= LABELLED
    chart.add_waterfall(
        x=list(range(len(values) + 1)),
        y=[*values, total],
        measure=["relative"] * len(values) + ["total"],
        text=[f"{value:+.2f}" for value in (*values, total)] if few else None,
        textposition="outside",
        cliponaxis=False,
        increasing={"marker": {"color": TARGET}},
        decreasing={"marker": {"color": TRAINED}},
        totals={"marker": {"color": MODEL}},
        connector={"line": {"color": FAINT, "width": 1}},
        customdata=[[hover, name] for hover, name in zip((*hovers, "all"), (*names, "sum"), strict=True)],
        hovertemplate=f"%{{customdata[0]}} %{{customdata[1]}}<br>%{{delta:+.4f}} {units}<extra></extra>",
    )
    reached = [sum(values[:n]) for n in range(len(values) + 1)]
    room = 0.16 * (max(reached) - min(reached) or 1.0)
    chart.layout.xaxis = quiet_axis(
        "",
        tickvals=list(range(len(values) + 1)),
        ticktext=[*names, "<b>sum</b>"],
        tickangle=-40 if len(values) > 5 else 0,
        ticks="",
    )
    chart.layout.yaxis = quiet_axis(
        "",
        showgrid=True,
        gridcolor=FAINT,
        zeroline=True,
        zerolinecolor=FAINT,
        range=[min(reached) - room, max(reached) + room],
        nticks=6,
    )
    chart.layout.margin.b = 74
    return chart
