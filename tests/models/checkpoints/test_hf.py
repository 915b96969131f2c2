"""Models that transformers runs: small ones with random weights, saved and read as any other checkpoint."""

import json
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
import transformers
from transformers import AutoConfig, AutoModelForCausalLM, PreTrainedModel
from transformers.utils import logging

from gptloss import GptlossError, score
from gptloss.errors import TooLongError
from gptloss.models import LanguageModel, ModelInfo
from gptloss.models.architectures.reader import Cached, Recomputed
from gptloss.models.checkpoints import hf
from gptloss.tokens import ByteTokenizer
from tests.helpers.checkpoints import CONTEXT, KINDS, SIZES, V, checkpoint, load

TEXTS = ["every effort moves you", "日本 😀", " <script>\n\tI really like chocolate"]


def oracle(folder: Path, ids: list[int]) -> torch.Tensor:
    """ln p of each token given those before it, by transformers alone in float64."""
    network = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float64, experts_implementation="eager")
    with torch.no_grad():
        log_probas = network(torch.tensor([ids]), use_cache=False).logits[0, :-1].double().log_softmax(-1)
    return log_probas.gather(-1, torch.tensor(ids[1:])[:, None]).squeeze(-1)


@pytest.fixture(autouse=True)
def _no_bars() -> None:
    """The tests' own calls of transformers write nothing either."""
    logging.disable_progress_bar()


@pytest.fixture(scope="module", params=list(KINDS))
def folder(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return checkpoint(tmp_path_factory.mktemp("model"), **KINDS[request.param])


def test_the_scores_are_transformers_own_in_float64(folder: Path) -> None:
    model = load(folder)
    batch = score(model, TEXTS)
    by_hand = [oracle(folder, [token.id for token in model.tokenizer.encode(text)]) for text in TEXTS]
    torch.testing.assert_close(batch.log_probas.double(), torch.cat(by_hand), atol=1e-5, rtol=0)
    assert batch.log_probas.std() > 0.05
    assert batch.loss == pytest.approx(batch.cross_entropy, abs=1e-5)


def test_contract(folder: Path) -> None:
    model = load(folder)
    ids = torch.tensor([[0, 2, 3, 4], [4, 3, 2, 0]])
    hidden = model.hidden(ids)
    logits = model.head(hidden.flatten(0, 1))
    assert isinstance(model, LanguageModel)
    assert logits.shape == (8, V)
    assert hidden.dtype == logits.dtype == torch.float32
    assert torch.equal(model.hidden(ids), hidden)
    assert model.hidden(torch.zeros(1, CONTEXT, dtype=torch.long)).shape[1] == CONTEXT
    assert not any(weights.requires_grad for weights in model.network.parameters())


def test_reading_in_pieces_is_reading_the_whole(folder: Path) -> None:
    model = load(folder)
    ids = torch.arange(CONTEXT) * 37 % V
    whole = model.hidden(ids[None])[0]
    for sizes in ([1, 1, 3, 20, 23], [1] * CONTEXT):
        reader, other = model.reader(), model.reader()
        states = []
        for piece in torch.split(ids, sizes):
            states.append(reader.read(piece))
            other.read(piece + 1)
        assert reader.length == CONTEXT
        assert hf._close(torch.cat(states), whole, 1e-5)
    with pytest.raises(TooLongError):
        reader.read(ids[:1])


def test_which_models_have_a_cache(folder: Path) -> None:
    model = load(folder)
    assert type(model.reader()) is (Recomputed if model.network.config.model_type == "mamba" else Cached)


@pytest.mark.parametrize("kind", ["dynamic", "longrope"])
def test_angles_that_change_with_the_length_are_not_kept(kind: str, tmp_path: Path) -> None:
    model = load(checkpoint(tmp_path))
    assert type(model.reader()) is Cached
    del model._has_cache
    model.network.config.rope_parameters = {"rope_type": kind}
    assert type(model.reader()) is Recomputed


def test_a_cache_with_other_numbers_is_not_used(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    checkpoint(tmp_path)
    whole = transformers.LlamaModel.forward

    def forgets(*given: Any, past_key_values: Any = None, **named: Any) -> Any:
        return whole(*given, **named | {"attention_mask": None})

    monkeypatch.setattr(transformers.LlamaModel, "forward", forgets)
    model = load(tmp_path)
    assert type(model.reader()) is Recomputed


def test_the_results_can_be_used_where_gradients_are_wanted() -> None:
    with torch.no_grad():
        network = AutoModelForCausalLM.from_config(AutoConfig.for_model("llama", **SIZES))
    model = hf.Transformers(ModelInfo("x", "x", "", V, CONTEXT, 0), network, ByteTokenizer())
    assert not any(module.training for module in network.modules())
    hidden = model.hidden(torch.tensor([[1, 2]]))[0]
    for result in (hidden, model.head(hidden)):
        assert not result.requires_grad
        (result * torch.ones(result.shape, requires_grad=True)).sum().backward()  # type: ignore[no-untyped-call]


def test_the_halves_share_the_weights(tmp_path: Path) -> None:
    model = load(checkpoint(tmp_path))
    ours = {weights.data_ptr() for weights in model.network.parameters()}
    assert {weights.data_ptr() for weights in model._head.parameters()} <= ours


@pytest.mark.parametrize(
    ("dtype", "size", "files"), [("float32", "20KB", 7), ("bfloat16", "1GB", 1), ("float16", "1GB", 1)]
)
def test_shards_and_half_precision_are_read(dtype: str, size: str, files: int, tmp_path: Path) -> None:
    network = AutoModelForCausalLM.from_pretrained(checkpoint(tmp_path / "whole"))
    network.to(getattr(torch, dtype)).save_pretrained(tmp_path, max_shard_size=size)
    assert len(list(tmp_path.glob("*.safetensors"))) == files
    model = load(tmp_path)
    ids = [token.id for token in model.tokenizer.encode(TEXTS[0])]
    torch.testing.assert_close(score(model, ids).log_probas.double(), oracle(tmp_path, ids), atol=1e-5, rtol=0)
    assert model.network.dtype == torch.float32


def test_loading_says_nothing(
    tmp_path: Path,
    capfd: pytest.CaptureFixture[str],
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Not even of a tensor too many, or of what a forward pass warns of; the settings are as they were."""
    checkpoint(tmp_path)
    edit_weights(tmp_path, lambda tensors: tensors | {"surplus": torch.ones(2)})
    whole = transformers.LlamaModel.forward

    def warn(*given: Any, **named: Any) -> Any:
        warnings.warn("this is slow", stacklevel=1)
        return whole(*given, **named)

    monkeypatch.setattr(transformers.LlamaModel, "forward", warn)
    logging.enable_progress_bar()
    logging.set_verbosity(logging.WARNING)
    level, filters = logging.get_verbosity(), list(warnings.filters)
    capfd.readouterr()
    load(tmp_path)
    assert capfd.readouterr() == ("", "")
    assert not caplog.records
    assert (logging.get_verbosity(), warnings.filters) == (level, filters)
    assert logging.is_progress_bar_enabled()


# What a checkpoint may be instead of a whole, causal model.


def edit_config(folder: Path, **changes: Any) -> Path:
    file = folder / "config.json"
    file.write_text(json.dumps(json.loads(file.read_text()) | changes))
    return folder


def edit_weights(folder: Path, change: Callable[[dict[str, torch.Tensor]], dict[str, torch.Tensor]]) -> None:
    from safetensors.torch import load_file, save_file

    file = folder / "model.safetensors"
    save_file(change({name: tensor.clone() for name, tensor in load_file(file).items()}), file, {"format": "pt"})


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"model_type": "llama9"}, r"is of the architecture 'llama9', unknown to transformers 5\.\d+.*; try a newer"),
        ({"model_type": None}, r"is of the architecture 'None', unknown"),
        ({"model_type": ["llama"]}, r"is of the architecture"),
        ({"model_type": "t5"}, r"is no causal language model but t5; choose"),
        ({"model_type": "bart", "is_encoder_decoder": True}, r"is no causal language model but bart; choose"),
        ({"model_type": "mine", "auto_map": {"AutoConfig": "x.Y"}}, r"needs its own code .* is never run; choose"),
        ({"quantization_config": {"quant_method": "gptq"}}, r"is quantised \(quantization_config in config\.json\)"),
        ({"hidden_size": "wide"}, r"cannot be loaded \(.+'hidden_size':.+'wide'\)\); fetch or save it again"),
    ],
)
def test_a_config_that_will_not_do(changes: dict[str, Any], sentence: str, tmp_path: Path) -> None:
    folder = edit_config(checkpoint(tmp_path), **changes)
    with pytest.raises(GptlossError, match=rf"^The model in {folder} {sentence}[^\n]*\.$"):
        load(folder)


def test_code_in_a_checkpoint_is_not_run(tmp_path: Path) -> None:
    trap = tmp_path / "trap.py"
    checkpoint(tmp_path)
    trap.write_text(f"open({str(tmp_path / 'ran')!r}, 'w')\n")
    edit_config(tmp_path, auto_map={"AutoConfig": "trap.Config", "AutoModelForCausalLM": "trap.Model"})
    load(tmp_path)
    assert not (tmp_path / "ran").exists()


def test_a_missing_tensor_is_named(tmp_path: Path) -> None:
    name = "model.layers.1.mlp.up_proj.weight"
    edit_weights(checkpoint(tmp_path), lambda tensors: {key: tensors[key] for key in tensors if key != name})
    with pytest.raises(GptlossError, match=rf"{tmp_path}/model\.safetensors has no tensor {name}, which"):
        load(tmp_path)


def test_a_tied_head_need_not_be_there_and_an_untied_one_must(tmp_path: Path) -> None:
    edit_weights(checkpoint(tmp_path), lambda tensors: {key: tensors[key] for key in tensors if "head" not in key})
    with pytest.raises(GptlossError, match=r"has no tensor lm_head\.weight"):
        load(tmp_path)
    load(edit_config(tmp_path, tie_word_embeddings=True))


@pytest.mark.parametrize("kind", ["llama", "gpt_neox", "gpt2", "opt", "mixtral"])
@pytest.mark.parametrize("size", ["1GB", "20KB"])
def test_a_layer_too_many_is_named(kind: str, size: str, tmp_path: Path) -> None:
    """Without it the numbers would be those of another model."""
    checkpoint(tmp_path, size=size, **KINDS[kind])
    edit_config(tmp_path, num_hidden_layers=1, n_layer=1)
    with pytest.raises(GptlossError, match=rf"{tmp_path}/model\S*\.safetensors has a tensor \S+\.1\.\S+ that config"):
        load(tmp_path)


def test_what_is_stored_beside_the_weights(tmp_path: Path) -> None:
    """A bias that is not asked for would change the numbers; masks, positions and other parts do not."""
    body = "model.layers.0.self_attn"
    harmless = (f"{body}.rotary_emb.inv_freq", "v_head.weight", "model.vision_tower.layers.0.self_attn.q_proj.weight")
    edit_weights(checkpoint(tmp_path), lambda tensors: tensors | {name: torch.ones(4) for name in harmless})
    load(tmp_path)
    edit_weights(tmp_path, lambda tensors: tensors | {f"{body}.q_proj.bias": torch.ones(32)})
    with pytest.raises(GptlossError, match=rf"has a tensor {body}\.q_proj\.bias that config\.json does not ask for"):
        load(tmp_path)


@pytest.mark.parametrize("buffer", ["bias", "masked_bias"])
def test_the_masks_of_older_files_are_passed_over(buffer: str, tmp_path: Path) -> None:
    checkpoint(tmp_path, "gpt_neox")
    mask = {f"gpt_neox.layers.{n}.attention.{buffer}": torch.full((CONTEXT, CONTEXT), -torch.inf) for n in range(2)}
    edit_weights(tmp_path, lambda tensors: tensors | mask)
    model = load(tmp_path)
    ids = [token.id for token in model.tokenizer.encode(TEXTS[0])]
    torch.testing.assert_close(score(model, ids).log_probas.double(), oracle(tmp_path, ids), atol=1e-5, rtol=0)


def test_a_tensor_of_another_shape_is_named_with_both(tmp_path: Path) -> None:
    edit_config(checkpoint(tmp_path), intermediate_size=80)
    with pytest.raises(
        GptlossError,
        match=rf"In {tmp_path}/model\.safetensors the tensor \S+down_proj\S* has shape \[32, 64\].* \[32, 80\]; the",
    ):
        load(tmp_path)


def test_files_that_are_damaged_are_told_apart(tmp_path: Path) -> None:
    weights = checkpoint(tmp_path) / "model.safetensors"
    whole = weights.read_bytes()
    weights.write_bytes(whole[:-8])
    with pytest.raises(GptlossError, match=rf"{weights} is cut short or damaged"):
        load(tmp_path)
    weights.write_bytes(whole.replace(b'"F32"', b'"F99"', 1))
    with pytest.raises(GptlossError, match=rf"In {weights} the tensor \S+ is stored as F99, not in float32"):
        load(tmp_path)
    weights.unlink()
    (tmp_path / "pytorch_model.bin").write_bytes(b"pickle")
    with pytest.raises(GptlossError, match="has its weights as pickle, which can run code"):
        load(tmp_path)


def test_a_missing_config_is_named(tmp_path: Path) -> None:
    (checkpoint(tmp_path) / "config.json").unlink()
    with pytest.raises(GptlossError, match=f"config.json is missing in {tmp_path}"):
        load(tmp_path)


@pytest.mark.parametrize("kind", ["bert", "roberta"])
def test_a_model_that_reads_ahead_is_refused(kind: str, tmp_path: Path) -> None:
    checkpoint(tmp_path, kind, max_position_embeddings=CONTEXT + 2)
    with pytest.raises(
        GptlossError, match=rf"The model in {tmp_path} is not causal: a token changes the states before"
    ):
        load(tmp_path)


def test_another_vocabulary_than_expected_is_refused(tmp_path: Path) -> None:
    checkpoint(tmp_path)
    with pytest.raises(GptlossError, match=rf"The model in {tmp_path} has 304 logits and 300 tokens were expected"):
        load(tmp_path, 300)


@pytest.mark.parametrize(("number", "dtype"), [(torch.nan, "float32"), (-torch.inf, "float16"), (1e300, "float64")])
def test_weights_that_are_no_numbers_are_named(number: float, dtype: str, tmp_path: Path) -> None:
    """A few tokens need not read them."""
    wrong = torch.cat([torch.zeros(V - 1, 32), torch.full((1, 32), number, dtype=torch.float64)]).to(
        getattr(torch, dtype)
    )
    edit_weights(checkpoint(tmp_path), lambda tensors: tensors | {"model.embed_tokens.weight": wrong})
    file = tmp_path / "model.safetensors"
    with pytest.raises(
        GptlossError, match=rf"In {file} the tensor model\.embed_tokens\.weight holds NaN or infinity"
    ):
        load(tmp_path)


@pytest.mark.parametrize("dtype", ["int8", "float8_e4m3fn"])
def test_weights_that_were_quantised_are_named(dtype: str, tmp_path: Path) -> None:
    """Even if config.json does not say so: transformers would take them for numbers."""
    name = "model.layers.0.mlp.up_proj.weight"
    edit_weights(checkpoint(tmp_path), lambda tensors: tensors | {name: tensors[name].to(getattr(torch, dtype))})
    with pytest.raises(GptlossError, match=rf"the tensor {name} is stored as (I8|F8_E4M3), not in float32, float16"):
        load(tmp_path)


def test_logits_that_are_no_numbers_are_refused(tmp_path: Path) -> None:
    edit_weights(checkpoint(tmp_path), lambda tensors: tensors | {"model.norm.weight": torch.full((32,), 3e38)})
    with pytest.raises(GptlossError, match=rf"The model in {tmp_path} gives logits that are no numbers"):
        load(tmp_path)


def test_a_head_that_needs_more_than_the_states_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    checkpoint(tmp_path)
    whole = transformers.LlamaForCausalLM.forward

    def by_position(self: PreTrainedModel, input_ids: torch.Tensor | None = None, **rest: Any) -> Any:
        outputs = whole(self, input_ids=input_ids, **rest)
        outputs.logits = outputs.logits * (1 if input_ids is None else 2)
        return outputs

    monkeypatch.setattr(transformers.LlamaForCausalLM, "forward", by_position)
    with pytest.raises(GptlossError, match=rf"The model in {tmp_path} cannot be split into states and head"):
        load(tmp_path)


def test_a_model_that_fails_while_it_runs_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: Any, **__: Any) -> None:
        raise NotImplementedError("needs a kernel.\nsecond line")

    monkeypatch.setattr(transformers.LlamaModel, "forward", fail)
    with pytest.raises(
        GptlossError, match=rf"The model in {tmp_path} cannot be run \(needs a kernel\); choose another"
    ):
        load(checkpoint(tmp_path))
