"""Results as pandas tables."""

import pandas as pd

from gptloss.numbers import odds_text, position_name
from gptloss.scoring import Prediction, ScoredBatch


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
