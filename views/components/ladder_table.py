"""The ladder table: a column for each p_ij, a row for each step. Click or arrow keys choose a column."""

import math
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
from views.visit.fields.text import STEPS

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


def ladder_table(
    data: dict[str, Any],
    at: int,
    key: str,
    on_choose: Callable[[], None],
    step: int = 0,
    on_explain: Callable[[], None] | None = None,
) -> None:
    """Draw the ladder with column `at` chosen and `step` lit.

    In `on_choose`, `chosen(key, batch)` is the column that the visitor chose. With `on_explain` the steps are
    buttons, and there `chosen_step(key)` is the one that was pressed.
    """
    now = {"at": at, "step": step, "explains": on_explain is not None}
    more: dict[str, Any] = {"on_step_change": on_explain} if on_explain else {}
    _mount(data={**data, **now}, key=key, on_chosen_change=on_choose, **more)


def chosen_step(key: str) -> int:
    """The step whose button was pressed; whatever the browser sends, one of them, or 0 for none."""
    try:
        step = int(st.session_state[key].step)
    except (TypeError, ValueError):
        step = 0
    return min(max(step, 0), STEPS)


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
        "all": f"all {v:,}, sum {batch.distribution(*batch.positions[start]).double().sum():.4f}",
        "log": f"{LOGARITHMS[units].symbol} p",
        "notes": {
            "output": f"{_right(batch)} of {len(batch)} right",
            "logit": f"{by_row}\n→ {flat}" if len(by_row) < 24 else flat,
            "softmax": _peak(batch.top_log_probas[shown.start : shown.stop, 0]),
            "proba": f"a guess: 1 in {v:,}",
            "log": units,
        },
        "rows": [len(row.targets) for row in batch.rows],
        "shapes": [by_row if len(by_row) < 60 else f"{len(batch.rows)} rows", flat],
        "mean": f"{in_units(batch.avg_log_proba, units):.4f}",
        "loss": f"{in_units(loss, units):.4f}",
        "base": LOGARITHMS[units].base,
        "perplexity": perplexity_text(loss),
        "agrees": batch.agrees,
        "equals": "equals" if units == "nats" else f"= {batch.loss:.4f} nats by",
        "both": [f"{loss:.7f}", f"{batch.cross_entropy:.7f}"],
        "float32": f"{batch.cross_entropy_float32:.7f}",
    }


def _right(batch: ScoredBatch) -> int:
    """How many first choices are the targets."""
    return sum(token.id == id for token, id in zip(batch.targets, batch.argmax_ids.tolist(), strict=True))


def _peak(first: Float[Tensor, " n"]) -> str:
    """What the pictures show: their heights are probabilities, from 0 to 1."""
    most = first.exp().max().item()
    if most < 0.01:
        return "flat: no token\nhas even 1 %"
    return f"heights are p,\nat most {proba_text(math.log(most))}"


def _columns(batch: ScoredBatch, shown: range, units: Units) -> list[dict[str, Any]]:
    logits = batch.logits_of(shown)
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
                "output": [batch.argmax[k].label, batch.argmax[k].id],
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
    """Some ranks, evenly spaced in their logarithm, and for each position p at these.

    p itself and not its logarithm, so that a first choice with 0.77 is seen to be nearly all of it.
    """
    ordered = np.sort(logits.softmax(-1).numpy(), axis=-1)[:, ::-1]
    ranks = np.unique(np.geomspace(1, ordered.shape[1], CURVE_POINTS).round().astype(int))
    return ranks, ordered[:, ranks - 1]


def _place(rank: int, ranks: np.ndarray) -> float:
    """Where a rank stands along the miniature, from 0 (rank 1) to 1 (rank V)."""
    return float(np.interp(np.log(rank), np.log(ranks), np.linspace(0, 1, len(ranks))))


@st.cache_data(max_entries=256, show_spinner=False)
def cached_ladder_data(question: Question, start: int, units: Units) -> dict[str, Any]:
    """What the ladder table shows from column `start` on; once for all visitors."""
    batch = reading(question).batch
    assert batch is not None
    return ladder_data(batch, start, units)
