"""A Llama from a checkpoint in transformers' format."""

from pathlib import Path

from gptloss.models.architectures.llama import LlamaConfig, LlamaModel
from gptloss.models.checkpoints import skeleton


def from_folder(folder: Path, cfg: LlamaConfig) -> LlamaModel:
    """A Llama with the weights of a checkpoint in transformers' format, mapped into memory.

    Raises `GptlossError` for a file that is damaged, and for a tensor that is missing or has a wrong shape.
    """
    with skeleton.unfilled():
        network = LlamaModel(cfg)
    skeleton.fill(network, folder, theirs)
    return network


# The book's names of the parts, and transformers'.
PARTS = {
    "tok_emb.": "model.embed_tokens.",
    "final_norm.": "model.norm.",
    "trf_blocks.": "model.layers.",
    "norm1.": "input_layernorm.",
    "norm2.": "post_attention_layernorm.",
    "att.W_query.": "self_attn.q_proj.",
    "att.W_key.": "self_attn.k_proj.",
    "att.W_value.": "self_attn.v_proj.",
    "att.out_proj.": "self_attn.o_proj.",
    "ff.fc1.": "mlp.gate_proj.",
    "ff.fc2.": "mlp.up_proj.",
    "ff.fc3.": "mlp.down_proj.",
}


def theirs(name: str) -> str:
    """Our name of a tensor -> transformers'."""
    for book, part in PARTS.items():
        name = name.replace(book, part)
    return name
