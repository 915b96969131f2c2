"""Folders with a checkpoint in transformers' format: GPT-2 through our model, others through transformers."""

import json
import math
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psutil
import pytest
import torch
from safetensors.torch import load_file, save_file
from transformers import (
    AutoModelForCausalLM,
    GPT2LMHeadModel,
    GPT2Tokenizer,
    GPTNeoXConfig,
    LlamaConfig,
    Qwen2Config,
)

from gptloss import GptlossError, load_model, score
from gptloss.models import LanguageModel, find
from gptloss.models.architectures.gpt2 import GPT2
from gptloss.models.checkpoints import gpt2, weights
from tests.helpers.checkpoints import byte_tokenizer_json, change_config, save_gpt2
from tests.helpers.driver import ROOT

GOLDEN = ROOT.parent / "shared" / "data" / "gpt2_small_golden.json"
SIZES = [
    {"n_layer": 2, "n_embd": 32, "n_head": 2},
    {"n_layer": 3, "n_embd": 48, "n_head": 4, "n_positions": 40},
    {"n_layer": 1, "n_embd": 64, "n_head": 1, "tie_word_embeddings": False},
]
SHAPE = {"vocab_size": 300, "hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2,
         "num_attention_heads": 4, "max_position_embeddings": 128, "bos_token_id": 1}  # fmt: skip
OTHERS = {
    "llama": LlamaConfig(num_key_value_heads=2, tie_word_embeddings=False, **SHAPE),
    "qwen2": Qwen2Config(num_key_value_heads=2, tie_word_embeddings=True, **SHAPE),
    "gpt_neox": GPTNeoXConfig(**SHAPE),
}


def exact(model: Any, ids: list[int]) -> torch.Tensor:
    """ln p of every next token, by transformers in float64."""
    with torch.no_grad():
        logits = model.double()(torch.tensor([ids])).logits[0, :-1]
    return logits.log_softmax(-1).gather(-1, torch.tensor(ids[1:])[:, None])[:, 0]


@pytest.mark.parametrize("sizes", SIZES)
def test_gpt2_agrees_with_transformers_in_float64(sizes: dict[str, Any], tmp_path: Path) -> None:
    theirs = save_gpt2(tmp_path, **sizes)
    ours = load_model(str(tmp_path))
    assert isinstance(ours, GPT2)
    assert ours.info.parameters == theirs.num_parameters()
    assert ours.info.context_length == sizes.get("n_positions", 1024)
    ids = torch.randint(0, 300, (40,)).tolist()
    assert (score(ours, ids).log_probas.double() - exact(theirs, ids)).abs().max() < 1e-5


@pytest.mark.parametrize("architecture", OTHERS)
def test_other_architectures_agree_with_transformers(architecture: str, tmp_path: Path) -> None:
    torch.manual_seed(1)
    theirs = AutoModelForCausalLM.from_config(OTHERS[architecture]).eval()
    theirs.save_pretrained(tmp_path)
    (tmp_path / "tokenizer.json").write_text(byte_tokenizer_json(300))
    ours = load_model(str(tmp_path))
    assert not isinstance(ours, GPT2)
    assert (ours.info.architecture, ours.info.context_length, ours.info.bos_id) == (architecture, 128, 1)
    batch = score(ours, "Every effort moves you.")
    ids = [batch.inputs[0].id, *(token.id for token in batch.targets)]
    assert (batch.log_probas.double() - exact(theirs, ids)).abs().max() < 1e-5


def test_openais_names_without_a_prefix_and_with_masks(tmp_path: Path) -> None:
    """The file on the hub lacks `transformer.` and holds the causal masks."""
    theirs = save_gpt2(tmp_path)
    file = tmp_path / "model.safetensors"
    tensors = {name.removeprefix("transformer."): tensor for name, tensor in load_file(file).items()}
    for n in range(2):
        tensors[f"h.{n}.attn.bias"] = torch.ones(1, 1, 1024, 1024).tril()
    save_file(tensors, file)
    ours = load_model(str(tmp_path))
    assert ours.info.parameters == theirs.num_parameters()
    assert (score(ours, [1, 2, 3]).log_probas.double() - exact(theirs, [1, 2, 3])).abs().max() < 1e-5


def test_a_gpt2_that_ours_is_not_goes_through_transformers(tmp_path: Path) -> None:
    theirs = save_gpt2(tmp_path, activation_function="relu")
    ours = load_model(str(tmp_path))
    assert not isinstance(ours, GPT2)
    assert (score(ours, [1, 2, 3]).log_probas.double() - exact(theirs, [1, 2, 3])).abs().max() < 1e-5


def store_head(folder: Path, change: float) -> None:
    """The head beside the embedding that config.json says it is tied to, in a number different from it."""
    tensors = load_file(folder / "model.safetensors")
    tensors["lm_head.weight"] = tensors["transformer.wte.weight"].clone()
    tensors["lm_head.weight"][-1, -1] += change
    save_file(tensors, folder / "model.safetensors", {"format": "pt"})


@pytest.mark.parametrize("activation", ["gelu_new", "relu"])
def test_a_tied_head_that_is_stored_too(activation: str, tmp_path: Path) -> None:
    """It counts once; one that differs is used, as transformers does, and counts."""
    save_gpt2(tmp_path, activation_function=activation)
    for change in (0.0, 9.0, 0.0):
        store_head(tmp_path, change)
        theirs, ours = GPT2LMHeadModel.from_pretrained(tmp_path), load_model(str(tmp_path))
        assert isinstance(ours, GPT2) == (activation == "gelu_new")
        assert ours.info.parameters == theirs.num_parameters() == 67_840 + 9_600 * bool(change)
        assert (score(ours, [1, 299, 3]).log_probas.double() - exact(theirs, [1, 299, 3])).abs().max() < 1e-5


def test_half_precision_is_read_as_float32(tmp_path: Path) -> None:
    theirs = save_gpt2(tmp_path).bfloat16()
    theirs.save_pretrained(tmp_path)
    ours = load_model(str(tmp_path))
    assert score(ours, [1, 2, 3]).logits.dtype == torch.float32
    assert (score(ours, [1, 2, 3]).log_probas.double() - exact(theirs, [1, 2, 3])).abs().max() < 1e-5


def test_gpt2s_own_vocabulary_needs_no_tokenizer_file(tmp_path: Path) -> None:
    save_gpt2(tmp_path, v=50257)
    (tmp_path / "tokenizer.json").unlink()
    assert [token.id for token in load_model(str(tmp_path)).tokenizer.encode("every effort")] == [16833, 3626]


@pytest.mark.parametrize("v", [300, 50257])
def test_an_older_gpt2_has_its_tokenizer_in_two_files(v: int, tmp_path: Path) -> None:
    """Its own, even if it is as large as GPT-2's; what transformers makes of them is the same."""
    save_gpt2(tmp_path, v=v)
    words = json.loads((tmp_path / "tokenizer.json").read_text())["model"]["vocab"]
    pairs = {"ef": v - 2, "eff": v - 1}
    words = {word: id for word, id in words.items() if id < v - 2} | pairs
    (tmp_path / "vocab.json").write_text(json.dumps(words))
    (tmp_path / "merges.txt").write_text("#version: 0.2\ne f\nef f\n")
    (tmp_path / "tokenizer.json").unlink()
    text = "Every effort moves you 1984\n 😀"
    ids = [token.id for token in load_model(str(tmp_path)).tokenizer.encode(text)]
    assert v - 1 in ids
    assert ids == GPT2Tokenizer(str(tmp_path / "vocab.json"), str(tmp_path / "merges.txt"))(text)["input_ids"]
    (tmp_path / "vocab.json").write_text("{")
    with pytest.raises(GptlossError, match=r"vocab\.json is no tokenizer or is damaged"):
        load_model(str(tmp_path))
    change_config(tmp_path, model_type="gpt_neox")
    with pytest.raises(GptlossError, match=r"has no tokenizer\.json, from which"):
        load_model(str(tmp_path))


def test_the_four_sizes_of_openai(tmp_path: Path) -> None:
    """Their parameter counts, from the sizes that their config.json states."""
    sizes = {"gpt2": (768, 12), "gpt2-medium": (1024, 24), "gpt2-large": (1280, 36), "gpt2-xl": (1600, 48)}
    for name, (width, layers) in sizes.items():
        block = 12 * width * width + 13 * width
        assert find(name).info.parameters == (50257 + 1024) * width + layers * block + 2 * width


def drop_tensor(folder: Path) -> None:
    tensors = load_file(folder / "model.safetensors")
    del tensors["transformer.h.1.mlp.c_fc.bias"]
    save_file(tensors, folder / "model.safetensors")


def reshape_tensor(folder: Path) -> None:
    tensors = load_file(folder / "model.safetensors")
    tensors["transformer.wpe.weight"] = tensors["transformer.wpe.weight"][:7].clone()
    save_file(tensors, folder / "model.safetensors")


def cut_short(folder: Path) -> None:
    file = folder / "model.safetensors"
    file.write_bytes(file.read_bytes()[:-100])


def lie_about_the_header(folder: Path) -> None:
    (folder / "model.safetensors").write_bytes(struct.pack("<Q", 1 << 60) + b"{}")


def only_pickle(folder: Path) -> None:
    (folder / "model.safetensors").rename(folder / "pytorch_model.bin")


def other_tokenizer(folder: Path) -> None:
    (folder / "tokenizer.json").write_text(byte_tokenizer_json(4000))


def spoil(tensor: str, number: float) -> Callable[[Path], None]:
    """One number of a tensor, far from what a few tokens read."""

    def change(folder: Path) -> None:
        tensors = load_file(folder / "model.safetensors")
        tensors[tensor][-1, -1] = number
        save_file(tensors, folder / "model.safetensors")

    return change


def as_integers(folder: Path) -> None:
    tensors = load_file(folder / "model.safetensors")
    tensors["transformer.h.1.mlp.c_fc.weight"] = tensors["transformer.h.1.mlp.c_fc.weight"].to(torch.int8)
    save_file(tensors, folder / "model.safetensors")


def other_head(folder: Path) -> None:
    tensors = load_file(folder / "model.safetensors")
    save_file(tensors | {"lm_head.weight": torch.ones(299, 32)}, folder / "model.safetensors")


BROKEN = {
    r"lm_head.weight has shape \[299, 32\]": other_head,
    r"In \S+model.safetensors the tensor transformer.wpe.weight holds NaN": spoil("transformer.wpe.weight", math.nan),
    "the tensor transformer.h.0.mlp.c_fc.weight holds NaN or inf": spoil(
        "transformer.h.0.mlp.c_fc.weight", -math.inf
    ),
    "the tensor transformer.h.1.mlp.c_fc.weight is stored as I8, not in float32, float16": as_integers,
    "is quantised": lambda folder: change_config(folder, quantization_config={"quant_method": "gptq", "bits": 4}),
    "model.safetensors has no tensor transformer.h.1.mlp.c_fc.bias": drop_tensor,
    r"model.safetensors the tensor transformer.wpe.weight has shape \[7, 32\].*asks for \[1024, 32\]": reshape_tensor,
    "model.safetensors is cut short or damaged": cut_short,
    "model.safetensors is no safetensors file or is damaged": lie_about_the_header,
    "weights as pickle, which can run code": only_pickle,
    "tokenizer.json has 4,000 tokens and the model 300": other_tokenizer,
    "model.safetensors is missing": lambda folder: (folder / "model.safetensors").unlink(),
    "has no tokenizer.json, from which the tokens are read": lambda folder: (folder / "tokenizer.json").unlink(),
    "config.json is missing": lambda folder: (folder / "config.json").unlink(),
    "config.json cannot be read": lambda folder: (folder / "config.json").write_text("{"),
    "config.json states no vocab_size": lambda folder: change_config(folder, vocab_size=None),
    "config.json states no model_type": lambda folder: change_config(folder, model_type=None),
    "config.json states n_head 5, which does not divide n_embd 32": lambda folder: change_config(folder, n_head=5),
    "config.json states n_layer '2', which is no size": lambda folder: change_config(folder, n_layer="2"),
    "has a tensor transformer.h.1.*config.json does not ask for": lambda folder: change_config(folder, n_layer=1),
    "states no vocab_size": lambda folder: change_config(folder, text_config=[]),
    "config.json cannot be read .*recursion": lambda folder: (folder / "config.json").write_text("[" * 200_000),
    "names no file for each tensor": lambda folder: (folder / "model.safetensors.index.json").write_text(
        json.dumps({"weight_map": {"a": "/etc/passwd"}})
    ),
    "model_type 'nonesuch'|architecture 'nonesuch'": lambda folder: change_config(folder, model_type="nonesuch"),
    "code": lambda folder: change_config(folder, model_type="x", auto_map={"AutoModelForCausalLM": "evil.Model"}),
}


@pytest.mark.parametrize("says", BROKEN)
def test_a_broken_checkpoint_is_one_sentence(says: str, tmp_path: Path) -> None:
    save_gpt2(tmp_path)
    BROKEN[says](tmp_path)
    with pytest.raises(GptlossError, match=says) as caught:
        load_model(str(tmp_path))
    assert str(caught.value).endswith((".", "?"))
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("name", ["no/such", "~nosuchuser/x", "/" + "x" * 5000, "a/\0"])
def test_a_folder_that_is_not_there(name: str) -> None:
    with pytest.raises(GptlossError, match="There is no folder"):
        load_model(name)


@pytest.mark.parametrize("activation", ["gelu_new", "relu"])
def test_what_a_model_needs_is_compared_with_the_memory(
    activation: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By either route, before anything large is read."""
    save_gpt2(tmp_path, activation_function=activation)
    monkeypatch.setattr(weights, "free_memory", lambda: 9_216)
    monkeypatch.setattr(weights, "check_numbers", pytest.fail)
    with pytest.raises(GptlossError, match=rf"{tmp_path} needs 0\.0 GB of memory and this machine has 0\.0 GB left"):
        load_model(str(tmp_path))


def test_a_model_too_large_for_the_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(weights, "free_memory", lambda: 9_216)
    with pytest.raises(GptlossError, match=r"m needs 2\.0 GB of memory and this machine has 0\.0 GB left"):
        weights.check_memory("m", 2_000_000_000)
    weights.check_memory("m", 9000)


def test_the_free_memory_is_a_part_of_the_memory() -> None:
    assert 0 < weights.free_memory() < psutil.virtual_memory().total


def test_a_forged_tensor_is_seen_by_the_comparison(tmp_path: Path) -> None:
    """The comparison with transformers would notice one wrong matrix."""
    theirs = save_gpt2(tmp_path)
    config = json.loads((tmp_path / "config.json").read_text())
    network = gpt2.from_folder(tmp_path, config)
    network.trf_blocks[0].att.W_key.weight = torch.nn.Parameter(network.trf_blocks[0].att.W_key.weight.T.clone())
    ours = GPT2(find(str(tmp_path)).info, network)
    assert (score(ours, [1, 2, 3]).log_probas.double() - exact(theirs, [1, 2, 3])).abs().max() > 1e-3


@pytest.mark.skipif(not GOLDEN.exists(), reason="the recorded answers of GPT-2 small are not here")
@pytest.mark.skipif(not find("gpt2").here(), reason="GPT-2 small is not here: gptloss models pull gpt2")
def test_gpt2_small_answers_as_recorded() -> None:
    model = load_model("gpt2")
    for example in json.loads(GOLDEN.read_text())["examples"]:
        check_golden(model, example)


def check_golden(model: LanguageModel, example: dict[str, Any]) -> None:
    """The ten likeliest next tokens of a prompt."""
    ids = example["token_ids"]
    assert [token.id for token in model.tokenizer.encode(example["prompt"])] == ids
    batch = score(model, [ids], [ids])
    assert batch.argmax_ids[-1] == example["top10_ids"][0]
    log_probas = batch.logits_at(1, len(ids)).double().log_softmax(-1)
    assert log_probas[example["top10_ids"]].tolist() == pytest.approx(example["top10_logprobs"], abs=2e-3)


@pytest.mark.parametrize("base", [{}, {"base_model_name_or_path": "someone/base"}])
def test_an_adapter_is_told(base: dict[str, str], tmp_path: Path) -> None:
    """What training with LoRA leaves; a whole model beside it is read."""
    (tmp_path / "adapter_config.json").write_text(json.dumps({"peft_type": "LORA"} | base))
    save_file({"base_model.model.lora_A.weight": torch.ones(2, 2)}, tmp_path / "adapter_model.safetensors")
    named = ", someone/base" if base else ""
    match = (
        rf"{tmp_path} is an adapter \(adapter_config\.json\) and no whole model; merge it into its base model{named}"
    )
    with pytest.raises(GptlossError, match=rf"{match} \(`merge_and_unload` of peft\) and save that"):
        load_model(str(tmp_path))
    save_gpt2(tmp_path)
    assert load_model(str(tmp_path)).info.parameters
    (tmp_path / "adapter_config.json").unlink()
    (tmp_path / "config.json").unlink()
    with pytest.raises(GptlossError, match=r"is an adapter \(adapter_model\.safetensors\)"):
        load_model(str(tmp_path))


@pytest.mark.parametrize("activation", ["gelu_new", "relu"])
def test_several_start_tokens(activation: str, tmp_path: Path) -> None:
    """The first is taken; transformers takes one number only."""
    save_gpt2(tmp_path, activation_function=activation)
    change_config(tmp_path, bos_token_id=[5, 6])
    if activation == "gelu_new":
        assert load_model(str(tmp_path)).info.bos_id == 5
    else:
        with pytest.raises(GptlossError, match=r"states several start tokens, bos_token_id \[5, 6\]; write one into"):
            load_model(str(tmp_path))
