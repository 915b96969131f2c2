"""Pure functions of tensors: what can be read off logits and a target. All logs are natural (nats).

Axes: n target positions, v vocabulary, d width of the hidden states.
"""

import math

import torch
from jaxtyping import Float, Int
from torch import Tensor

from gptloss.errors import GptlossError


def target_log_probas(logits: Float[Tensor, "n v"], targets: Int[Tensor, " n"]) -> Float[Tensor, " n"]:
    """ln p of each target, in nats: its logit minus logsumexp of the row, without a softmax over all of it."""
    return target_logits(logits, targets) - logits.logsumexp(-1)


def target_logits(logits: Float[Tensor, "n v"], targets: Int[Tensor, " n"]) -> Float[Tensor, " n"]:
    """The logit of each target."""
    return logits.gather(-1, targets[:, None]).squeeze(-1)


def target_ranks(logits: Float[Tensor, "n v"], targets: Int[Tensor, " n"]) -> Int[Tensor, " n"]:
    """1 + the number of strictly larger logits: rank 1 is the model's first choice."""
    larger = logits > target_logits(logits, targets)[:, None]
    return 1 + larger.view(torch.int8).sum(-1, dtype=torch.int32)  # over twice as fast as summing bools


def entropies(logits: Float[Tensor, "n v"]) -> Float[Tensor, " n"]:
    """Entropy of each row's distribution, -sum p ln p, in nats (Shannon 1948)."""
    log_probas = logits.log_softmax(-1)
    return -(log_probas.exp() * log_probas).nan_to_num(0.0).sum(-1)  # 0 ln 0 = 0


def perplexity(loss: float) -> float:
    """e^loss: the number of equally likely tokens that would cost the same. `loss` in nats per token.

    Raises `GptlossError` past e^709, which no float64 holds.
    """
    try:
        return math.exp(loss)
    except OverflowError:
        raise GptlossError(f"e^{loss:.1f} is larger than a float64 can hold; use the loss itself.") from None


def bits_per_byte(nats: float, size: int) -> float:
    """The summed loss of a text, in nats, as bits for each of its `size` bytes.

    Tokens differ from model to model, bytes do not, so this can be compared between models (Gao et al. 2020).
    Raises `GptlossError` for a text of no bytes.
    """
    if size <= 0:
        raise GptlossError("There are no bytes to spread the loss over; the targets stand for no text.")
    return nats_to_bits(nats) / size


def kl_divergence(p_logits: Float[Tensor, "n v"], q_logits: Float[Tensor, "n v"]) -> Float[Tensor, " n"]:
    """KL(p || q) = sum p ln(p / q) of each row, in nats: what it costs more to expect q where p is true.

    Never negative, 0 only for equal distributions, not symmetric, infinite where q rules out what p allows
    (Kullback and Leibler 1951).
    """
    p, q = p_logits.double().log_softmax(-1), q_logits.double().log_softmax(-1)
    return torch.where(p.exp() > 0, p.exp() * (p - q), 0.0).sum(-1)  # 0 ln 0 = 0


def uniform_loss(vocab_size: int) -> float:
    """ln V, the loss in nats of a guess that gives every token 1/V."""
    return math.log(vocab_size)


def nats_to_bits(nats: float) -> float:
    """1 nat = 1 / ln 2 = 1.4427 bits."""
    return nats / math.log(2)
