"""The chart of draws from one distribution: the law of large numbers."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int
from torch import Tensor

from gptloss.charts.colours import RUNS
from gptloss.charts.figure import Chart
from gptloss.charts.sampling import AFTER, BARS, BOTTOM, TOP, tall_figure, token_axis
from gptloss.charts.theme import TEXT_SIZE, plain, quiet_axis
from gptloss.prediction.sampled import SampledDistribution

DRAWN, ON_DRAWN = RUNS[1], "#ffffff"
ROW = 30
OTHERS = "all others"
# If all the others together are this many times as likely as the first, their bar runs off the axis.
MOST_TIMES = 4
# The axis is this many times as long as the longest bar, to leave room for the figure behind it.
ROOM = 1.15
# Between a bar and its figure; a plain blank would be left out.
BLANK = "\N{NO-BREAK SPACE}"


@dataclass(frozen=True)
class _Drawn:
    """A bar for each token: the share of the n draws that it got, its probability, two standard deviations of it."""

    n: int
    named: int
    shares: Float[np.ndarray, " k"]
    probas: Float[np.ndarray, " k"]

    @property
    def spread(self) -> Float[np.ndarray, " k"]:
        return 2 * np.sqrt(self.probas * (1 - self.probas) / self.n)

    @property
    def within(self) -> int:
        """How many shares are within two standard deviations of the probability."""
        return int((np.abs(self.shares - self.probas) <= self.spread + 1e-12).sum())

    @property
    def ends(self) -> Float[np.ndarray, " k"]:
        return np.maximum(self.shares, self.probas + self.spread)

    @property
    def widest(self) -> float:
        """How far the axis goes."""
        longest = float(self.ends[: self.named].max())
        last = float(self.ends.max())
        return last if last < MOST_TIMES * longest else longest


def draws_chart(choice: SampledDistribution, counts: Int[Tensor, " v"]) -> Chart:
    """How often each of the likeliest tokens was drawn, against its probability, two standard deviations around it.

    `counts` says how often each of the V tokens was drawn. A share of n draws has the standard deviation
    sqrt(p (1 - p) / n).
    """
    ids = choice.before.likeliest(BARS)
    drawn = _drawn(choice, ids, counts)
    places = [float(k) for k in range(len(drawn.shares))]
    more = [OTHERS] * (len(places) - len(ids))
    chart = tall_figure(f"{drawn.n:,} draws", _legend(drawn), TOP + BOTTOM + ROW * len(places), left=148)
    _add_shares(chart, places, drawn, [*(plain(choice.label(id)) for id in ids), *more])
    _add_probas(chart, places, drawn)
    _add_counts(chart, places, drawn)
    across = [0, drawn.widest * ROOM]
    chart.layout.xaxis = quiet_axis("share of the draws", tickformat="~g", nticks=5, ticks="", range=across)
    chart.layout.yaxis = token_axis(choice, ids, places, more)
    return chart


def _drawn(choice: SampledDistribution, ids: tuple[int, ...], counts: Int[Tensor, " v"]) -> _Drawn:
    n = int(counts.sum())
    probas = choice.after[list(ids)].exp().numpy().clip(0, 1)
    shares = counts[list(ids)].double().numpy() / n
    if len(choice.logits) > len(ids):
        probas = np.append(probas, max(0.0, 1 - probas.sum()))
        shares = np.append(shares, max(0.0, 1 - shares.sum()))
    return _Drawn(n, len(ids), shares, probas)


def _legend(drawn: _Drawn) -> str:
    return (
        f'<span style="color:{DRAWN}">■</span> drawn  <span style="color:{AFTER}">◆</span> probability ± 2 standard'
        f"<br>deviations: {drawn.within} of {len(drawn.shares)} bars end within"
    )


def _add_shares(chart: Chart, places: list[float], drawn: _Drawn, names: list[str]) -> None:
    times = [f"drawn {round(share * drawn.n):,} times" for share in drawn.shares]
    expected = [f"expected {drawn.n * p:,.1f} times" for p in drawn.probas]
    chart.add_bar(
        orientation="h",
        x=drawn.shares,
        y=places,
        width=0.62,
        marker_color=DRAWN,
        customdata=list(zip(names, times, expected, strict=True)),
        hovertemplate="%{customdata[0]}<br>%{customdata[1]}, %{customdata[2]}<extra></extra>",
    )


def _add_probas(chart: Chart, places: list[float], drawn: _Drawn) -> None:
    below = np.minimum(drawn.spread, drawn.probas)
    chart.add_scatter(
        x=drawn.probas,
        y=places,
        mode="markers",
        marker={"color": AFTER, "size": 9, "symbol": "diamond"},
        error_x={"type": "data", "array": drawn.spread, "arrayminus": below, "color": AFTER, "thickness": 2},
        hoverinfo="skip",
    )


def _add_counts(chart: Chart, places: list[float], drawn: _Drawn) -> None:
    """How often, behind each bar; on it if it runs off the axis. As traces: annotations would take far longer."""
    for end, place, share in zip(drawn.ends, places, drawn.shares, strict=True):
        if end > drawn.widest:
            text = f"<b>{round(share * drawn.n):,} →</b>{BLANK}"
            _add_text(chart, [drawn.widest * ROOM], [place], [text], "middle left", {"color": ON_DRAWN})
    near = [k for k, end in enumerate(drawn.ends) if end <= drawn.widest]
    texts = [f"{BLANK * 2}{round(drawn.shares[k] * drawn.n):,}" for k in near]
    _add_text(chart, drawn.ends[near].tolist(), [places[k] for k in near], texts, "middle right", {})


def _add_text(
    chart: Chart,
    x: Sequence[float],
    y: Sequence[float],
    texts: list[str],
    position: str,
    font: dict[str, object],
) -> None:
    chart.add_scatter(
        x=x,
        y=y,
        mode="text",
        text=texts,
        textposition=position,
        textfont={"size": TEXT_SIZE - 2, **font},
        cliponaxis=False,
        hoverinfo="skip",
    )
