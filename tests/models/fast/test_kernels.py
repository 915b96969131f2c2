"""The choice of kernels: made once with care, kept, the same in every process, and never at the cost of exactness."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
from transformers import GPT2Config, GPT2LMHeadModel

from gptloss import GptlossError, load_model
from gptloss.models.fast import kernels, measure, plan, record
from gptloss.models.fast.measure import SIZES, Figures, Measured
from gptloss.models.fast.shape import Shape
from tests.helpers.driver import ROOT

SHAPE = Shape(256, 1024)


@pytest.fixture(autouse=True)
def fresh(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is asked for, and nothing was measured yet."""
    monkeypatch.setenv("GPTLOSS_HOME", str(tmp_path / "home"))
    monkeypatch.delenv(plan.VARIABLE)


def figures(**of: tuple[float, float] | tuple[tuple[float, float], ...]) -> Figures:
    """(speed, error) of each kernel, for all numbers of rows alike or for each."""
    found = {}
    for kernel, given in of.items():
        sizes = given if isinstance(given[0], tuple) else (given,) * len(SIZES)
        found[kernel] = {size: Measured(*map(float, pair)) for size, pair in zip(SIZES, sizes, strict=True)}  # type: ignore[misc]
    return found  # type: ignore[return-value]


def test_every_kernel_multiplies_as_f_linear(monkeypatch: pytest.MonkeyPatch) -> None:
    """Any number of rows and axes, either order in memory, with a bias and without; float64 is the oracle."""
    torch.manual_seed(0)
    for turned in (False, True):
        weight, bias = measure.sample(96, 64, turned), torch.randn(96)
        for kernel in kernels.available():
            given = kernels.reorder(weight) if kernel == "packed" else weight
            for x in (torch.randn(9, 64), torch.randn(2, 5, 64), torch.randn(3, 64, 7).transpose(1, 2)):
                for b in (bias, None):
                    y = kernels.PRODUCTS[kernel](x, given, b)
                    exact = F.linear(x.double(), weight.double(), None if b is None else b.double())
                    assert y.shape == exact.shape
                    # 64 products of size 1: their sum is about 8, and float32 has 2^-24 of that
                    torch.testing.assert_close(y.double(), exact, atol=64 * 2**-24 * 8, rtol=0)


@pytest.mark.parametrize("broken", ["wrong", "missing"])
def test_a_kernel_that_is_wrong_or_missing_is_not_there(broken: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def product(x: torch.Tensor, weight: torch.Tensor, bias: torch.Tensor) -> torch.Tensor:
        if broken == "missing":
            return torch.ops.mkldnn._there_is_no_such_operation()
        return F.linear(x, kernels.dense(weight), bias) * 1.0001

    monkeypatch.setattr(kernels, "PRODUCTS", {**kernels.PRODUCTS, "onednn": product})
    kernels.available.cache_clear()
    try:
        assert "onednn" not in kernels.available()
        assert "torch" in kernels.available()
        monkeypatch.setenv(plan.VARIABLE, "onednn")
        with pytest.raises(GptlossError, match=r"does not have the kernel 'onednn'; use torch"):
            plan.told()
    finally:
        kernels.available.cache_clear()


def test_the_quickest_is_chosen_for_each_number_of_rows() -> None:
    found = figures(
        torch=(100, 3e-7),
        onednn=((200, 3e-7), (90, 3e-7), (90, 3e-7)),
        openblas=((90, 3e-7), (90, 3e-7), (120, 3e-7)),
    )
    assert plan.choose(found, pack=False) == ((8, "onednn"), (64, "torch"), (256, "openblas"))


def test_a_margin_is_asked_for() -> None:
    assert plan.choose(figures(torch=(100, 3e-7), onednn=(104, 3e-7)), pack=False) == ()
    assert plan.choose(figures(torch=(100, 3e-7), onednn=(106, 3e-7)), pack=False) == ((8, "onednn"),)


def test_exactness_counts_before_speed() -> None:
    assert plan.choose(figures(torch=(100, 2.5e-7), onednn=(300, 5e-7)), pack=False) == ()
    assert plan.choose(figures(torch=(100, 2.5e-7), packed=(300, 5e-7)), pack=True) == ()
    worse = figures(torch=(100, 6e-7), onednn=(300, 5e-7))
    assert plan.choose(worse, pack=False) == ((8, "onednn"),), "F.linear itself is off by more"


def test_weights_are_reordered_only_to_pack_and_only_if_that_beats_the_others() -> None:
    found = figures(torch=(100, 3e-7), onednn=(120, 3e-7), packed=(130, 3e-7))
    assert plan.choose(found, pack=False) == ((8, "onednn"),)
    assert plan.choose(found, pack=True) == ((8, "packed"),)
    little = figures(torch=(100, 3e-7), onednn=(120, 3e-7), packed=(122, 3e-7))
    assert plan.choose(little, pack=True) == ((8, "onednn"),)


def test_figures_are_of_this_machine_and_alike() -> None:
    """The errors are of float32's size, and the same each time: only speeds may differ."""
    one, other = measure.figures(SHAPE), measure.figures(SHAPE)
    assert one.keys() == set(kernels.available())
    for kernel, sizes in one.items():
        assert sizes.keys() == set(SIZES)
        for size, found in sizes.items():
            assert found.error == other[kernel][size].error
            assert 1e-8 < found.error < 2e-6
            assert found.speed > 0


def test_it_is_measured_once_and_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[Shape] = []
    found = figures(torch=(100, 3e-7), onednn=(200, 3e-7))
    monkeypatch.setattr(record, "figures", lambda shape: asked.append(shape) or found)
    small = Shape(16, 16)
    assert plan.kernels([SHAPE, small, SHAPE]) == {SHAPE: ((8, "onednn"),)}
    assert plan.kernels([SHAPE, Shape(256, 1024, turned=True)]) == dict.fromkeys(
        [SHAPE, Shape(256, 1024, turned=True)], ((8, "onednn"),)
    )
    assert asked == [SHAPE, Shape(256, 1024, turned=True)]
    assert record.read() == dict.fromkeys(asked, found)
    assert [path.name for path in record.place().parent.iterdir()] != []
    assert not list(record.place().parent.glob("*.part"))


def test_another_processor_another_pytorch_or_what_it_is_told_has_a_file_of_its_own(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    places = [record.place()]
    monkeypatch.setattr(record, "processor", lambda: "Another 9000")
    places.append(record.place())
    monkeypatch.setenv("OPENBLAS_CORETYPE", "Another")
    places.append(record.place())
    assert len(set(places)) == 3
    torch.set_num_threads(2)
    try:
        assert record.place() == places[-1]
    finally:
        torch.set_num_threads(1)


@pytest.mark.parametrize("text", ["", "{", '{"products": {"256x1024": {}}}', '{"products": {"x": 1}}', "[]", "\x00"])
def test_a_damaged_file_is_measured_again(text: str, monkeypatch: pytest.MonkeyPatch) -> None:
    found = figures(torch=(100, 3e-7))
    monkeypatch.setattr(record, "figures", lambda _: found)
    record.place().parent.mkdir(parents=True)
    record.place().write_text(text)
    assert record.read() == {}
    assert plan.kernels([SHAPE]) == {}
    assert record.read() == {SHAPE: found}


def test_where_nothing_can_be_kept_nothing_is_measured(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A choice that the next process would not know would print other digits than this one."""
    (tmp_path / "home").write_text("a file is no folder")
    monkeypatch.setattr(record, "figures", lambda _: pytest.fail("measured"))
    assert plan.kernels([SHAPE]) == {}


def test_the_gain_of_bfloat16_is_measured_once_and_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    found, asked = figures(torch=(100, 3e-7)), []
    monkeypatch.setattr(measure, "bfloat16_gain", lambda: asked.append(1) or 0.25)
    monkeypatch.setattr(record, "figures", lambda _: found)
    for _ in range(2):
        record.bfloat16_gain.cache_clear()
        assert record.bfloat16_gain() == 0.25
        plan.kernels([SHAPE])  # writes the same file
    assert asked == [1]
    assert record.read() == {SHAPE: found}
    record.bfloat16_gain.cache_clear()
    monkeypatch.undo()
    assert 1e-4 < measure.bfloat16_gain() < 50


def test_a_kernel_can_be_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(record, "figures", lambda _: pytest.fail("measured"))
    monkeypatch.setenv(plan.VARIABLE, "openblas")
    assert plan.kernels([SHAPE]) == {SHAPE: ((8, "openblas"),)}
    monkeypatch.setenv(plan.VARIABLE, "torch")
    assert plan.kernels([SHAPE]) == {}
    monkeypatch.setenv(plan.VARIABLE, "packed")
    assert plan.kernels([SHAPE]) == {}
    assert plan.kernels([SHAPE], pack=True) == {SHAPE: plan.PACKED}
    monkeypatch.setenv(plan.VARIABLE, "mkl")
    with pytest.raises(
        GptlossError,
        match=r"no kernel 'mkl'; use torch, onednn, packed, openblas, or leave it out \(GPTLOSS_KERNEL\)",
    ):
        load_model("uniform")


def test_kernels_as_plain_data_and_back() -> None:
    chosen = {Shape(256, 1024, turned=True): ((8, "onednn"), (64, "torch")), SHAPE: plan.PACKED}
    stored = json.loads(json.dumps(plan.kernels_as_json(chosen)))  # type: ignore[arg-type]
    assert stored == {"256x1024": {"8": "packed"}, "256x1024t": {"8": "onednn", "64": "torch"}}
    assert plan.kernels_from_json(stored) == chosen
    with pytest.raises(GptlossError, match="does not have the kernel 'mkl'"):
        plan.kernels_from_json({"256x1024": {"8": "mkl"}})


def test_numpy_computes_on_as_many_threads_as_pytorch() -> None:
    blas = kernels._blas()
    if blas is None:
        pytest.skip("numpy has no OpenBLAS here")
    kernels.use_threads(1)
    assert {library.num_threads for library in blas.lib_controllers} == {1}


def test_a_layer_lies_in_memory_this_way_or_the_other() -> None:
    weight = torch.empty(1024, 256)
    assert Shape.of(weight) == SHAPE
    assert Shape.of(torch.empty(256, 1024).T) == Shape(256, 1024, turned=True)
    assert Shape.of(torch.empty(256, 3072).chunk(3, -1)[1].T) == Shape(256, 1024, turned=True)
    assert [Shape.named(str(shape)) for shape in (SHAPE, Shape(2, 3, True))] == [SHAPE, Shape(2, 3, True)]


@pytest.fixture
def loops() -> Iterator[None]:
    """Two processes that leave the machine no rest."""
    running = [subprocess.Popen([sys.executable, "-c", "while True: pass"]) for _ in range(2)]
    yield
    for process in running:
        process.kill()
        process.wait()


@pytest.mark.usefixtures("loops")
def test_fresh_processes_print_the_same_digits_on_a_busy_machine(tmp_path: Path) -> None:
    """The first two measure at the same time, beside two loops; the last one finds what they kept."""
    torch.manual_seed(0)
    folder = tmp_path / "model"
    GPT2LMHeadModel(GPT2Config(n_layer=1, n_embd=256, n_head=4, n_positions=128)).save_pretrained(folder)
    text = "every effort moves you, and then some more until there are many rows " * 6
    command = [sys.executable, "-m", "gptloss", "loss", "--input", text, "--model", str(folder), "--json"]
    # threads that wait for each other wait long on a busy machine
    environment = os.environ | {"OMP_NUM_THREADS": "1"}

    def start() -> subprocess.Popen[str]:
        return subprocess.Popen(command, cwd=ROOT, env=environment, stdout=subprocess.PIPE, text=True)

    at_once = [start(), start()]
    outputs = [process.communicate()[0] for process in at_once]
    outputs.append(start().communicate()[0])
    assert json.loads(outputs[0])["count"] > 64
    assert len(set(outputs)) == 1
    assert record.read().keys() >= {Shape(256, 1024, turned=True), Shape(256, 50257)}
