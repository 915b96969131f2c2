"""The ladder table: a column for each p_ij, a row for each step. Click or arrow keys choose a column."""

from collections.abc import Callable
from typing import Any

import numpy as np
import streamlit as st
from jaxtyping import Float
from torch import Tensor

from gptloss.lessons.ladder import shapes
from gptloss.numbers import LOGARITHMS, Units, in_units, odds_text, perplexity_text, position_name, proba_text
from gptloss.scoring.batch import ScoredBatch
from gptloss.serving.question import Question
from gptloss.serving.readings import reading
from views.components.bundle import FOLDER, bundle

# More columns than this are shown a page at a time.
COLUMNS = 32
CURVE_POINTS = 24

SCRIPT = bundle("ladder_table.js")

_mount = st.components.v2.component(
    "gptloss_ladder_table",
    html="<div class='ladder'></div>\n",
    css=(FOLDER / "ladder_table.css").read_text("utf-8"),
    js=SCRIPT,
)


def ladder_table(data: dict[str, Any], at: int, key: str, on_choose: Callable[[], None]) -> None:
    """Draw the ladder with column `at` chosen. In `on_choose`, `chosen(key, batch)` is the visitor's choice."""
    _mount(data={**data, "at": at}, key=key, on_chosen_change=on_choose)


def first_column(k: int) -> int:
    """The first of the columns that are shown together with column k."""
    return k // COLUMNS * COLUMNS


def ladder_data(batch: ScoredBatch, start: int, units: Units) -> dict[str, Any]:
    """Everything the table shows from column `start` on, as text for the eye and shapes of small pictures."""
    shown = range(start, min(start + COLUMNS, len(batch)))
    v = batch.model.info.vocab_size
    by_row, flat = shapes(batch)
    loss = batch.loss
    return {
        "count": len(batch),
        "columns": _columns(batch, shown, units),
        "sum": f"{batch.distribution(*batch.positions[start]).double().sum():.4f}",
        "log": f"{LOGARITHMS[units].symbol} p",
        "notes": {
            "logit": f"shape {by_row}" if len(by_row) < 24 else f"shape {flat}",
            "proba": f"guess: 1 in {v:,}",
            "log": units,
        },
        "rows": [len(row.targets) for row in batch.rows],
        "shapes": [by_row if len(by_row) < 60 else f"{len(batch.rows)} rows", flat],
        "mean": f"{in_units(batch.avg_log_proba, units):.4f}",
        "loss": f"{in_units(loss, units):.4f}",
        "base": LOGARITHMS[units].base,
        "perplexity": perplexity_text(loss),
        "agrees": batch.agrees,
        "both": [f"{loss:.7f}", f"{batch.cross_entropy:.7f}"],
        "float32": f"{batch.cross_entropy_float32:.7f}",
    }


def _columns(batch: ScoredBatch, shown: range, units: Units) -> list[dict[str, Any]]:
    logits = batch.model.head(batch.hidden[shown.start : shown.stop])
    ranks, heights = _curves(logits)
    worst = batch.log_probas.abs().max().item() or 1.0
    columns = []
    for k, curve in zip(shown, heights, strict=True):
        i, j = batch.positions[k]
        rank, log_proba = int(batch.ranks[k]), batch.log_probas[k].item()
        columns.append(
            {
                "k": k,
                "row": i,
                "name": position_name(i, j)[1:],
                "input": [batch.inputs[k].label, batch.inputs[k].id],
                "target": [batch.targets[k].label, batch.targets[k].id],
                "logit": f"{batch.logits[k].item():+.4f}",
                "curve": curve.round(3).tolist(),
                "place": round(_place(rank, ranks), 4),
                "rank": f"rank {rank:,}",
                "proba": proba_text(log_proba),
                "odds": odds_text(log_proba),
                "log": f"{in_units(log_proba, units):.4f}",
                "bar": round(abs(log_proba) / worst, 4),
            }
        )
    return columns


def _curves(logits: Float[Tensor, "n v"]) -> tuple[np.ndarray, np.ndarray]:
    """Some ranks, evenly spaced in their logarithm, and for each position ln p at these, from 0 to 1.

    One scale for all positions; the least likely tenth of the tokens may fall below it.
    """
    ordered = np.sort((logits - logits.logsumexp(-1, keepdim=True)).numpy(), axis=-1)[:, ::-1]
    ranks = np.unique(np.geomspace(1, ordered.shape[1], CURVE_POINTS).round().astype(int))
    low, high = ordered[:, int(0.9 * ordered.shape[1])].min(), ordered[:, 0].max()
    return ranks, ((ordered[:, ranks - 1] - low) / ((high - low) or 1.0)).clip(0, 1)


def _place(rank: int, ranks: np.ndarray) -> float:
    """Where a rank stands along the miniature, from 0 (rank 1) to 1 (rank V)."""
    return float(np.interp(np.log(rank), np.log(ranks), np.linspace(0, 1, len(ranks))))


@st.cache_data(max_entries=256, show_spinner=False)
def cached_ladder_data(question: Question, start: int, units: Units) -> dict[str, Any]:
    """What the ladder table shows from column `start` on; once for all visitors."""
    batch = reading(question).batch
    assert batch is not None
    return ladder_data(batch, start, units)
