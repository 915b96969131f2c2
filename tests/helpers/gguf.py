"""A small GGUF file, as llama.cpp writes it."""

from pathlib import Path

import gguf
import numpy as np
import torch

from gptloss.models.architectures.llama import LlamaConfig, LlamaModel

TINY = LlamaConfig(vocab_size=260, context_length=64, emb_dim=64, hidden_dim=96, n_heads=4, n_kv_groups=2, n_layers=2)


def tiny_gguf(file: Path) -> None:
    """A GGUF file as llama.cpp writes them, with a byte-level BPE of 256 bytes, a merge and three control tokens."""
    random = np.random.default_rng(1)
    writer = gguf.GGUFWriter(file, "llama")
    writer.add_vocab_size(TINY.vocab_size)
    writer.add_context_length(TINY.context_length)
    writer.add_embedding_length(TINY.emb_dim)
    writer.add_feed_forward_length(TINY.hidden_dim)
    writer.add_block_count(TINY.n_layers)
    writer.add_head_count(TINY.n_heads)
    writer.add_head_count_kv(TINY.n_kv_groups)
    writer.add_rope_freq_base(TINY.rope_base)
    writer.add_layer_norm_rms_eps(TINY.norm_eps)
    alphabet = sorted(chr(c) for c in [*range(33, 127), *range(161, 173), *range(174, 256), *range(256, 324)])
    writer.add_token_list(["<|endoftext|>", "<|im_start|>", "<|im_end|>", *alphabet, "th"])
    writer.add_token_types([3] * 3 + [1] * 257)
    writer.add_token_merges(["t h"])
    writer.add_bos_token_id(1)
    writer.add_eos_token_id(2)
    with torch.device("meta"):
        shapes = {name: tuple(t.shape) for name, t in LlamaModel(TINY).state_dict().items()}
    parts = {ours: theirs for theirs, ours in BLOCK.items()}
    for name, shape in shapes.items():
        for ours, theirs in parts.items():
            name = name.replace(ours, theirs)
        tensor = random.standard_normal(shape) / 8
        writer.add_tensor(name, tensor.astype(np.float16 if len(shape) == 2 else np.float32))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


BLOCK = {
    "token_embd.": "tok_emb.",
    "output_norm.": "final_norm.",
    "blk.": "trf_blocks.",
    "attn_norm.": "norm1.",
    "ffn_norm.": "norm2.",
    "attn_q.": "att.W_query.",
    "attn_k.": "att.W_key.",
    "attn_v.": "att.W_value.",
    "attn_output.": "att.out_proj.",
    "ffn_gate.": "ff.fc1.",
    "ffn_up.": "ff.fc2.",
    "ffn_down.": "ff.fc3.",
}
