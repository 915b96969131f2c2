"""Two charts of "Surprise in a text": what each token cost, and how the model had ranked the tokens."""

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from gptloss.analysis.words import RANK_CLASSES, rank_counts, running_mean
from gptloss.charts.colours import FAINT, MODEL, TARGET, TARGET_SOFT
from gptloss.charts.figure import Chart
from gptloss.charts.theme import MONO, TEXT_SIZE, figure, plain, quiet_axis
from gptloss.numbers import Units, in_units
from gptloss.scoring.batch import ScoredBatch

# Up to this many tokens each has a bar; more become one line, and past the second number a step is several tokens.
BARS, MOST_POINTS = 200, 2_000
# Up to this many, bars have a label each.
LABELLED = 24
FLAT = 8


def loss_chart(batch: ScoredBatch, k: int, units: Units) -> Chart:
    """The loss of each token with the running mean, which ends at the text's loss; token k stands out.

    Of more than 2,000 tokens, neighbours share a step: their mean, and a paler line at the highest of them.
    """
    losses = _in(units, -batch.log_probas)
    n = len(losses)
    size = -(-n // MOST_POINTS)
    said = (
        f"each step is {size} tokens: their mean, and paler the highest of them" if size > 1 else "as the text goes"
    )
    chart = figure("Loss of each token, and its running mean", f"{units}; {said}", height=340, left=56)
    if size > 1:
        _add_steps(chart, losses, size)
    elif n > BARS:
        _add_line(chart, losses, batch)
    else:
        _add_bars(chart, losses, batch)
    _add_running_mean(chart, running_mean(losses)[_ends(n, size)], _ends(n, size))
    _mark(chart, batch, k, losses[k].item(), n)
    shown = range(n) if n <= LABELLED else range(0)
    chart.update_xaxes(
        quiet_axis(
            "" if shown else "token",
            range=[0.4, n + 0.6],
            tickvals=[place + 1 for place in shown] or None,
            ticktext=[plain(batch.targets[place].label, 14) for place in shown] or None,
            tickfont={"family": MONO, "size": TEXT_SIZE} if shown else {"size": TEXT_SIZE},
            tickangle=-90 if FLAT < n <= LABELLED else None,  # a few turn by themselves where they have no room
            tickformat=",d",
            ticks="",
            automargin=bool(shown),
        )
    )
    top = losses.max().item() or 1.0
    chart.update_yaxes(quiet_axis(units, showgrid=True, gridcolor=FAINT, nticks=6, range=[0, top * 1.2]))
    # As long as this stays the same, the browser need not look whether the tokens have changed.
    chart.update_layout(datarevision=str(hash((units, losses.numpy().tobytes()))))
    return chart


def _in(units: Units, nats: Float[Tensor, " n"]) -> Float[Tensor, " n"]:
    return nats * in_units(1.0, units)


def _ends(n: int, size: int) -> Int[Tensor, " m"]:
    """The last token of each step, from 0."""
    return torch.arange(size - 1, n + size - 1, size).clamp(max=n - 1)


def _add_bars(chart: Chart, losses: Float[Tensor, " n"], batch: ScoredBatch) -> None:
    chart.add_bar(x0=1, y=losses.numpy(), marker_color=TARGET_SOFT, **_hover(batch))


def _add_line(chart: Chart, losses: Float[Tensor, " n"], batch: ScoredBatch) -> None:
    look = {"color": TARGET_SOFT, "width": 1, "shape": "hvh"}
    chart.add_scatter(x0=1, y=losses.numpy(), mode="lines", line=look, fill="tozeroy", **_hover(batch))


def _hover(batch: ScoredBatch) -> dict[str, object]:
    return {
        "hovertext": [plain(token.label) for token in batch.targets],
        "hovertemplate": "token %{x:,}: %{hovertext}<br>loss %{y:.4f}<extra></extra>",
    }


def _add_steps(chart: Chart, losses: Float[Tensor, " n"], size: int) -> None:
    stops = _ends(len(losses), size).numpy() + 1
    starts = np.append(0, stops[:-1])
    highest = np.maximum.reduceat(losses.numpy(), starts)
    means = np.add.reduceat(losses.double().numpy(), starts) / (stops - starts)
    shared = {"x": stops, "mode": "lines", "customdata": starts + 1}
    where = "tokens %{customdata:,} to %{x:,}<br>"
    look = {"color": TARGET_SOFT, "width": 1, "shape": "vh"}
    chart.add_scatter(
        y=highest, line=look, opacity=0.5, hovertemplate=f"{where}highest loss %{{y:.4f}}<extra></extra>", **shared
    )
    chart.add_scatter(
        y=means, line=look, fill="tozeroy", hovertemplate=f"{where}mean loss %{{y:.4f}}<extra></extra>", **shared
    )


def _add_running_mean(chart: Chart, means: Float[Tensor, " m"], ends: Int[Tensor, " m"]) -> None:
    chart.add_scatter(
        x=ends.numpy() + 1,
        y=means.numpy(),
        mode="lines",
        line={"color": MODEL, "width": 3},
        hovertemplate="mean of the first %{x:,}: %{y:.4f}<extra></extra>",
    )
    add_loss(chart, means[-1].item())


def add_loss(chart: Chart, loss: float) -> None:
    """The loss of the whole text, in figures, at its height beside the chart."""
    chart.add_annotation(
        x=1,
        xref="paper",
        y=loss,
        text=f"<b>loss<br>{loss:.4f}</b>",
        font={"color": MODEL},
        align="left",
        showarrow=False,
        xanchor="left",
        xshift=8,
    )
    chart.update_layout(margin_r=92)


def _mark(chart: Chart, batch: ScoredBatch, k: int, loss: float, n: int) -> None:
    """Token k: a shape and its words, because new ones alone are drawn in no time."""
    half = 0.4 if n <= BARS else 0.0
    place = {"x0": k + 1 - half, "x1": k + 1 + half, "y0": 0, "y1": loss}
    chart.add_shape(type="rect", **place, fillcolor=TARGET, line={"color": TARGET, "width": 3})
    chart.add_annotation(
        x=k + 1,
        y=1,
        yref="paper",
        text=f"<b>{plain(batch.targets[k].label)}</b> {loss:.4f}",
        font={"color": TARGET},
        showarrow=False,
        xanchor="left" if k < n / 2 else "right",
        yanchor="top",
    )


def rank_counts_chart(ranks: Int[Tensor, " n"]) -> Chart:
    """How many tokens were the model's first choice, one of its first ten, hundred, thousand, or came later."""
    counts = rank_counts(ranks)
    n = sum(counts)
    chart = figure("How the model had ranked the tokens", "rank 1: its first choice", height=340, left=56)
    chart.add_bar(
        x=list(range(len(counts))),
        y=counts,
        marker_color=MODEL,
        text=[f"<b>{count:,}</b><br>{count / n:.1%}" for count in counts],
        textposition="outside",
        cliponaxis=False,
        customdata=list(RANK_CLASSES),
        hovertemplate="rank %{customdata}<br>%{y:,} tokens<extra></extra>",
    )
    # A phone has no room for them on one line.
    names = [name.replace(" to ", "<br>to ").replace("over ", "over<br>") for name in RANK_CLASSES]
    chart.update_xaxes(
        quiet_axis("rank", tickvals=list(range(len(counts))), ticktext=names, tickangle=0, ticks="", automargin=True)
    )
    chart.update_yaxes(
        quiet_axis("tokens", showgrid=True, gridcolor=FAINT, nticks=5, tickformat=",d", range=[0, max(counts) * 1.25])
    )
    return chart
