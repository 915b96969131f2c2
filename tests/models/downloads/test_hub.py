"""Pulling from a hub that is a thread in this process, with everything that can go wrong on the way."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from types import SimpleNamespace

import pytest
from filelock import FileLock
from transformers import GPT2LMHeadModel

from gptloss import GptlossError, models
from gptloss.cli.main import main
from gptloss.errors import NotHereError
from gptloss.models.base import Progress, Report
from gptloss.models.checkpoints import weights
from gptloss.models.downloads import hub
from tests.helpers.fake_hub import Files, Hub, tiny_gpt2

REPO = "someone/tiny-gpt2"
NAME = f"hf:{REPO}"
PULL = f"hub.pull('{REPO}', 'it', lambda progress: None)"
UNWANTED = ("pytorch_model.bin", "onnx/model.onnx", "onnx/model.safetensors", "README.md", "consolidated.safetensors")


@pytest.fixture
def whole() -> Files:
    return tiny_gpt2("1GB")


@pytest.fixture
def fake(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, whole: Files) -> Iterator[Hub]:
    """The hub, with one model, and an empty cache; nobody waits between two tries."""
    from huggingface_hub import constants

    monkeypatch.setattr(constants, "HF_HUB_DISABLE_TELEMETRY", True)
    monkeypatch.setattr(constants, "DOWNLOAD_CHUNK_SIZE", 1 << 20)
    for module in ("file_download", "utils._http"):
        monkeypatch.setattr(f"huggingface_hub.{module}.time", SimpleNamespace(sleep=lambda _: None))
    server = Hub()
    monkeypatch.setenv("HF_ENDPOINT", server.url)
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path / "hub"))
    monkeypatch.setenv("HF_HUB_DISABLE_TELEMETRY", "1")
    server.repos[REPO] = whole | dict.fromkeys(UNWANTED, b"not asked for")
    yield server
    server.close()


def pull(repo: str = REPO) -> list[Progress]:
    reports: list[Progress] = []
    hub.pull(repo, f"hf:{repo}", reports.append)
    return reports


def folder() -> Path:
    return hub.folder(REPO, NAME)


def holds(wanted: Files) -> bool:
    return {path.name: path.read_bytes() for path in folder().iterdir()} == wanted and not halves()


def halves() -> list[Path]:
    return list(hub.cache().rglob("*.incomplete"))


def refused(match: str, pull: Callable[[str, Report], None] | None = None) -> None:
    """Pulling ends in one sentence, and nothing is there."""
    with pytest.raises(GptlossError, match=match) as caught:
        (pull or partial(hub.pull, REPO))(NAME, lambda _: None)
    assert type(caught.value) is GptlossError
    assert "\n" not in str(caught.value)
    assert str(caught.value).endswith((".", "?"))
    assert not models.is_here(NAME)
    assert not halves()


def child(code: str, **options: object) -> subprocess.Popen[str]:
    code = f"from gptloss import GptlossError\nfrom gptloss.models import hub\n{code}"
    return subprocess.Popen([sys.executable, "-c", code], text=True, **options)  # type: ignore[call-overload]


def test_a_pull_brings_what_is_wanted_and_nothing_else(fake: Hub, whole: Files) -> None:
    assert not models.is_here(NAME)
    reports = pull()
    total = sum(map(len, whole.values()))
    assert holds(whole)
    assert sorted(fake.fetched) == sorted(whole)
    assert reports[-1] == Progress("Checking", total, total)
    assert {report.total for report in reports} == {total}
    assert [report.done for report in reports] == sorted(report.done for report in reports)
    assert len({report.done for report in reports if report.doing == "Downloading"}) > 5
    assert pull()[-1] == reports[-1]
    assert len(fake.fetched) == len(whole)


def test_the_hubs_library_writes_nothing_on_the_terminal_and_is_left_as_it_was(fake: Hub) -> None:
    code = "from huggingface_hub import constants, logging\n"
    settings = "(constants.HF_HUB_DISABLE_XET, logging.get_verbosity())"
    code += f"before = {settings}\n{PULL}\nassert before == {settings}"
    assert child(code, stdout=-1, stderr=-1).communicate() == ("", "")
    assert folder().is_dir()


def test_transformers_finds_it_in_the_cache(fake: Hub) -> None:
    pull()
    model = GPT2LMHeadModel.from_pretrained(REPO, cache_dir=hub.cache(), local_files_only=True)
    assert model.config.n_embd == 32


def test_a_connection_that_drops_leaves_nothing_half(fake: Hub, whole: Files) -> None:
    fake.stops["model.safetensors"] = 2_500_000
    refused(f"cannot be reached for {NAME} .*; try again when there is a network")
    fake.stops.clear()
    fake.hiccups = 100
    refused(f"refused {REPO} with HTTP status 503")
    fake.hiccups = 2
    pull()
    assert holds(whole)
    assert fake.fetched.count("config.json") == 1


@pytest.mark.skipif(sys.platform == "win32", reason="no such signals there")
@pytest.mark.parametrize("sent", [signal.SIGKILL, signal.SIGINT])
def test_a_stopped_pull_leaves_nothing_half(fake: Hub, whole: Files, sent: signal.Signals) -> None:
    fake.hangs["model.safetensors"] = 2_500_000
    # A job in the background would not be interrupted.
    code = "import signal\nsignal.signal(signal.SIGINT, signal.default_int_handler)\n"
    process = child(code + PULL, stderr=subprocess.DEVNULL)
    assert fake.stalled.wait(20)
    process.send_signal(sent)
    assert process.wait(20) == -sent
    assert len(halves()) == (sent == signal.SIGKILL)
    assert not models.is_here(NAME)
    fake.hangs.clear()
    pull()
    assert holds(whole)


@pytest.mark.skipif(sys.platform == "win32", reason="no such signals there")
@pytest.mark.parametrize("sent", [signal.SIGKILL, signal.SIGTERM])
def test_a_stopped_pull_goes_on_with_the_next_shard(fake: Hub, sent: signal.Signals) -> None:
    """As Cancel on the page stops it; what is left of it can be removed, too."""
    fake.repos[REPO] = sharded = tiny_gpt2("6MB")
    first, second, *_ = sorted(name for name in sharded if name.endswith(".safetensors"))
    for goes_on in (False, True):
        fake.fetched.clear()
        fake.stalled.clear()
        fake.hangs[second] = 100_000
        command = [sys.executable, "-m", "gptloss", "models", "pull", NAME]
        process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
        assert fake.stalled.wait(30)
        process.send_signal(sent)
        said = process.communicate(timeout=20)[1]
        assert (process.returncode, said) == ((130, "gptloss: stopped.\n") if sent == signal.SIGTERM else (-sent, ""))
        assert not models.is_here(NAME)
        fake.hangs.clear()
        if goes_on:
            models.pull(NAME, lambda _: None)
            assert holds(sharded)
            assert (fake.fetched.count(first), fake.fetched.count(second)) == (1, 2)
        else:
            assert models.remove(NAME)
            assert not hub.is_kept(REPO)
            assert not models.remove(NAME)


def test_the_list_has_what_is_whole_in_the_cache(fake: Hub, capsys: pytest.CaptureFixture[str], whole: Files) -> None:
    """But not what has a name of its own, or is no language model."""

    def listed() -> list[tuple[str, int, bool]]:
        assert main(["models", "list", "--json"]) == 0
        rows = json.loads(capsys.readouterr().out)[len(models.REGISTRY) :]
        return [(row["name"], row["parameters"], row["here"]) for row in rows]

    assert listed() == []
    fake.repos |= {"openai-community/gpt2": whole, "a/b": whole | {"config.json": b"{}"}}
    for repo in (*fake.repos, "openai-community/gpt2"):
        pull(repo)
    parameters = (50_257 + 1024 + 2 * 12 * 32 + 2 * 13 + 2) * 32
    assert listed() == [(NAME, parameters, True)]
    (folder() / "config.json").unlink()
    assert listed() == []


def test_a_living_download_by_another_program_is_left_alone(fake: Hub) -> None:
    pull()
    half = folder().parents[1] / "blobs" / "abc.01234567.incomplete"
    half.touch()
    with FileLock(hub.cache() / ".locks" / half.parents[1].name / "abc.lock"):
        pull()
        assert half.exists()
    pull()
    assert not half.exists()


def test_wrong_bytes_are_noticed_and_thrown_away(fake: Hub, whole: Files) -> None:
    fake.wrong.add("model.safetensors")
    refused(rf"What came as model\.safetensors of {NAME} is not what .*: its checksum is another; it was thrown away")
    assert len(list(hub.cache().rglob("blobs/*"))) == len(whole) - 1
    fake.wrong.clear()
    pull()
    assert holds(whole)


def test_without_a_network_it_says_so_at_once(fake: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    start = time.perf_counter()
    fake.silent = True
    monkeypatch.setattr(hub, "TIMEOUT", 0.2)
    refused(rf"cannot be reached for {NAME} \(timed out\)")
    fake.close()
    refused(rf"The Hugging Face hub cannot be reached for {NAME} \(.*refused\)")
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    refused(rf"cannot be reached for {NAME} \(.*HF_HUB_OFFLINE")
    assert time.perf_counter() - start < 5


@pytest.mark.parametrize(
    ("status", "code", "match"),
    [
        (404, "RepoNotFound", f"has no model {REPO} that you may see"),
        (401, "", f"has no model {REPO} that you may see"),
        (403, "GatedRepo", f"{REPO} is gated: accept its terms at https://huggingface.co/{REPO}, set HF_TOKEN"),
        (401, "GatedRepo", f"{REPO} is gated"),
        (429, "", f"refused {REPO} with HTTP status 429"),
    ],
)
@pytest.mark.parametrize("listed", [True, False])
def test_a_refusal_says_what_to_do(fake: Hub, status: int, code: str, match: str, listed: bool) -> None:
    """The hub lists the files of a gated model; it refuses the files."""
    fake.refusals[REPO] = (status, code)
    if not listed:
        del fake.repos[REPO]
    refused(match)
    assert listed or not hub.cache().exists()


@pytest.mark.parametrize("repo", ["gpt2", "a/../../x", "a/b/c", "../x", "a/..", "a/b--c", "", "a/", "ä/b", "a/b\n"])
def test_a_malformed_name_is_refused(repo: str) -> None:
    for ask in (lambda: pull(repo), lambda: hub.folder(repo, NAME), lambda: hub.remove(repo)):
        with pytest.raises(GptlossError, match="write hf:owner/name, like hf:openai-community/gpt2") as caught:
            ask()
        assert not isinstance(caught.value, NotHereError)


@pytest.mark.parametrize(
    ("names", "match"),
    [
        (["config.json", "pytorch_model.bin"], "has no weights but as pickle"),
        (["config.json", "tf_model.h5", "adapter.safetensors"], r"has no model\.safetensors"),
        (["model_index.json", "unet/model.safetensors"], r"has no config\.json"),
        ([], r"has no config\.json"),
    ],
)
def test_what_is_no_safetensors_checkpoint_is_not_fetched(fake: Hub, names: list[str], match: str) -> None:
    fake.repos[REPO] = dict.fromkeys(names, b"{}")
    refused(match)
    assert fake.fetched == []


@pytest.mark.parametrize(
    ("change", "match"),
    [
        ({"model_type": "t5"}, f"{NAME} is no causal language model but t5; choose one"),
        ({"model_type": "gpt9"}, f"{NAME} is of the architecture 'gpt9', unknown to transformers"),
        ({"quantization_config": {"bits": 4}}, f"{NAME} is quantised"),
        ({"vocab_size": None}, r"config\.json states no vocab_size"),
        ({"n_head": 5}, "n_head 5, which does not divide n_embd 32"),
        ({"vocab_size": 300}, r"tokenizer\.json has 50,257 tokens and the model 300"),
    ],
)
def test_what_cannot_be_read_is_noticed_before_the_weights_are_fetched(
    fake: Hub, whole: Files, change: dict[str, object], match: str
) -> None:
    config = json.dumps(json.loads(whole["config.json"]) | change).encode()
    fake.repos[REPO] = whole | {"config.json": config}
    refused(match, models.pull)
    assert "model.safetensors" not in fake.fetched


def test_a_tokenizer_is_needed(fake: Hub, whole: Files) -> None:
    """In one file or, as older GPT-2s have it, in two, which are not fetched if they are not needed."""
    config = json.dumps(json.loads(whole["config.json"]) | {"model_type": "gpt_neox"}).encode()
    fake.repos[REPO] = whole | {"config.json": config, "tokenizer.model": b"sentencepiece"}
    del fake.repos[REPO]["tokenizer.json"]
    refused(r"has no tokenizer\.json, from which the tokens are read", models.pull)
    assert not {"model.safetensors", "tokenizer.model"} & set(fake.fetched)
    words = json.loads(whole["tokenizer.json"])["model"]["vocab"]
    words = {word: id for word, id in words.items() if id < 50_256} | {"wo": 50_256}
    parts = {"vocab.json": json.dumps(words).encode(), "merges.txt": b"#version: 0.2\nw o\n"}
    fake.repos[REPO] = whole | parts
    models.pull(NAME, lambda _: None)
    assert not parts.keys() & set(fake.fetched)
    del fake.repos[REPO]["tokenizer.json"]
    hub.remove(REPO)
    models.pull(NAME, lambda _: None)
    assert [token.id for token in models.find(NAME).tokenizer().encode("won")] == [50_256, words["n"]]


def test_too_little_room_is_noticed_before(fake: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("shutil.disk_usage", lambda path: SimpleNamespace(free=5_000_000))
    refused(rf"The disk is full: {NAME} needs \d MB in .*hub and 5 MB are free; .*HF_HUB_CACHE")
    assert fake.fetched == []


@pytest.mark.skipif(sys.platform == "win32", reason="no such limit there")
def test_a_disk_that_fills_up_meanwhile_is_freed_again(fake: Hub) -> None:
    code = "import resource\nresource.setrlimit(resource.RLIMIT_FSIZE, (2_500_000, 2_500_000))\n"
    code += f"try: {PULL}\nexcept GptlossError as error: print(error)"
    said, _ = child(code, stdout=-1).communicate()
    assert said.startswith("The disk is full: it needs 8 MB in ")
    assert not halves()


def test_a_cache_that_cannot_be_written(fake: Hub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path / "file" / "hub"))
    refused(r"hub cannot be used as the cache folder .*; set HF_HUB_CACHE to")


def test_what_was_lost_or_damaged_on_the_disk_is_fetched_again(fake: Hub) -> None:
    sharded = tiny_gpt2("6MB")
    fake.repos[REPO] = sharded | dict.fromkeys(UNWANTED, b"") | {"model.safetensors": b"the same again"}
    pull()
    assert holds(sharded)
    shards = weights.files(folder())
    for damage in (shards[1].unlink, (folder() / "config.json").unlink, lambda: os.truncate(shards[0], 1000)):
        damage()
        assert not models.is_here(NAME)
        pull()
        assert holds(sharded)


@pytest.mark.parametrize("index", [b'{"weight_map": ["a"]}', b'{"weight_map": {"a": 1}}', b"{}"])
def test_an_index_without_names_is_refused(fake: Hub, index: bytes) -> None:
    fake.repos[REPO] = tiny_gpt2("6MB") | {weights.INDEX: index}
    refused("index.json names no file for each tensor")


def test_a_newer_version_replaces_the_old_when_it_is_whole(fake: Hub, whole: Files) -> None:
    pull()
    fake.repos[REPO] = newer = whole | {"config.json": whole["config.json"] + b" "}
    fake.stops["config.json"] = 5
    with pytest.raises(GptlossError):
        pull()
    assert holds(whole)
    fake.stops.clear()
    pull()
    assert holds(newer)
    assert fake.fetched.count("model.safetensors") == 1


def test_two_pulls_at_once_do_not_mix(fake: Hub) -> None:
    pull()
    for ask in (pull, lambda: hub.remove(REPO)):
        with pytest.raises(GptlossError, match="is being fetched by another process"):
            hub.pull(REPO, NAME, lambda _, ask=ask: ask())  # type: ignore[misc]


def test_remove_takes_all_of_it_off_the_disk(fake: Hub) -> None:
    assert not hub.remove(REPO)
    for stray in (".", "a stray file"):
        pull()
        (folder().parent / stray).touch()
        assert hub.remove(REPO)
        assert not list(hub.cache().glob("models--*"))


@pytest.mark.parametrize(
    ("variables", "where"),
    [
        ({"HF_HUB_CACHE": "~/one"}, "HOME/one"),
        ({"HF_HOME": "$HOME/two"}, "HOME/two/hub"),
        ({"XDG_CACHE_HOME": "/three"}, "/three/huggingface/hub"),
        ({"HUGGINGFACE_HUB_CACHE": "/four", "HF_HOME": "/five"}, "/four"),
        ({}, "HOME/.cache/huggingface/hub"),
    ],
)
def test_the_cache_is_where_the_hubs_library_has_it(variables: dict[str, str], where: str) -> None:
    kept = {name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ}
    code = "import sys\nprint(hub.cache())\ntry: hub.folder('a/b', 'c')\nexcept GptlossError: pass\n"
    code += "print('huggingface_hub' in sys.modules)\n"
    code += "from huggingface_hub import constants\nprint(constants.HF_HUB_CACHE)"
    ours, loaded, theirs = child(code, stdout=-1, env=kept | variables).communicate()[0].split()
    assert ours == theirs == where.replace("HOME", str(Path.home()))
    assert loaded == "False"


def test_an_adapter_is_told(fake: Hub, whole: Files) -> None:
    fake.repos[REPO] = {"adapter_config.json": b"{}", "adapter_model.safetensors": b"", "tokenizer.json": b"{}"}
    match = f"{REPO} on the Hugging Face hub has no whole model but an adapter; merge it into its base model"
    refused(match)
    fake.repos[REPO]["config.json"] = b"{}"
    refused(match)
    fake.repos[REPO] |= whole
    pull()
