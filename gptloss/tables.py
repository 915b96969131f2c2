"""Results as pandas tables."""

import json
from collections.abc import Callable, Sequence

import pandas as pd
from jaxtyping import Int
from torch import Tensor

from gptloss.analysis.words import RANK_CLASSES, rank_counts
from gptloss.numbers import odds_text, position_name
from gptloss.scoring.batch import ScoredBatch
from gptloss.scoring.predictions import Prediction
from gptloss.tokens import Token


def ladder_table(batch: ScoredBatch) -> pd.DataFrame:
    """One line a target token, in the order of the flattened list. Logs and entropies in nats."""
    log_probas = batch.log_probas.double()
    return pd.DataFrame(
        {
            "p": [position_name(i, j) for i, j in batch.positions],
            "input": [token.label for token in batch.inputs],
            "input_id": [token.id for token in batch.inputs],
            "target": [token.label for token in batch.targets],
            "target_id": [token.id for token in batch.targets],
            "logit": batch.logits.double().numpy(),
            "target_proba": log_probas.exp().numpy(),
            "odds": [odds_text(value) for value in log_probas.tolist()],
            "log_proba": log_probas.numpy(),
            "loss_share": (log_probas / log_probas.sum()).numpy(),
            "rank": batch.ranks.numpy(),
            "entropy": batch.entropies.double().numpy(),
            "argmax": [token.label for token in batch.argmax],
            "argmax_id": batch.argmax_ids.numpy(),
        }
    )


def predictions_table(predictions: tuple[Prediction, ...]) -> pd.DataFrame:
    """One line a prediction, likeliest first."""
    return pd.DataFrame(
        {
            "rank": [prediction.rank for prediction in predictions],
            "token": [prediction.token.label for prediction in predictions],
            "id": [prediction.token.id for prediction in predictions],
            "proba": [prediction.proba for prediction in predictions],
            "odds": [odds_text(prediction.log_proba) for prediction in predictions],
            "log_proba": [prediction.log_proba for prediction in predictions],
        }
    )


def text_table(batch: ScoredBatch, write: Callable[[Token], str] = lambda token: token.label) -> pd.DataFrame:
    """One line a token of the texts, with the five likeliest there; logs and entropies in nats, bytes as hex.

    What was only read, at the start of a row, has no numbers. `write` is how a token is written.
    """
    scored = pd.DataFrame(
        {
            "p": [position_name(i, j) for i, j in batch.positions],
            **_written(batch.targets, write),
            "log_proba": batch.log_probas.double().numpy(),
            "rank": pd.array(batch.ranks.numpy(), "Int64"),
            "entropy": batch.entropies.double().numpy(),
        }
    )
    for k in range(min(5, batch.top_ids.shape[1])):
        scored[f"top_{k + 1}"] = [write(batch.model.tokenizer.token(id)) for id in batch.top_ids[:, k].tolist()]
        scored[f"top_{k + 1}_log_proba"] = batch.top_log_probas[:, k].double().numpy()
    parts = []
    for row in batch.rows:
        if not row.starts:
            parts.append(pd.DataFrame({"p": [""], **_written(row.inputs[:1], write)}))
        first = batch.index(row.number, 1)
        parts.append(scored[first : first + len(row.targets)])
    return pd.concat(parts, ignore_index=True)[list(scored)]


def _written(tokens: Sequence[Token], write: Callable[[Token], str]) -> dict[str, list[object]]:
    return {
        "id": [token.id for token in tokens],
        "bytes": [token.raw.hex() for token in tokens],
        "text": [write(token) for token in tokens],
    }


def rank_table(ranks: Int[Tensor, " n"]) -> pd.DataFrame:
    """How many tokens, and what share of them, the model had ranked 1, 2 to 10, 11 to 100 and so on."""
    counts = rank_counts(ranks)
    return pd.DataFrame({"rank": RANK_CLASSES, "tokens": counts, "share": [count / len(ranks) for count in counts]})


def text_csv(batch: ScoredBatch) -> str:
    """The same as CSV. Texts are in quotes, as in JSON, so that no spreadsheet takes `=1+1` for a formula."""
    return text_table(batch, lambda token: json.dumps(token.text, ensure_ascii=False)).to_csv(index=False)
