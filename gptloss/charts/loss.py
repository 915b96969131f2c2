"""The charts of "Loss, step by step": one position's distribution, and what each token costs."""

import numpy as np

from gptloss.charts.colours import FAINT, GUESS, MODEL, ON_TARGET, ON_TARGET_SOFT, TARGET, TARGET_SOFT
from gptloss.charts.figure import Chart
from gptloss.charts.probabilities import HEIGHT
from gptloss.charts.theme import MONO, TEXT_SIZE, bars_axis, figure, level, plain, quiet_axis
from gptloss.measures import uniform_loss
from gptloss.numbers import LOGARITHMS, Units, in_units, position_name, proba_text
from gptloss.scoring.batch import ScoredBatch
from gptloss.tokens import text_of

# More bars than this have no room for a label each.
LABELLED_BARS = 24


def expected_chart(batch: ScoredBatch, i: int, j: int, k: int = 8) -> Chart:
    """What the model expected at (i, j): its k likeliest tokens, and the target in its place among them."""
    at = batch.index(i, j)
    target, rank = batch.targets[at], int(batch.ranks[at])
    rows = [(p.token, p.log_proba, proba_text(p.log_proba)) for p in batch.top(i, j, k)]
    hidden = 0
    if target not in [token for token, _, _ in rows]:
        hidden = rank - 1 - k
        rows.append(
            (target, batch.log_probas[at].item(), f"{proba_text(batch.log_probas[at].item())} · rank {rank:,}")
        )
    # Places from the top, with one left empty for the tokens between.
    places = [float(place) for place in range(len(rows))]
    if hidden > 0:
        places[-1] += 0.8
    ours = [token == target for token, _, _ in rows]
    probas = [np.exp(log_proba) for _, log_proba, _ in rows]
    chart = figure(position_title(batch, i, j), "what the model expected", height=HEIGHT, left=140)
    chart.add_bar(
        orientation="h",
        x=probas,
        y=places,
        width=0.72,
        marker_color=[TARGET if own else MODEL for own in ours],
        text=[f"<b>{text}</b>" if own else text for (_, _, text), own in zip(rows, ours, strict=True)],
        textposition="outside",
        cliponaxis=False,
        customdata=[[plain(token.label), token.id, proba_text(log_proba, 4)] for token, log_proba, _ in rows],
        hovertemplate="%{customdata[0]}<br>id %{customdata[1]}<br>p = %{customdata[2]}<extra></extra>",
    )
    if hidden > 0:
        chart.add_annotation(x=0, y=places[-1] - 0.9, text=f"… {hidden:,} more", showarrow=False, xanchor="left")
    labels = [
        f"<b>{plain(token.label, 15)}</b>" if own else plain(token.label, 15)
        for (token, _, _), own in zip(rows, ours, strict=True)
    ]
    chart.layout.yaxis = bars_axis(places, labels)
    longest = max(max(probas) * 1.45, probas[-1] + max(probas) * 0.95)
    chart.layout.xaxis = quiet_axis("probability", showticklabels=False, ticks="", range=[0, longest])
    return chart


def losses_chart(batch: ScoredBatch, i: int, j: int, units: Units) -> Chart:
    """The loss of each target token as a bar, the mean and ln V as lines, each bar's share of the sum under it.

    (i, j) stands out. A bar's `customdata` begins with its number k in the flattened list.
    """
    chosen = batch.index(i, j)
    losses = [-in_units(value, units) for value in batch.log_probas.tolist()]
    mean, total = in_units(batch.loss, units), sum(losses)
    guess = in_units(uniform_loss(batch.model.info.vocab_size), units)
    shares = [value / total if total else 0.0 for value in losses]
    symbol = LOGARITHMS[units].html
    few = len(losses) <= LABELLED_BARS
    ticks = range(0, len(losses), 1 + (len(losses) - 1) // LABELLED_BARS)
    chart = figure("What each token costs", f"−{symbol} p in {units}; the mean, {mean:.4f}, is the loss", height=320)
    chart.add_bar(
        x=list(range(len(losses))),
        y=losses,
        marker_color=[TARGET if k == chosen else TARGET_SOFT for k in range(len(losses))],
        text=[plain(token.label) for token in batch.targets] if few else None,
        textposition="inside",
        insidetextanchor="start",
        textfont={
            "family": MONO,
            "size": TEXT_SIZE,
            "color": [ON_TARGET if k == chosen else ON_TARGET_SOFT for k in range(len(losses))],
        },
        customdata=[
            [k, position_name(*position), plain(token.label), f"{shares[k]:.2%}"]
            for k, (position, token) in enumerate(zip(batch.positions, batch.targets, strict=True))
        ],
        hovertemplate=f"%{{customdata[1]}} %{{customdata[2]}}<br>−{symbol} p = %{{y:.4f}} {units}"
        "<br>%{customdata[3]} of the sum<extra></extra>",
    )
    chart.layout.shapes = [level(guess, color=GUESS, dash="dash", width=1.5), level(mean, color=MODEL, width=2)]
    upper = "mean" if mean > guess else "guess"
    chart.layout.annotations = [
        _level_words(mean, f"mean {mean:.2f}", upper == "mean"),
        _level_words(guess, f"blind<br>guess {guess:.2f}", upper == "guess"),
    ]
    chart.layout.xaxis = quiet_axis(
        "target token and its share of the sum" if few else "target token",
        tickvals=list(ticks),
        ticktext=[
            position_markup(*batch.positions[k]) + (f"<br><b>{shares[k]:.0%}</b>" if few else "") for k in ticks
        ],
        ticks="",
        tickangle=0,
    )
    highest = 1.12 * max(*losses, guess)
    chart.layout.yaxis = quiet_axis("", showgrid=True, gridcolor=FAINT, range=[0, highest])
    chart.layout.margin.r, chart.layout.margin.l = 92, 48
    return chart


def _level_words(y: float, text: str, above: bool) -> dict[str, object]:
    """What a line is, at its right end, on the side where the other line is not."""
    anchor = "bottom" if above else "top"
    return {
        "x": 1,
        "xref": "paper",
        "y": y,
        "text": text,
        "showarrow": False,
        "xanchor": "left",
        "yanchor": anchor,
        "align": "left",
        "xshift": 6,
    }


def position_title(batch: ScoredBatch, i: int, j: int) -> str:
    """`p12 after “every effort”`, as Plotly's markup."""
    return f"{position_markup(i, j)} after {_read_so_far(batch, i, j)}"


def position_markup(i: int, j: int) -> str:
    """`p12` with its digits lowered, as Plotly's markup."""
    return f"p<sub>{position_name(i, j)[1:]}</sub>"


def _read_so_far(batch: ScoredBatch, i: int, j: int) -> str:
    row = next(row for row in batch.rows if row.number == i)
    text = text_of(row.inputs[:j])
    if "\ufffd" in text:  # it ends inside a character: show the bytes
        text = "".join(token.label for token in row.inputs[:j])
    return f"“{plain(text if len(text) <= 28 else '…' + text[-27:], 40)}”"
