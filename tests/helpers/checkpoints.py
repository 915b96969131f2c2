"""Small checkpoints to read: random weights and tokenizers, saved as transformers saves them."""

import json
from pathlib import Path
from typing import Any

import tokenizers
import torch
from tokenizers import (
    Tokenizer,
    decoders,
    models,
    pre_tokenizers,
    trainers,
)
from tokenizers.decoders import ByteLevel as ByteLevelDecoder
from tokenizers.models import BPE
from tokenizers.pre_tokenizers import ByteLevel
from torch import nn
from transformers import (
    AutoConfig,
    AutoModelForCausalLM,
    GPT2Config,
    GPT2LMHeadModel,
)

from gptloss.models import ModelInfo, Progress
from gptloss.models.base import Report
from gptloss.models.catalogue import smollm2
from gptloss.models.checkpoints import hf, weights
from gptloss.models.checkpoints.json_tokens import JsonTokenizer
from gptloss.models.downloads import store

V, CONTEXT = 304, 48

CORPUS = [
    "every effort moves you\n",
    "I really like chocolate. ",
    "def f(x):\n    return x\n",
    "It's 2024; isn't it?",
]


def byte_tokenizer_json(v: int) -> str:
    """A tokenizer.json with v entries: one a byte, as GPT-2 spells bytes, and words that no text has."""
    alphabet = sorted(ByteLevel.alphabet())
    words = [*alphabet, *(f"word{n}" for n in range(v - len(alphabet)))]
    tokenizer = Tokenizer(BPE({word: id for id, word in enumerate(words)}, []))
    tokenizer.pre_tokenizer = ByteLevel(add_prefix_space=False)
    tokenizer.decoder = ByteLevelDecoder()
    return str(tokenizer.to_str())


def save_gpt2(folder: Path, v: int = 300, **sizes: Any) -> GPT2LMHeadModel:
    """A GPT-2 with random weights, biases and all, saved with a byte tokenizer."""
    torch.manual_seed(0)
    model = GPT2LMHeadModel(GPT2Config(vocab_size=v, **{"n_layer": 2, "n_embd": 32, "n_head": 2} | sizes)).eval()
    for parameter in model.parameters():
        torch.nn.init.normal_(parameter, std=0.2)
    model.save_pretrained(folder)
    (folder / "tokenizer.json").write_text(byte_tokenizer_json(v))
    return model


def change_config(folder: Path, **fields: Any) -> None:
    file = folder / "config.json"
    file.write_text(json.dumps(json.loads(file.read_text()) | fields))


SIZES = {
    "vocab_size": V,
    "hidden_size": 32,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "intermediate_size": 64,
    "max_position_embeddings": CONTEXT,
    "head_dim": 8,
    "bos_token_id": 1,
    "eos_token_id": 2,
    "pad_token_id": 0,
}


KINDS: dict[str, dict[str, Any]] = {
    "llama": {"model_type": "llama"},
    "llama, tied": {"model_type": "llama", "tie_word_embeddings": True},
    "qwen2": {"model_type": "qwen2"},
    "gpt_neox": {"model_type": "gpt_neox"},
    "gemma2": {"model_type": "gemma2", "final_logit_softcapping": 2.0, "sliding_window": 8},
    "opt": {"model_type": "opt", "ffn_dim": 64, "word_embed_proj_dim": 16},
    "gpt2": {"model_type": "gpt2"},
    "cohere": {"model_type": "cohere", "logit_scale": 0.3},
    "granite": {"model_type": "granite", "logits_scaling": 3.0},
    "mixtral": {"model_type": "mixtral", "num_local_experts": 4, "output_router_logits": True},
    "mamba": {"model_type": "mamba", "state_size": 4},
}


def checkpoint(folder: Path, model_type: str = "llama", size: str = "1GB", **changes: Any) -> Path:
    """A model with random weights, large enough to tell tokens apart, saved by transformers."""
    torch.manual_seed(0)
    network = AutoModelForCausalLM.from_config(AutoConfig.for_model(model_type, **SIZES | changes))
    for weight in network.parameters():
        nn.init.normal_(weight, std=0.3)
    network.save_pretrained(folder, max_shard_size=size)
    return folder


def load(folder: Path, v: int = V) -> hf.Transformers:
    tokenizer = JsonTokenizer(saved(byte_level(), folder), V)
    return hf.load(ModelInfo("small", "Small", "random weights", v, CONTEXT, 0), folder, tokenizer)


def byte_level(prefix: bool = False) -> tokenizers.Tokenizer:
    """As GPT-2 has it."""
    made = tokenizers.Tokenizer(models.BPE())
    made.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=prefix)
    made.decoder = decoders.ByteLevel()
    made.train_from_iterator(
        CORPUS,
        trainers.BpeTrainer(
            vocab_size=300,
            special_tokens=["<|endoftext|>"],
            initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
            show_progress=False,
        ),
    )
    return made


def saved(made: tokenizers.Tokenizer, folder: Path, **changes: Any) -> Path:
    """tokenizer.json, with some of its parts replaced."""
    file = folder / "tokenizer.json"
    file.write_text(json.dumps(json.loads(made.to_str()) | changes), "utf-8")
    return file


def fetched(report: Report) -> None:
    """Stands in for the network."""
    with store.making(smollm2.NAME, 10) as folder:
        for done in (0, 5_000_000, 10_000_000):
            report(Progress("Downloading", done, 10_000_000))
        report(Progress("Converting", 1, 2))
        weights.save([("a", torch.ones(1))], folder / "model.safetensors")
        (folder / "tokenizer.json").write_text('{"version": "1.0"}')
