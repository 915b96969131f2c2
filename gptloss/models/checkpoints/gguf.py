"""SmolLM2 from a GGUF file to the files that transformers would save."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gptloss.models.architectures.llama import LlamaConfig
from gptloss.models.base import Progress, Report
from gptloss.models.checkpoints import weights

if TYPE_CHECKING:
    from gguf import GGUFReader
    from numpy.typing import NDArray
    from torch import Tensor

# llama.cpp's names of the parts of a block, and transformers'.
BLOCK = {
    "attn_norm": "input_layernorm",
    "attn_q": "self_attn.q_proj",
    "attn_k": "self_attn.k_proj",
    "attn_v": "self_attn.v_proj",
    "attn_output": "self_attn.o_proj",
    "ffn_norm": "post_attention_layernorm",
    "ffn_gate": "mlp.gate_proj",
    "ffn_up": "mlp.up_proj",
    "ffn_down": "mlp.down_proj",
}
OUTSIDE = {"token_embd.weight": "model.embed_tokens.weight", "output_norm.weight": "model.norm.weight"}
CONTROL = 3  # the type of a token that stands for no text


def convert(gguf: Path, folder: Path, report: Report) -> None:
    """Write tokenizer.json, model.safetensors (float32) and config.json of a Llama with a byte-level BPE."""
    from gguf import GGUFReader

    report(Progress("Reading the tokenizer"))
    reader = GGUFReader(gguf)
    (folder / "tokenizer.json").write_text(_tokenizer(reader), "utf-8")
    weights.save(_tensors(reader, report), folder / weights.SINGLE)
    (folder / "config.json").write_text(json.dumps(_config(reader), indent=1), "utf-8")


def read_config(reader: "GGUFReader") -> LlamaConfig:
    """The sizes that the file states."""
    return LlamaConfig(
        vocab_size=_field(reader, "llama.vocab_size"),
        context_length=_field(reader, "llama.context_length"),
        emb_dim=_field(reader, "llama.embedding_length"),
        hidden_dim=_field(reader, "llama.feed_forward_length"),
        n_heads=_field(reader, "llama.attention.head_count"),
        n_kv_groups=_field(reader, "llama.attention.head_count_kv"),
        n_layers=_field(reader, "llama.block_count"),
        rope_base=_field(reader, "llama.rope.freq_base"),
        norm_eps=round(_field(reader, "llama.attention.layer_norm_rms_epsilon"), 9),  # stored in float32
    )


def _config(reader: "GGUFReader") -> dict[str, Any]:
    ends = {f"{end}_token_id": _field(reader, f"tokenizer.ggml.{end}_token_id") for end in ("bos", "eos")}
    return read_config(reader).to_json() | ends | {"dtype": "float32"}


def _field(reader: "GGUFReader", name: str) -> Any:
    return reader.fields[name].contents()


def _tokenizer(reader: "GGUFReader") -> str:
    """The byte-level BPE whose entries the file lists; SmolLM2 cuts numbers into digits before merging."""
    from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers

    words = _field(reader, "tokenizer.ggml.tokens")
    merges = [tuple(pair.split(" ")) for pair in _field(reader, "tokenizer.ggml.merges")]
    bpe = Tokenizer(models.BPE(vocab={word: id for id, word in enumerate(words)}, merges=merges))
    bpe.pre_tokenizer = pre_tokenizers.Sequence(
        [pre_tokenizers.Digits(individual_digits=True), pre_tokenizers.ByteLevel(add_prefix_space=False)]
    )
    bpe.decoder = decoders.ByteLevel()
    kinds = _field(reader, "tokenizer.ggml.token_type")
    bpe.add_special_tokens(
        [
            AddedToken(word, special=True, normalized=False)
            for word, kind in zip(words, kinds, strict=True)
            if kind == CONTROL
        ]
    )
    return bpe.to_str()


def _tensors(reader: "GGUFReader", report: Report) -> "Iterator[tuple[str, Tensor]]":
    import torch
    from gguf.quants import dequantize

    cfg = read_config(reader)
    heads = {"attn_q": cfg.n_heads, "attn_k": cfg.n_kv_groups}
    for count, stored in enumerate(reader.tensors):
        report(Progress("Converting", count, len(reader.tensors)))
        matrix = dequantize(stored.data, stored.tensor_type)
        part = stored.name.split(".")[-2]
        if part in heads:
            matrix = _half_by_half(matrix, heads[part])
        yield theirs(stored.name), torch.from_numpy(matrix.copy())


def _half_by_half(matrix: "NDArray[Any]", heads: int) -> "NDArray[Any]":
    """llama.cpp turns neighbours (0, 1), (2, 3) ... together, transformers (0, k/2), (1, k/2 + 1) ...: reorder."""
    rows, columns = matrix.shape
    return matrix.reshape(heads, rows // heads // 2, 2, columns).swapaxes(1, 2).reshape(rows, columns)


def theirs(name: str) -> str:
    """llama.cpp's name of a tensor -> transformers'."""
    if name in OUTSIDE:
        return OUTSIDE[name]
    _, number, part, end = name.split(".")
    return f"model.layers.{number}.{BLOCK[part]}.{end}"
