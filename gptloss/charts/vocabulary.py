"""All V probabilities of one position in the order of the vocabulary, as the book's figure 5.6 draws them."""

import math
from collections.abc import Sequence

import numpy as np
import torch

from gptloss.charts.colours import FAINT, MODEL, TARGET
from gptloss.charts.figure import Chart
from gptloss.charts.probabilities import HEIGHT, Mark
from gptloss.charts.theme import MONO, TEXT_SIZE, figure, plain, proba_axis, quiet_axis
from gptloss.numbers import position_name, proba_text
from gptloss.prediction.distribution import Distribution
from gptloss.scoring.batch import ScoredBatch

# As many lines as a chart has room for; each is as high as the likeliest of the tokens that share its place.
LINES = 360
# Pixels of a line of words above the plot.
LINE = 18
# The vocabulary of the book's figure 5.6; its logits are random here too, from this seed.
SEVEN_WORDS = ("a", "effort", "every", "forward", "moves", "you", "zoo")
SEED = 123


def vocabulary_chart(distribution: Distribution, marks: Sequence[Mark], where: str = "") -> Chart:
    """Probabilities by index, from 0 to V - 1, on a log axis; the marked tokens stand out.

    `where` says which row of the flattened logits it is.
    """
    v = len(distribution)
    logs = distribution.log_probas.numpy()
    ids = _highest_of_each_place(logs)
    at = [(mark, mark.token.id, distribution.log_proba(mark.token.id)) for mark in marks]
    low = min(float(logs[ids].min()), *(log for *_, log in at)) / math.log(10) - 0.4
    high = float(logs.max()) / math.log(10)
    chart = figure(f"All {v:,} probabilities by index", where or "in the order of the vocabulary", height=HEIGHT)
    chart.add_scatter(
        x=[x for id in ids for x in (id, id, None)],
        y=[y for id in ids for y in (math.exp(logs[id]), 10**low, None)],
        mode="lines",
        line={"color": MODEL, "width": 1.5},
        opacity=0.75,
        hoverinfo="skip",
    )
    for mark, id, log in at:
        chart.add_scatter(
            x=[id, id],
            y=[math.exp(log), 10**low],
            mode="lines+markers",
            line={"color": mark.colour, "width": 3},
            marker={"size": [11, 0], "opacity": 1},
            hovertemplate=f"{plain(mark.token.label)}<br>index {id:,}<br>p = {proba_text(log)}<extra></extra>",
        )
    words = [
        f"{mark.sign} <b>{plain(mark.token.label, 14)}</b> index {id:,}, p {proba_text(log)}".strip()
        for mark, id, log in at
    ]
    chart.add_annotation(
        x=1, xref="paper", xanchor="right", y=1, yref="paper", yanchor="bottom", align="right",
        text="<br>".join(words), showarrow=False,
    )  # fmt: skip
    chart.layout.margin.t += LINE * len(words)
    chart.layout.xaxis = quiet_axis(
        "index in the vocabulary; equal heights are equal factors of p",
        range=[-0.01 * v, 1.01 * v],
        tickformat=",d",
        nticks=6,
    )
    chart.layout.yaxis = proba_axis(low, high + 0.06 * (high - low))
    return chart


def index_sentence(batch: ScoredBatch, at: tuple[int, int]) -> str:
    """Where p_ij stands: its row of the flattened logits, and its index there. As Plotly's markup."""
    k = batch.index(*at)
    name = f"p<sub>{position_name(*at)[1:]}</sub>"
    return f"row {k + 1:,} of the flattened logits, index {batch.targets[k].id:,} → {name}"


def _highest_of_each_place(logs: np.ndarray) -> list[int]:
    """The id of the likeliest token in each of at most `LINES` stretches of the vocabulary."""
    width = -(-len(logs) // LINES)
    stretches = np.pad(logs, (0, -len(logs) % width), constant_values=-np.inf).reshape(-1, width)
    return (stretches.argmax(axis=1) + width * np.arange(len(stretches))).tolist()


def seven_words_chart() -> Chart:
    """The same for the seven words of the book's figure 5.6, before training: what stands at index 1 is p11."""
    logits = torch.randn(len(SEVEN_WORDS), generator=torch.Generator().manual_seed(SEED)).double()
    probas = logits.softmax(-1).tolist()
    effort = SEVEN_WORDS.index("effort")
    where = f"after “every”: row 1, index {effort} → p<sub>11</sub>"
    chart = figure("A vocabulary of seven words", where, height=HEIGHT)
    chart.add_bar(
        x=list(range(len(SEVEN_WORDS))),
        y=probas,
        marker_color=[TARGET if id == effort else MODEL for id in range(len(SEVEN_WORDS))],
        text=[f"{proba:.4f}" for proba in probas],
        textposition="outside",
        cliponaxis=False,
        hovertemplate="index %{x}<br>p = %{y:.4f}<extra></extra>",
    )
    chart.layout.xaxis = quiet_axis(
        f"index and word; random logits, seed {SEED}; they sum to {sum(probas):.4f}",
        tickvals=list(range(len(SEVEN_WORDS))),
        ticktext=[f"{id}<br>{word}" for id, word in enumerate(SEVEN_WORDS)],
        tickfont={"family": MONO, "size": TEXT_SIZE},
        ticks="",
    )
    chart.layout.yaxis = quiet_axis("probability", showgrid=True, gridcolor=FAINT, range=[0, 1.15 * max(probas)])
    return chart
