"""Entries of a distribution that are shown or listed: the likeliest tokens, or a token that is pointed out."""

from dataclasses import dataclass

from jaxtyping import Float, Int
from torch import Tensor

from gptloss.tokens import Token, Tokenizer


@dataclass(frozen=True)
class Prediction:
    """One entry of a distribution: the token, its logit, its probability, its natural log, its rank (1 = first)."""

    token: Token
    logit: float
    proba: float
    log_proba: float
    rank: int


def predictions(
    tokenizer: Tokenizer, ids: Int[Tensor, " k"], logits: Float[Tensor, " k"], normaliser: Float[Tensor, ""]
) -> tuple[Prediction, ...]:
    """The k likeliest tokens of a distribution, likeliest first, with their ranks. Logs in nats."""
    ranks = 1 + (logits > logits[:, None]).sum(-1)
    return tuple(
        one_prediction(tokenizer.token(id), logit, normaliser, rank)
        for id, logit, rank in zip(ids.tolist(), logits, ranks.tolist(), strict=True)
    )


def one_prediction(token: Token, logit: Float[Tensor, ""], normaliser: Float[Tensor, ""], rank: int) -> Prediction:
    """The entry of a token whose logit and rank are known; the normaliser is the logsumexp of all logits."""
    log_proba = logit - normaliser
    return Prediction(token, logit.item(), log_proba.exp().item(), log_proba.item(), rank)
