"""The GPT-2 architecture (Radford et al. 2019), built in the order of *Build a Large Language Model (From Scratch)*.

The order of construction matters: with PyTorch's default initialisation each module draws its weights from
the random generator as it is made, so the same order and the same seed give the book's weights bit for bit.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from torch import Tensor, nn

from gptloss.models.architectures.reader import Cached, KeyValues, causal
from gptloss.models.base import ModelInfo, Reader
from gptloss.tokens import Tokenizer, gpt2_tokenizer


@dataclass(frozen=True)
class GPTConfig:
    """Sizes of a GPT-2. The defaults are the book's 124M model at a context of 256."""

    vocab_size: int = 50257
    context_length: int = 256
    emb_dim: int = 768
    n_heads: int = 12
    n_layers: int = 12
    drop_rate: float = 0.1
    qkv_bias: bool = False


class MultiHeadAttention(nn.Module):
    """Causal self-attention: every token looks at itself and at what came before."""

    def __init__(self, cfg: GPTConfig) -> None:
        super().__init__()
        self.n_heads = cfg.n_heads
        self.drop_rate = cfg.drop_rate
        self.W_query = nn.Linear(cfg.emb_dim, cfg.emb_dim, bias=cfg.qkv_bias)
        self.W_key = nn.Linear(cfg.emb_dim, cfg.emb_dim, bias=cfg.qkv_bias)
        self.W_value = nn.Linear(cfg.emb_dim, cfg.emb_dim, bias=cfg.qkv_bias)
        self.out_proj = nn.Linear(cfg.emb_dim, cfg.emb_dim)

    def forward(self, x: Float[Tensor, "b t d"], cache: KeyValues | None = None) -> Float[Tensor, "b t d"]:
        query, key, value = (self._heads(layer(x)) for layer in (self.W_query, self.W_key, self.W_value))
        if cache is not None:
            key, value = cache.extend(key, value)
        dropout = self.drop_rate if self.training else 0.0
        look = causal(query.shape[2], key.shape[2])
        mixed = F.scaled_dot_product_attention(query, key, value, dropout_p=dropout, **look)
        return self.out_proj(mixed.transpose(1, 2).flatten(2))

    def _heads(self, x: Float[Tensor, "b t d"]) -> Float[Tensor, "b h t k"]:
        return x.view(*x.shape[:2], self.n_heads, -1).transpose(1, 2)


class TransformerBlock(nn.Module):
    """Attention, then a feed-forward net, each on a normalised copy that is added back."""

    def __init__(self, cfg: GPTConfig) -> None:
        super().__init__()
        self.att = MultiHeadAttention(cfg)
        self.ff = nn.Sequential(
            nn.Linear(cfg.emb_dim, 4 * cfg.emb_dim),
            nn.GELU(approximate="tanh"),
            nn.Linear(4 * cfg.emb_dim, cfg.emb_dim),
        )
        self.norm1 = nn.LayerNorm(cfg.emb_dim)
        self.norm2 = nn.LayerNorm(cfg.emb_dim)
        self.drop_shortcut = nn.Dropout(cfg.drop_rate)

    def forward(self, x: Float[Tensor, "b t d"], cache: KeyValues | None = None) -> Float[Tensor, "b t d"]:
        x = x + self.drop_shortcut(self.att(self.norm1(x), cache))
        return x + self.drop_shortcut(self.ff(self.norm2(x)))


class GPTModel(nn.Module):
    """Token ids to logits. `torch.manual_seed(123); GPTModel(GPTConfig())` has the book's weights."""

    def __init__(self, cfg: GPTConfig) -> None:
        super().__init__()
        self.cfg = cfg
        self.tok_emb = nn.Embedding(cfg.vocab_size, cfg.emb_dim)
        self.pos_emb = nn.Embedding(cfg.context_length, cfg.emb_dim)
        self.drop_emb = nn.Dropout(cfg.drop_rate)
        self.trf_blocks = nn.Sequential(*(TransformerBlock(cfg) for _ in range(cfg.n_layers)))
        self.final_norm = nn.LayerNorm(cfg.emb_dim)
        self.out_head = nn.Linear(cfg.emb_dim, cfg.vocab_size, bias=False)

    def forward(self, ids: Int[Tensor, "b t"]) -> Float[Tensor, "b t v"]:
        return self.out_head(self.hidden(ids))

    def hidden(self, ids: Int[Tensor, "b t"], caches: Sequence[KeyValues] = ()) -> Float[Tensor, "b t d"]:
        """Final hidden states, one step before the logits.

        With `caches`, one a block, the ids follow the tokens that are in them, and are added to them.
        """
        before = caches[0].length if caches else 0
        positions = torch.arange(before, before + ids.shape[1], device=ids.device)
        x = self.drop_emb(self.tok_emb(ids) + self.pos_emb(positions))
        for i, block in enumerate(self.trf_blocks):
            x = block(x, caches[i] if caches else None)
        return self.final_norm(x)


class GPT2:
    """A `GPTModel` as a `LanguageModel`: in evaluation mode, its weights frozen.

    The tokenizer is GPT-2's unless another is given.
    """

    def __init__(self, info: ModelInfo, network: GPTModel, tokenizer: Tokenizer | None = None) -> None:
        self.info = info
        self.network = network.eval().requires_grad_(False)
        self.tokenizer = tokenizer or gpt2_tokenizer()

    def double(self) -> "GPT2":
        """The same weights in float64, in which all is then computed: a reference, at twice the memory and time."""
        return GPT2(self.info, self.network.double(), self.tokenizer)

    def hidden(self, ids: Int[Tensor, "b t"]) -> Float[Tensor, "b t d"]:
        return self.network.hidden(ids)

    @property
    def output_layer(self) -> nn.Module:
        """The linear layer that `head` is, and nothing else."""
        return self.network.out_head

    def head(self, hidden: Float[Tensor, "n d"]) -> Float[Tensor, "n v"]:
        return self.network.out_head(hidden)

    def reader(self) -> Reader:
        caches = [KeyValues() for _ in self.network.trf_blocks]
        return Cached(self.info, partial(self.network.hidden, caches=caches))


def untrained(cfg: GPTConfig = GPTConfig(), seed: int = 123) -> GPTModel:
    """A GPT-2 with random weights, the same for the same seed.

    It leaves the caller's random state as it was.
    """
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(seed)
        return GPTModel(cfg)
