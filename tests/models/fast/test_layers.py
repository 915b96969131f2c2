"""Linear layers by chosen kernels: the numbers of F.linear, one copy of the weights, and a way back."""

import copy
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from gptloss import GptlossError, ScoredBatch, load_model, score
from gptloss.models import LanguageModel, ModelInfo
from gptloss.models.architectures.gpt2 import GPT2, GPTConfig, untrained
from gptloss.models.architectures.llama import Llama, LlamaConfig, LlamaModel
from gptloss.models.checkpoints import hf
from gptloss.models.fast import kernels, layers, plan
from gptloss.tokens import ByteTokenizer
from tests.helpers.checkpoints import KINDS, checkpoint
from tests.helpers.checkpoints import load as load_hf
from tests.helpers.scoring import LECTURE

TEXT = "every effort moves you, and nothing else"
IDS = torch.arange(24)[None] * 37 % 256
SIZES = LlamaConfig(256, 32, emb_dim=48, hidden_dim=96, n_heads=4, n_kv_groups=2, n_layers=2)


@pytest.fixture(autouse=True)
def told(monkeypatch: pytest.MonkeyPatch) -> None:
    """oneDNN is used wherever it is there, however fast."""
    if "packed" not in kernels.available():
        pytest.skip("PyTorch has no oneDNN here")
    monkeypatch.setenv(plan.VARIABLE, "packed")


def small(kind: str) -> Any:
    """A model whose weights are large enough to tell tokens apart."""
    torch.manual_seed(0)
    info = ModelInfo(kind, kind, "random weights", 256, 32, 0)
    if kind == "llama":
        model: Any = Llama(info, LlamaModel(SIZES), ByteTokenizer())
    else:
        network = untrained(GPTConfig(256, 32, emb_dim=48, n_heads=4, n_layers=2, qkv_bias=True))
        if kind == "tied gpt2":
            network.out_head.weight = network.tok_emb.weight
        model = GPT2(info, network, ByteTokenizer())
    for weights in model.network.parameters():
        nn.init.normal_(weights, std=0.3)
    return model


def logits(model: LanguageModel) -> torch.Tensor:
    return model.head(model.hidden(IDS)[0])


def exact(model: Any) -> torch.Tensor:
    network = copy.deepcopy(model.network).double()
    return network.out_head(network.hidden(IDS))[0]


@pytest.mark.parametrize("kind", ["gpt2", "tied gpt2", "llama"])
def test_packed_layers_give_the_numbers_of_float64(kind: str) -> None:
    model = small(kind)
    wanted = exact(model).log_softmax(-1)
    for change in (layers.use_kernels, layers.pack, layers.plain):
        assert change(model) is model
        torch.testing.assert_close(logits(model).log_softmax(-1).double(), wanted, atol=1e-5, rtol=0)


def test_the_lectures_model_within_1e_5_of_float64(gpt2: LanguageModel) -> None:
    """256 tokens, logits in chunks of 128, ln p = the target's logit - logsumexp."""
    network = copy.deepcopy(gpt2.network)  # type: ignore[attr-defined]
    ids = torch.randint(0, 50_257, (1, 256), generator=torch.Generator().manual_seed(1))
    exact = copy.deepcopy(network).double()(ids[:, :-1])[0].log_softmax(-1).gather(-1, ids[0, 1:, None])[:, 0]
    model = layers.pack(GPT2(gpt2.info, network))
    assert network.trf_blocks[0].att.W_key.weight.is_mkldnn
    batch = score(model, ids[0].tolist())
    assert (batch.log_probas.double() - exact).abs().max() < 1e-5


@pytest.mark.parametrize("kind", ["gpt2", "tied gpt2", "llama"])
def test_plain_gives_back_what_was_there(kind: str) -> None:
    model, same = small(kind), small(kind)
    before = logits(model)
    layers.plain(layers.pack(model))
    assert torch.equal(logits(model), before)
    assert str(model.network) == str(same.network)
    stored = model.network.state_dict()
    assert stored.keys() == same.network.state_dict().keys()
    assert all(torch.equal(stored[name], weights) for name, weights in same.network.state_dict().items())


def test_there_is_one_copy_of_the_weights() -> None:
    model = small("gpt2")
    size = sum(weights.numel() for weights in model.network.parameters())
    addresses = {weights.data_ptr() for weights in model.network.parameters()}
    layers.use_kernels(model)
    assert {weights.data_ptr() for weights in model.network.parameters()} == addresses
    layers.pack(model)
    assert sum(weights.numel() for weights in model.network.parameters()) == size
    linear = {m for m in model.network.modules() if isinstance(m, nn.Linear)}
    assert {m for m in linear if not m.weight.is_mkldnn} == {model.output_layer}, "which is multiplied in parts"
    assert len(linear) > 1


@pytest.mark.parametrize("kind", ["tied gpt2", "llama"])
def test_a_tied_head_stays_the_embedding(kind: str) -> None:
    network = layers.pack(small(kind)).network
    assert network.out_head.weight is network.tok_emb.weight
    assert not network.tok_emb.weight.is_mkldnn


def test_reading_in_pieces_on_packed_weights() -> None:
    model = layers.pack(small("gpt2"))
    reader = model.reader()
    states = torch.cat([reader.read(piece) for piece in IDS[0].split([1, 1, 9, 13])])
    torch.testing.assert_close(states, model.hidden(IDS)[0], atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("change", [layers.use_kernels, layers.pack])
def test_a_gradient_is_that_of_f_linear(change: Any) -> None:
    """oneDNN's product has none: where one is asked for the layers fall back."""
    model, same = change(small("gpt2")), small("gpt2")
    x, y = (torch.randn(9, 48, generator=torch.Generator().manual_seed(3)).requires_grad_() for _ in range(2))
    for network, states in ((model.network, x), (same.network, y)):
        network.trf_blocks(states[None]).square().sum().backward()
    torch.testing.assert_close(x.grad, y.grad)
    assert x.grad is not None
    assert x.grad.abs().max() > 0


@pytest.mark.parametrize("kernel", [kernel for kernel in kernels.available() if kernel != "torch"])
def test_each_kernel_gives_the_numbers_of_float64(kernel: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Twelve rows, through layers with and without a bias, and through a head that is tied."""
    monkeypatch.setenv(plan.VARIABLE, kernel)
    for kind in ("gpt2", "tied gpt2", "llama"):
        model = small(kind)
        wanted = exact(model).log_softmax(-1)
        change = layers.pack if kernel == "packed" else layers.use_kernels
        assert set(layers.kernels_of(change(model)).values()) == {((plan.MANY, kernel),)}
        torch.testing.assert_close(logits(model).log_softmax(-1).double(), wanted, atol=1e-5, rtol=0)


@pytest.mark.parametrize("kernel", ["onednn", "openblas"])
def test_few_rows_are_left_to_f_linear(kernel: str, monkeypatch: pytest.MonkeyPatch) -> None:
    if kernel not in kernels.available():
        pytest.skip(f"no {kernel} here")
    monkeypatch.setenv(plan.VARIABLE, kernel)
    model, products = layers.use_kernels(small("gpt2")), []
    product = kernels.PRODUCTS[kernel]  # type: ignore[index]
    counted = {**kernels.PRODUCTS, kernel: lambda *given: products.append(given) or product(*given)}
    monkeypatch.setattr(layers, "PRODUCTS", counted)
    model.head(torch.randn(plan.MANY - 1, 48))
    assert products == []
    model.head(torch.randn(plan.MANY, 48))
    assert len(products) == 1


def test_a_layer_takes_the_kernel_for_its_rows() -> None:
    model = small("gpt2")
    shape = layers.Shape.of(model.network.out_head.weight)
    layers.use_kernels(model, {shape: ((8, "onednn"), (64, "torch"), (256, "openblas"))})
    head = model.network.out_head
    found = [head._kernel(torch.empty(*size, 48)) for size in [(7,), (8,), (3, 21), (64,), (255,), (2, 128)]]
    assert found == ["torch", "onednn", "onednn", "torch", "torch", "openblas"]
    assert layers.kernels_of(model) == {shape: ((8, "onednn"), (64, "torch"), (256, "openblas"))}


def test_the_lectures_digits_do_not_hang_on_the_kernel(lecture: ScoredBatch, monkeypatch: pytest.MonkeyPatch) -> None:
    for kernel in kernels.available():
        monkeypatch.setenv(plan.VARIABLE, kernel)
        assert torch.equal(score(load_model("gpt2-untrained"), *LECTURE).log_probas, lecture.log_probas)


def test_told_not_to_everything_stays_plain(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(plan.VARIABLE, "torch")
    model = layers.pack(layers.use_kernels(small("gpt2")))
    assert {type(m) for m in model.network.modules()} & {layers.ChosenLinear, layers.Done} == set()


@pytest.mark.parametrize("kind", ["gpt2", "tied gpt2", "llama"])
def test_the_kernels_of_one_model_can_be_taken_on_by_another(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    one, other = layers.pack(small(kind)), small(kind)
    monkeypatch.setenv(plan.VARIABLE, "torch")
    layers.pack(other, layers.kernels_of(one))
    assert layers.kernels_of(other) == layers.kernels_of(one) != {}
    assert torch.equal(logits(one), logits(other))


@pytest.mark.parametrize("way", ["torch", "packed"])
@pytest.mark.parametrize("kind", ["gpt2", "tied gpt2", "llama"])
def test_bfloat16_is_near_and_leaves_the_model_alone(way: str, kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(plan.VARIABLE, way)
    model = layers.pack(small(kind))
    before = logits(model)
    other = layers.bfloat16(model)
    assert isinstance(other, LanguageModel)
    assert torch.equal(logits(model), before)
    near = logits(other)
    assert near.dtype == other.hidden(IDS).dtype == torch.float32
    off = (near.log_softmax(-1) - before.log_softmax(-1)).abs()
    assert 1e-4 < off.max() < 0.1
    assert off.mean() < 0.008
    found, wanted = (score(m, IDS[0].tolist()).loss for m in (other, model))
    assert found == pytest.approx(wanted, rel=1e-3)
    assert other.network.tok_emb is not None  # type: ignore[attr-defined]
    norms = [m for m in other.network.modules() if isinstance(m, nn.LayerNorm | nn.RMSNorm)]  # type: ignore[attr-defined]
    assert {norm.weight.dtype for norm in norms} == {torch.float32}


def test_a_model_without_matrices() -> None:
    model = load_model("uniform")
    assert layers.plain(layers.pack(model)) is model
    with pytest.raises(GptlossError, match="uniform has no matrices to keep in bfloat16; score it in float32"):
        layers.bfloat16(model)


@pytest.mark.parametrize("kind", list(KINDS))
def test_models_that_transformers_runs(kind: str, tmp_path: Path) -> None:
    model: hf.Transformers = load_hf(checkpoint(tmp_path, **KINDS[kind]))
    before = score(model, TEXT).log_probas
    layers.pack(model)
    found = [m for m in model.network.modules() if type(m) is layers.ChosenLinear]
    # transformers' own GPT-2 has other layers than nn.Linear; mamba uses a matrix without its layer
    assert bool(found) == (kind not in ("gpt2", "mamba"))
    assert all(layer.weight.is_mkldnn for layer in found)
    torch.testing.assert_close(score(model, TEXT).log_probas, before, atol=2e-5, rtol=0)
    if kind == "mamba":
        with pytest.raises(GptlossError, match="small cannot be read in bfloat16; score it in float32"):
            layers.bfloat16(model)
    else:
        assert score(layers.bfloat16(model), TEXT).loss == pytest.approx(-before.mean().item(), rel=0.05)


MEMORY = """
import sys, torch
torch.set_num_threads(1)
from gptloss.models import load_model
from gptloss.models.fast import layers
def field(name):
    line, = (line for line in open("/proc/self/status") if line.startswith(name))
    return int(line.split()[1]) / 1024
model = load_model("gpt2-untrained")
before = field("VmRSS")
layers.pack(model)
print(field("VmHWM") - before, sum(w.numel() for w in model.network.parameters() if w.ndim == 2) * 4 / 2**20)
"""


@pytest.mark.usefixtures("gpt2")
@pytest.mark.skipif(not Path("/proc/self/smaps").exists(), reason="only Linux says how much memory is used")
def test_packing_mapped_weights_never_holds_them_twice() -> None:
    run = subprocess.run([sys.executable, "-c", MEMORY], capture_output=True, text=True, check=True, env=os.environ)
    most, weights = map(float, run.stdout.split())
    assert most < weights + 64
