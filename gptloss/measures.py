"""Pure functions of tensors: what can be read off logits and a target. All logs are natural (nats).

Axes: n target positions, v vocabulary, d width of the hidden states.
"""

import math

import torch
from jaxtyping import Float, Int
from torch import Tensor

from gptloss.errors import GptlossError
from gptloss.numbers import nats_to_bits

# Rows of logits whose exponentials are made together: 0.8 MB for GPT-2.
ROWS = 4
# e^-1000 is 0 in float32 and in float64.
LOWEST = 1_000.0
# Logits in a block, of which only the largest is looked at first.
BLOCK = 128

# MKL chooses its exponential at the first call. If two threads make that at once, one may get a coarser one: ln p was
# off by 3e-5 in one of ten fresh processes on a busy machine. So a single thread makes it, here.
torch.ones(1 << 10).exp_()


def target_log_probas(logits: Float[Tensor, "n v"], targets: Int[Tensor, " n"]) -> Float[Tensor, " n"]:
    """ln p of each target, in nats: its logit minus logsumexp of the row, without a softmax over all of it.

    Both are as large as the logits and nearly equal where p is near 1, so they are subtracted in float64.
    """
    return (target_logits(logits, targets).double() - logsumexp(logits)).to(logits.dtype)


def logsumexp(logits: Float[Tensor, "n v"]) -> Float[Tensor, " n"]:
    """ln sum e^z of each row, in nats, in float64; the V terms are added in pairs, in the precision of the logits.

    PyTorch's softmax, log_softmax and cross_entropy add them one after the other, which loses the small ones.
    """
    largest = logits.amax(-1, keepdim=True)
    return largest[:, 0].double() + (logits - largest).exp_().sum(-1).double().log()


def target_logits(logits: Float[Tensor, "n v"], targets: Int[Tensor, " n"]) -> Float[Tensor, " n"]:
    """The logit of each target."""
    return logits.gather(-1, targets[:, None]).squeeze(-1)


def target_ranks(logits: Float[Tensor, "n v"], targets: Int[Tensor, " n"]) -> Int[Tensor, " n"]:
    """1 + the number of strictly larger logits: rank 1 is the model's first choice."""
    larger = logits > target_logits(logits, targets)[:, None]
    return 1 + larger.view(torch.int8).sum(-1, dtype=torch.int32)  # over twice as fast as summing bools


def entropies(logits: Float[Tensor, "n v"]) -> Float[Tensor, " n"]:
    """Entropy of each row's distribution, -sum p ln p, in nats (Shannon 1948)."""
    return normalisers(logits)[1]


def normalisers(logits: Float[Tensor, "n v"]) -> tuple[Float[Tensor, " n"], Float[Tensor, " n"]]:
    """(logsumexp, entropy) of each row, in nats, from one exponential of each logit; the first in float64.

    With e = exp(z - max z), logsumexp is max z + ln sum e and the entropy ln sum e - sum e (z - max z) / sum e.
    A few rows at a time stay in the processor's cache, which makes this twice as fast.
    """
    parts = [_normalisers(rows) for rows in torch.split(logits, ROWS)]
    return torch.cat([part[0] for part in parts]), torch.cat([part[1] for part in parts])


def _normalisers(logits: Float[Tensor, "n v"]) -> tuple[Tensor, Tensor]:
    largest = logits.amax(-1, keepdim=True)
    below = (logits - largest).clamp(min=-LOWEST)  # a token that is ruled out: 0 times minus infinity is no number
    shares = below.exp()
    total = shares.sum(-1)
    logsumexp = largest[:, 0].double() + total.double().log()
    return logsumexp, total.log() - torch.linalg.vecdot(shares, below) / total


def likeliest(logits: Float[Tensor, "n v"], k: int) -> tuple[Float[Tensor, "n k"], Int[Tensor, "n k"]]:
    """(logits, ids) of the k largest logits of each row, largest first; as `torch.topk`, and quicker.

    Of equals in a small vocabulary the lower id comes first. In a large one, the k largest lie in the k blocks of
    which the maxima are largest, and in what is left beside the blocks.
    """
    n, v = logits.shape
    if v < 2 * k * BLOCK:
        best, order = logits.sort(dim=-1, descending=True, stable=True)
        return best[:, :k], order[:, :k]
    blocks = logits[:, : v // BLOCK * BLOCK].view(n, -1, BLOCK)
    chosen = blocks.amax(-1).topk(k).indices
    ids = (chosen[:, :, None] * BLOCK + torch.arange(BLOCK)).flatten(1)
    ids = torch.cat([ids, torch.arange(v // BLOCK * BLOCK, v).expand(n, -1)], -1)
    values, places = logits.gather(-1, ids).topk(k)
    return values, ids.gather(-1, places)


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
