"""The charts of "Temperature and sampling": a distribution before and after."""

import math
from collections.abc import Sequence

import numpy as np
from jaxtyping import Float, Int

from gptloss.charts.colours import GUESS, MODEL, TARGET
from gptloss.charts.figure import Chart
from gptloss.charts.theme import TEXT_SIZE, bars_axis, figure, plain, proba_axis, quiet_axis, rank_axis
from gptloss.numbers import proba_text
from gptloss.prediction.distribution import log_spaced_ranks
from gptloss.prediction.sampled import SampledDistribution

BEFORE, AFTER = MODEL, TARGET
# The likeliest tokens that have a bar.
BARS = 12
# This keeps a chart below 10 kB: Streamlit's browser side caches larger messages, and may miss one it has dropped.
CURVE_POINTS = 80
# Pixels of a token's bars, of the title, and of the axis below.
ROW, TOP, BOTTOM = 32, 96, 52
LOWEST = 300
LETTERS = 14
CLEAR = "rgba(0, 0, 0, 0)"


def shown_ids(choice: SampledDistribution) -> tuple[int, ...]:
    """The likeliest tokens, and at last the one that really came if it is not among them."""
    likeliest = choice.before.likeliest(BARS)
    return likeliest if choice.target is None or choice.target in likeliest else (*likeliest, choice.target)


def _bar_places(choice: SampledDistribution) -> list[float]:
    """Where the bars stand, from the top; a gap before a token that is far behind the others."""
    ids = shown_ids(choice)
    gap = choice.target is not None and len(ids) > BARS and choice.before.place(choice.target) > BARS + 1
    return [k + 0.6 if gap and k == BARS else float(k) for k in range(len(ids))]


def _height(choice: SampledDistribution) -> int:
    """Pixels that the bars take, and the charts beside them."""
    return TOP + BOTTOM + max(LOWEST, round(ROW * (_bar_places(choice)[-1] + 1)))


def tall_figure(title: str, legend: str, height: int, left: int = 72) -> Chart:
    """A figure with room for two lines below its title.

    Set its axes by `layout.xaxis = ...`: `update_xaxes` takes ten times as long, and these charts follow a slider.
    """
    chart = figure(title, legend, height, left)
    chart.layout.margin.t, chart.layout.margin.b = TOP, BOTTOM
    return chart


def bars_chart(choice: SampledDistribution, title: str = "Before and after") -> Chart:
    """The likeliest tokens, each with its probability before and after; a token that is cut off has a hatched bar.

    `title` is Plotly's markup.
    """
    places = _bar_places(choice)
    chart = tall_figure(title, _legend(choice), _height(choice), left=148)
    chart.layout.barmode = "overlay"
    before = [choice.before.log_proba(id) for id in shown_ids(choice)]
    after = choice.after[list(shown_ids(choice))].tolist()
    lost = [log == -math.inf for log in after]
    heated = [
        choice.heated.log_proba(id) if gone and not choice.sampler.greedy else -math.inf
        for id, gone in zip(shown_ids(choice), lost, strict=True)
    ]
    names = [plain(choice.label(id)) for id in shown_ids(choice)]
    _add_bars(chart, places, before, -0.4, {"color": BEFORE}, _figures(before), names)
    _add_bars(chart, places, after, 0, {"color": AFTER}, _figures(after), names)
    hatched: dict[str, object] = {
        "color": CLEAR,
        "line": {"color": AFTER, "width": 1},
        "pattern": {"shape": "/", "fgcolor": AFTER},
    }
    _add_bars(chart, places, heated, 0, hatched, ["cut off" if gone else "" for gone in lost], names)
    longest = math.exp(max(*before, *after, *heated))
    chart.layout.xaxis = quiet_axis("probability", showticklabels=False, ticks="", range=[0, longest * 1.4])
    chart.layout.yaxis = token_axis(choice, shown_ids(choice), places)
    return chart


def _add_bars(
    chart: Chart,
    places: Sequence[float],
    logs: Sequence[float],
    offset: float,
    marker: dict[str, object],
    texts: Sequence[str],
    names: Sequence[str],
) -> None:
    chart.add_bar(
        orientation="h",
        x=np.exp(logs),
        y=places,
        offset=offset,
        width=0.38,
        marker=marker,
        text=texts,
        textposition="outside",
        textfont={"size": TEXT_SIZE - 2},
        cliponaxis=False,
        constraintext="none",
        customdata=list(zip(names, texts, strict=True)),
        hovertemplate="%{customdata[0]}<br>p = %{customdata[1]}<extra></extra>",
    )


def _figures(logs: Sequence[float]) -> list[str]:
    """Four decimals, as the book prints them, and more for what these cannot hold; nothing for what is cut off."""
    return [
        "" if log == -math.inf else f"{math.exp(log):.4f}" if log > math.log(0.001) else proba_text(log)
        for log in logs
    ]


def _legend(choice: SampledDistribution) -> str:
    return (
        f'<span style="color:{BEFORE}">■</span> before: the model’s own'
        f'<br><span style="color:{AFTER}">■</span> after: {choice.said}'
    )


def token_axis(
    choice: SampledDistribution, ids: Sequence[int], places: Sequence[float], more: Sequence[str] = ()
) -> dict[str, object]:
    """An axis with the tokens' labels; the one that really came is marked."""
    labels = [plain(choice.label(id), LETTERS) for id in ids]
    marked = [f"<b>▸ {text}</b>" if id == choice.target else text for id, text in zip(ids, labels, strict=True)]
    return bars_axis(places, [*marked, *more])


def ranks_chart(choice: SampledDistribution) -> Chart:
    """All V probabilities by rank on log axes, before and after, and where they are cut off."""
    v, kept = len(choice.logits), choice.kept
    ranks = log_spaced_ranks(v, CURVE_POINTS)
    left = np.unique([*ranks[ranks <= kept], kept])
    after = np.sort(choice.after.numpy())[::-1]
    chart = tall_figure("All tokens by rank", _legend(choice), _height(choice))
    _add_curve(chart, ranks, choice.before.ordered[ranks - 1], {"color": BEFORE, "width": 5})
    if kept < v:
        _add_cut(chart, kept, v)
    if kept < v and not choice.sampler.greedy:
        _add_curve(chart, ranks, choice.heated.ordered[ranks - 1], {"color": AFTER, "width": 1.5, "dash": "dot"})
    _add_curve(chart, left, after[left - 1], {"color": AFTER, "width": 2.5}, mode="lines" if kept > 1 else "markers")
    chart.layout.xaxis, chart.layout.yaxis = rank_axis(v), proba_axis(*_frame(choice))
    return chart


def _frame(choice: SampledDistribution) -> tuple[float, float]:
    """log10 of the probabilities at the lower and upper edge: a sharp distribution falls out of the picture."""
    lowest = float(choice.before.ordered[-1]) / math.log(10)
    highest = max(float(choice.before.ordered[0]), choice.after.max().item()) / math.log(10)
    return lowest - 0.25 * (highest - lowest) - 0.2, highest + 0.3


def _add_curve(
    chart: Chart,
    ranks: Int[np.ndarray, " n"],
    logs: Float[np.ndarray, " n"],
    line: dict[str, object],
    mode: str = "lines",
) -> None:
    chart.add_scatter(
        x=ranks.astype(np.int32),
        y=np.exp(logs),
        mode=mode,
        line=line,
        marker={"color": line["color"], "size": 11},
        hovertemplate="rank %{x:,}<br>p = %{y:.3g}<extra></extra>",
    )


def _add_cut(chart: Chart, kept: int, v: int) -> None:
    """A line between the last rank that is kept and the first that is not."""
    x = math.log10(math.sqrt(kept * (kept + 1)))
    left = kept > math.sqrt(v)
    ends = {"x0": 10**x, "x1": 10**x, "y0": 0, "y1": 1, "yref": "paper"}
    chart.layout.shapes = [{"type": "line", **ends, "line": {"color": GUESS, "width": 1.5, "dash": "dash"}}]
    chart.layout.annotations = [
        {
            "x": x,
            "y": 0,
            "yref": "paper",
            "text": f"{kept:,} kept" if left else f"{v - kept:,} cut off",
            "showarrow": False,
            "xanchor": "right" if left else "left",
            "xshift": -6 if left else 6,
            "yanchor": "bottom",
        }
    ]
