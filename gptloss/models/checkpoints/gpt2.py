"""OpenAI's GPT-2, or any GPT-2 saved by transformers, into our own `GPTModel`."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, cast

import torch
from torch import Tensor

from gptloss.errors import GptlossError
from gptloss.models.architectures.gpt2 import GPTConfig, GPTModel, TransformerBlock
from gptloss.models.checkpoints import skeleton, weights

# What our model always does. A checkpoint that asks for something else goes through transformers.
FIXED = {
    "activation_function": ("gelu_new", "gelu_pytorch_tanh"),
    "layer_norm_epsilon": (1e-5,),
    "scale_attn_weights": (True,),
    "scale_attn_by_inverse_layer_idx": (False,),
    "add_cross_attention": (False,),
    "n_inner": (None,),
    "quantization_config": (None,),
}


def is_ours(config: dict[str, Any]) -> bool:
    """Whether `GPTModel` computes what this config.json asks for."""
    return config.get("model_type") == "gpt2" and all(
        config.get(name, allowed[0]) in allowed for name, allowed in FIXED.items()
    )


def sizes(config: dict[str, Any]) -> GPTConfig:
    """The sizes in a GPT-2's config.json; what is left out is as in GPT-2 small.

    Raises `GptlossError` naming a size that is no positive whole number, and heads that do not divide the width.
    """
    small = {"vocab_size": 50257, "n_positions": 1024, "n_embd": 768, "n_head": 12, "n_layer": 12}
    given = {name: config.get(name, default) for name, default in small.items()}
    for name, size in given.items():
        if not isinstance(size, int) or size < 1:
            raise GptlossError(f"config.json states {name} {size!r}, which is no size; fetch or save it again.")
    if given["n_embd"] % given["n_head"]:
        raise GptlossError(
            f"config.json states n_head {given['n_head']}, which does not divide n_embd {given['n_embd']};"
            " fetch or save the model again."
        )
    return GPTConfig(
        vocab_size=given["vocab_size"],
        context_length=given["n_positions"],
        emb_dim=given["n_embd"],
        n_heads=given["n_head"],
        n_layers=given["n_layer"],
        qkv_bias=True,
    )


def from_folder(folder: Path, config: dict[str, Any]) -> GPTModel:
    """A GPT-2 with the weights of a checkpoint, mapped from the file.

    As in transformers 5, a head that is stored and differs from the embedding is used, whatever config.json says.
    Raises `GptlossError` naming the file and the tensor that is missing, cut short, of another shape or no numbers.
    """
    cfg = sizes(config)
    stored = weights.headers(folder)
    own_head = weights.HEAD in stored and not weights.stored_twice(stored, weights.HEAD)
    tied = config.get("tie_word_embeddings", True) and not own_head
    # OpenAI's own file has the names without the first part.
    prefix = "transformer." if "transformer.wte.weight" in stored else ""
    weights.check(folder, stored, dict(_wanted(cfg, prefix, tied)))
    weights.check_numbers(folder)
    with skeleton.unfilled():
        network = GPTModel(cfg)
    network.load_state_dict(dict(_ours(weights.read(folder), cfg, prefix, tied)), assign=True)
    if tied:
        network.out_head.weight = network.tok_emb.weight
    return network


def save(network: GPTModel, folder: Path) -> None:
    """Write model.safetensors and config.json as transformers has them: `AutoModelForCausalLM` opens the folder.

    GPT-2 has biases in its attention; a model without them is written with zeros. Raises `OSError` for a full disk.
    """
    cfg = network.cfg
    config = {
        "architectures": ["GPT2LMHeadModel"],
        "model_type": "gpt2",
        "vocab_size": cfg.vocab_size,
        "n_positions": cfg.context_length,
        "n_embd": cfg.emb_dim,
        "n_head": cfg.n_heads,
        "n_layer": cfg.n_layers,
        "activation_function": "gelu_new",
        "layer_norm_epsilon": 1e-5,
        "tie_word_embeddings": False,
        "bos_token_id": None,
        "eos_token_id": None,
    }
    weights.save(_theirs(network), folder / weights.SINGLE)
    (folder / "config.json").write_text(json.dumps(config, indent=1), "utf-8")


def _theirs(network: GPTModel) -> Iterator[tuple[str, Tensor]]:
    """Our tensors under transformers' names, in their layout."""
    yield "transformer.wte.weight", network.tok_emb.weight.detach()
    yield "transformer.wpe.weight", network.pos_emb.weight.detach()
    yield weights.HEAD, network.out_head.weight.detach()
    yield from _layer("transformer.ln_f", network.final_norm)
    for n, block in enumerate(cast(list[TransformerBlock], network.trf_blocks)):
        theirs, att = f"transformer.h.{n}", block.att
        qkv = [att.W_query, att.W_key, att.W_value]
        yield f"{theirs}.attn.c_attn.weight", torch.cat([part.weight.detach().T for part in qkv], 1).contiguous()
        biases = [torch.zeros(len(part.weight)) if part.bias is None else part.bias.detach() for part in qkv]
        yield f"{theirs}.attn.c_attn.bias", torch.cat(biases)
        yield from _layer(f"{theirs}.attn.c_proj", att.out_proj)
        yield from _layer(f"{theirs}.mlp.c_fc", block.ff[0])
        yield from _layer(f"{theirs}.mlp.c_proj", block.ff[2])
        yield from _layer(f"{theirs}.ln_1", block.norm1)
        yield from _layer(f"{theirs}.ln_2", block.norm2)


def _layer(name: str, layer: Any) -> Iterator[tuple[str, Tensor]]:
    yield f"{name}.weight", _turned(layer.weight.detach()).contiguous()
    yield f"{name}.bias", layer.bias.detach()


def _wanted(cfg: GPTConfig, prefix: str, tied: bool) -> Iterator[tuple[str, tuple[int, ...]]]:
    """Transformers' names and shapes. A Conv1D holds its matrix the other way round than a Linear."""
    d = cfg.emb_dim
    yield f"{prefix}wte.weight", (cfg.vocab_size, d)
    yield f"{prefix}wpe.weight", (cfg.context_length, d)
    for n in range(cfg.n_layers):
        for part, rows, columns in (
            ("attn.c_attn", d, 3 * d),
            ("attn.c_proj", d, d),
            ("mlp.c_fc", d, 4 * d),
            ("mlp.c_proj", 4 * d, d),
        ):
            yield f"{prefix}h.{n}.{part}.weight", (rows, columns)
            yield f"{prefix}h.{n}.{part}.bias", (columns,)
    for norm in ("ln_f", *(f"h.{n}.{norm}" for n in range(cfg.n_layers) for norm in ("ln_1", "ln_2"))):
        yield f"{prefix}{norm}.weight", (d,)
        yield f"{prefix}{norm}.bias", (d,)
    if not tied:
        yield weights.HEAD, (cfg.vocab_size, d)


def _ours(stored: dict[str, Tensor], cfg: GPTConfig, prefix: str, tied: bool) -> Iterator[tuple[str, Tensor]]:
    """The same tensors under the book's names; all are views, nothing is copied."""
    yield "tok_emb.weight", stored[f"{prefix}wte.weight"]
    yield "pos_emb.weight", stored[f"{prefix}wpe.weight"]
    yield "out_head.weight", stored[f"{prefix}wte.weight" if tied else weights.HEAD]
    for end in ("weight", "bias"):
        yield f"final_norm.{end}", stored[f"{prefix}ln_f.{end}"]
        for n in range(cfg.n_layers):
            theirs, ours = f"{prefix}h.{n}", f"trf_blocks.{n}"
            qkv = stored[f"{theirs}.attn.c_attn.{end}"].chunk(3, -1)
            for name, part in zip(("W_query", "W_key", "W_value"), qkv, strict=True):
                yield f"{ours}.att.{name}.{end}", _turned(part)
            yield f"{ours}.att.out_proj.{end}", _turned(stored[f"{theirs}.attn.c_proj.{end}"])
            yield f"{ours}.ff.0.{end}", _turned(stored[f"{theirs}.mlp.c_fc.{end}"])
            yield f"{ours}.ff.2.{end}", _turned(stored[f"{theirs}.mlp.c_proj.{end}"])
            yield f"{ours}.norm1.{end}", stored[f"{theirs}.ln_1.{end}"]
            yield f"{ours}.norm2.{end}", stored[f"{theirs}.ln_2.{end}"]


def _turned(tensor: Tensor) -> Tensor:
    return tensor.T if tensor.ndim == 2 else tensor
