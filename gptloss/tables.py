"""Results as pandas tables."""

import json
from collections.abc import Callable, Sequence

import pandas as pd

from gptloss.numbers import odds_text, position_name
from gptloss.scoring import Prediction, ScoredBatch
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
    top = batch.top_ids[:, :5]
    likeliest = [[write(batch.model.tokenizer.token(id)) for id in ids] for ids in top.T.tolist()]
    table = pd.DataFrame(
        {
            "p": [position_name(i, j) for i, j in batch.positions],
            **_written(batch.targets, write),
            "log_proba": batch.log_probas.double().numpy(),
            "rank": batch.ranks.numpy(),
            "entropy": batch.entropies.double().numpy(),
        }
        | {
            name: column
            for k, tokens in enumerate(likeliest, 1)
            for name, column in (
                (f"top_{k}", tokens),
                (f"top_{k}_log_proba", batch.top_log_probas[:, k - 1].double().numpy()),
            )
        }
    ).astype({"rank": "Int64"})
    parts, start = [], 0
    for row in batch.rows:
        only_read = () if row.starts else row.inputs[:1]
        stop = start + len(row.targets)
        parts += [pd.DataFrame({"p": "", **_written(only_read, write)}), table[start:stop]]
        start = stop
    return pd.concat([part for part in parts if len(part)], ignore_index=True)[list(table)]


def _written(tokens: Sequence[Token], write: Callable[[Token], str]) -> dict[str, list[object]]:
    return {
        "id": [token.id for token in tokens],
        "bytes": [token.raw.hex() for token in tokens],
        "text": [write(token) for token in tokens],
    }


def text_csv(batch: ScoredBatch) -> str:
    """The same as CSV. Texts are in quotes, as in JSON, so that no spreadsheet takes `=1+1` for a formula."""
    return text_table(batch, lambda token: json.dumps(token.text, ensure_ascii=False)).to_csv(index=False)
