"""The Llama architecture (Touvron et al. 2023), which SmolLM2 has: GPT-2 with four parts exchanged.

RMSNorm for LayerNorm, rotary positions (Su et al. 2021) for learned ones, a gated feed-forward net with SiLU
(Shazeer 2020), and fewer keys and values than queries (Ainslie et al. 2023). Transformers has it too; importing
that takes longer than everything else from the start to the first loss.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from torch import Tensor, nn

from gptloss.models.architectures.reader import Cached, KeyValues, causal
from gptloss.models.architectures.tied import Tied
from gptloss.models.base import ModelInfo, Reader
from gptloss.tokens import Tokenizer


@dataclass(frozen=True)
class LlamaConfig:
    """Sizes of a Llama. The defaults are SmolLM2 135M's (Allal et al. 2025)."""

    vocab_size: int = 49152
    context_length: int = 8192
    emb_dim: int = 576
    hidden_dim: int = 1536
    n_heads: int = 9
    n_kv_groups: int = 3
    n_layers: int = 30
    rope_base: float = 100_000.0
    norm_eps: float = 1e-5

    def to_json(self) -> dict[str, Any]:
        """The same sizes as transformers writes them into config.json, with a tied head."""
        return {
            "architectures": ["LlamaForCausalLM"],
            "model_type": "llama",
            "vocab_size": self.vocab_size,
            "max_position_embeddings": self.context_length,
            "hidden_size": self.emb_dim,
            "intermediate_size": self.hidden_dim,
            "num_attention_heads": self.n_heads,
            "num_key_value_heads": self.n_kv_groups,
            "num_hidden_layers": self.n_layers,
            "rope_parameters": {"rope_type": "default", "rope_theta": self.rope_base},
            "rms_norm_eps": self.norm_eps,
            "hidden_act": "silu",
            "tie_word_embeddings": True,
        }


class GroupedQueryAttention(nn.Module):
    """Causal self-attention in which several queries share a key and a value."""

    def __init__(self, cfg: LlamaConfig) -> None:
        super().__init__()
        self.head_dim = cfg.emb_dim // cfg.n_heads
        kv_dim = self.head_dim * cfg.n_kv_groups
        self.W_query = nn.Linear(cfg.emb_dim, cfg.emb_dim, bias=False)
        self.W_key = nn.Linear(cfg.emb_dim, kv_dim, bias=False)
        self.W_value = nn.Linear(cfg.emb_dim, kv_dim, bias=False)
        self.out_proj = nn.Linear(cfg.emb_dim, cfg.emb_dim, bias=False)

    def forward(
        self,
        x: Float[Tensor, "b t d"],
        cos: Float[Tensor, "t k"],
        sin: Float[Tensor, "t k"],
        cache: KeyValues | None = None,
    ) -> Float[Tensor, "b t d"]:
        query, key, value = (self._heads(layer(x)) for layer in (self.W_query, self.W_key, self.W_value))
        query, key = rotate(query, cos, sin), rotate(key, cos, sin)
        if cache is not None:
            key, value = cache.extend(key, value)
        look = causal(query.shape[2], key.shape[2])
        mixed = F.scaled_dot_product_attention(query, key, value, enable_gqa=True, **look)
        return self.out_proj(mixed.transpose(1, 2).flatten(2))

    def _heads(self, x: Float[Tensor, "b t e"]) -> Float[Tensor, "b h t k"]:
        return x.view(*x.shape[:2], -1, self.head_dim).transpose(1, 2)


class FeedForward(nn.Module):
    """One projection decides, through SiLU, how much of the other passes."""

    def __init__(self, cfg: LlamaConfig) -> None:
        super().__init__()
        self.fc1 = nn.Linear(cfg.emb_dim, cfg.hidden_dim, bias=False)
        self.fc2 = nn.Linear(cfg.emb_dim, cfg.hidden_dim, bias=False)
        self.fc3 = nn.Linear(cfg.hidden_dim, cfg.emb_dim, bias=False)

    def forward(self, x: Float[Tensor, "b t d"]) -> Float[Tensor, "b t d"]:
        return self.fc3(F.silu(self.fc1(x)) * self.fc2(x))


class LlamaBlock(nn.Module):
    """Attention, then a feed-forward net, each on a normalised copy that is added back."""

    def __init__(self, cfg: LlamaConfig) -> None:
        super().__init__()
        self.att = GroupedQueryAttention(cfg)
        self.ff = FeedForward(cfg)
        self.norm1 = nn.RMSNorm(cfg.emb_dim, cfg.norm_eps)
        self.norm2 = nn.RMSNorm(cfg.emb_dim, cfg.norm_eps)

    def forward(
        self,
        x: Float[Tensor, "b t d"],
        cos: Float[Tensor, "t k"],
        sin: Float[Tensor, "t k"],
        cache: KeyValues | None = None,
    ) -> Float[Tensor, "b t d"]:
        x = x + self.att(self.norm1(x), cos, sin, cache)
        return x + self.ff(self.norm2(x))


class LlamaModel(nn.Module):
    """Token ids to hidden states to logits; the head is the transposed embedding."""

    def __init__(self, cfg: LlamaConfig) -> None:
        super().__init__()
        self.cfg = cfg
        self.tok_emb = nn.Embedding(cfg.vocab_size, cfg.emb_dim)
        self.trf_blocks = nn.ModuleList(LlamaBlock(cfg) for _ in range(cfg.n_layers))
        self.final_norm = nn.RMSNorm(cfg.emb_dim, cfg.norm_eps)
        self.out_head = Tied(self.tok_emb)

    def hidden(self, ids: Int[Tensor, "b t"], caches: Sequence[KeyValues] = ()) -> Float[Tensor, "b t d"]:
        """Final hidden states, one step before the logits.

        With `caches`, one a block, the ids follow the tokens that are in them, and are added to them.
        """
        before = caches[0].length if caches else 0
        positions = torch.arange(before, before + ids.shape[1])
        x = self.tok_emb(ids)
        cos, sin = rotations(positions, self.cfg.emb_dim // self.cfg.n_heads, self.cfg.rope_base)
        for i, block in enumerate(self.trf_blocks):
            x = block(x, cos.to(x), sin.to(x), caches[i] if caches else None)
        return self.final_norm(x)

    def head(self, hidden: Float[Tensor, "n d"]) -> Float[Tensor, "n v"]:
        """Logits of hidden states."""
        return self.out_head(hidden)


def rotations(
    positions: Int[Tensor, " t"], head_dim: int, base: float
) -> tuple[Float[Tensor, "t k"], Float[Tensor, "t k"]]:
    """Cosine and sine of the angle by which each pair of numbers turns at each position."""
    speeds = base ** -(torch.arange(0, head_dim, 2, dtype=torch.float64) / head_dim)
    angles = positions.double()[:, None] * speeds.repeat(2)
    return angles.cos(), angles.sin()


def rotate(
    x: Float[Tensor, "b h t k"], cos: Float[Tensor, "t k"], sin: Float[Tensor, "t k"]
) -> Float[Tensor, "b h t k"]:
    """Turn the pairs (number m, number m + k/2) by the position's angles."""
    first, second = x.chunk(2, -1)
    return x * cos + torch.cat([-second, first], -1) * sin


class Llama:
    """A `LlamaModel` as a `LanguageModel`: in evaluation mode, its weights frozen."""

    def __init__(self, info: ModelInfo, network: LlamaModel, tokenizer: Tokenizer) -> None:
        self.info = info
        self.network = network.eval().requires_grad_(False)
        self.tokenizer = tokenizer

    def double(self) -> "Llama":
        """The same weights in float64, in which all is then computed: a reference, at twice the memory and time."""
        return Llama(self.info, self.network.double(), self.tokenizer)

    def hidden(self, ids: Int[Tensor, "b t"]) -> Float[Tensor, "b t d"]:
        return self.network.hidden(ids)

    @property
    def output_layer(self) -> nn.Module:
        """The linear layer that `head` is, and nothing else."""
        return self.network.out_head

    def head(self, hidden: Float[Tensor, "n d"]) -> Float[Tensor, "n v"]:
        return self.network.head(hidden)

    def reader(self) -> Reader:
        caches = [KeyValues() for _ in self.network.trf_blocks]
        return Cached(self.info, partial(self.network.hidden, caches=caches))
