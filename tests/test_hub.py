"""Pulling from a hub that is a thread in this process, with everything that can go wrong on the way."""

import hashlib
import json
import os
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import SimpleNamespace

import pytest

from gptloss import GptlossError
from gptloss.errors import NotHereError
from gptloss.models import hub
from gptloss.models.base import Progress

REPO = "someone/tiny-gpt2"
NAME = f"hf:{REPO}"
UNWANTED = ("pytorch_model.bin", "onnx/model.onnx", "onnx/model.safetensors", "README.md", "consolidated.safetensors")
Files = dict[str, bytes]


def sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def git_sha1(content: bytes) -> str:
    return hashlib.sha1(b"blob %d\0" % len(content) + content).hexdigest()


def is_large(name: str) -> bool:
    return name.endswith((".safetensors", ".bin", ".onnx"))


def commit(files: Files) -> str:
    return hashlib.sha1(json.dumps({name: sha256(content) for name, content in files.items()}).encode()).hexdigest()


class Hub(ThreadingHTTPServer):
    """What the hub answers for its models; `stops` and `hangs`: after how many bytes a file breaks off or stalls."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.repos: dict[str, Files] = {}
        self.refusals: dict[str, tuple[int, str]] = {}
        self.stops: dict[str, int] = {}
        self.hangs: dict[str, int] = {}
        self.hiccups = 0
        self.knows_ranges = True
        self.wrong: set[str] = set()
        self.silent = False
        self.ranges: dict[str, list[str | None]] = {}
        self.ended = threading.Event()
        threading.Thread(target=self.serve_forever, args=(0.01,)).start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"

    @property
    def downloads(self) -> list[str]:
        return sorted(self.ranges)

    def close(self) -> None:
        if not self.ended.is_set():
            self.ended.set()
            self.shutdown()
            self.server_close()


class Handler(BaseHTTPRequestHandler):
    server: Hub

    def log_message(self, *_: object) -> None:
        pass

    def do_GET(self) -> None:
        while self.server.silent and not self.server.ended.wait(0.01):
            pass
        with suppress(ConnectionError):
            self.route(self.path.partition("?")[0])

    def route(self, path: str) -> None:
        if listing := re.fullmatch(r"/api/models/(.+)", path):
            self.listing(listing[1])
        elif resolve := re.fullmatch(r"/([^/]+/[^/]+)/resolve/[0-9a-f]{40}/(.+)", path):
            self.resolve(*resolve.groups())
        elif storage := re.fullmatch(r"/storage/([^/]+/[^/]+)/(.+)", path):
            self.content(*storage.groups())
        else:
            self.answer(404, b"")

    def listing(self, repo: str) -> None:
        if repo not in self.server.repos:
            return self.refuse(*self.server.refusals.get(repo, (404, "RepoNotFound")))
        siblings = []
        for name, content in self.server.repos[repo].items():
            sibling: dict[str, object] = {"rfilename": name, "size": len(content), "blobId": git_sha1(content)}
            if is_large(name):
                sibling["lfs"] = {"sha256": sha256(content), "size": len(content), "pointerSize": 130}
            siblings.append(sibling)
        state = {"id": repo, "sha": commit(self.server.repos[repo]), "siblings": siblings}
        self.answer(200, json.dumps(state).encode())

    def resolve(self, repo: str, name: str) -> None:
        """Large files lie elsewhere, as on the real hub."""
        if self.server.hiccups:
            self.server.hiccups -= 1
            self.refuse(503, "")
        elif repo in self.server.refusals:
            self.refuse(*self.server.refusals[repo])
        elif is_large(name):
            self.answer(302, b"", Location=f"/storage/{repo}/{name}")
        else:
            self.content(repo, name)

    def content(self, repo: str, name: str) -> None:
        content, wanted = self.server.repos[repo][name], self.headers["Range"]
        self.server.ranges.setdefault(name, []).append(wanted)
        if not self.server.knows_ranges:
            wanted = None
        start = int(wanted.removeprefix("bytes=").removesuffix("-")) if wanted else 0
        if name in self.server.wrong:
            content = bytes([content[0] ^ 1]) + content[1:]
        end = max(start, min(self.server.stops.get(name, len(content)), self.server.hangs.get(name, len(content))))
        self.answer(206 if wanted else 200, content[start:end], **{"Content-Length": str(len(content) - start)})
        if name in self.server.hangs:
            self.server.ended.wait()

    def refuse(self, status: int, code: str) -> None:
        self.answer(status, b"", **{"X-Error-Code": code})

    def answer(self, status: int, body: bytes, **headers: str) -> None:
        self.send_response(status)
        warning = {"X-HF-Warning": f"{time.time_ns()}; You have no token."}
        for key, value in ({"Content-Length": str(len(body))} | warning | headers).items():
            self.send_header(key, value)
        self.end_headers()
        self.wfile.write(body)


@pytest.fixture(scope="session")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Files]:
    """A tiny GPT-2 as transformers saves it, with shards of at most the given size."""
    from transformers import GPT2Config, GPT2LMHeadModel

    model = GPT2LMHeadModel(GPT2Config(n_embd=32, n_layer=2, n_head=2, bos_token_id=0, eos_token_id=0))

    def files(size: str) -> Files:
        place = tmp_path_factory.mktemp("checkpoint")
        model.save_pretrained(place, max_shard_size=size)
        (place / "tokenizer.json").write_text("{}")
        return {path.name: path.read_bytes() for path in sorted(place.iterdir())}

    return files


@pytest.fixture(scope="session")
def whole(checkpoint: Callable[[str], Files]) -> Files:
    return checkpoint("1GB")


@pytest.fixture
def fake(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, whole: Files) -> Iterator[Hub]:
    """The hub, with one model, and an empty cache."""
    from huggingface_hub import constants

    monkeypatch.setattr(constants, "HF_HUB_DISABLE_TELEMETRY", True)
    monkeypatch.setattr(hub, "WAITS", (0.01, 0.01))
    server = Hub()
    for variable, value in environment(server, tmp_path).items():
        monkeypatch.setenv(variable, value)
    server.repos[REPO] = whole | dict.fromkeys(UNWANTED, b"not asked for")
    yield server
    server.close()


def environment(server: Hub, tmp_path: Path) -> dict[str, str]:
    return {"HF_ENDPOINT": server.url, "HF_HUB_CACHE": str(tmp_path / "hub"), "HF_HUB_DISABLE_TELEMETRY": "1"}


def pull(repo: str = REPO) -> list[Progress]:
    reports: list[Progress] = []
    hub.pull(repo, f"hf:{repo}", reports.append)
    return reports


def folder() -> Path:
    return hub.folder(REPO, NAME)


def holds(wanted: Files) -> bool:
    return {path.name: path.read_bytes() for path in folder().iterdir()} == wanted


def refused(match: str, repo: str = REPO) -> None:
    """Pulling ends in one sentence, and nothing is there."""
    with pytest.raises(GptlossError, match=match) as caught:
        pull(repo)
    assert type(caught.value) is GptlossError
    assert "\n" not in str(caught.value)
    assert str(caught.value).endswith(".")
    with pytest.raises(NotHereError):
        hub.folder(repo, f"hf:{repo}")


def test_a_pull_brings_what_is_wanted_and_nothing_else(fake: Hub, whole: Files) -> None:
    with pytest.raises(NotHereError, match=f"`gptloss models pull {NAME}` fetches it") as caught:
        folder()
    assert caught.value.name == NAME
    reports = pull()
    total = sum(map(len, whole.values()))
    assert holds(whole)
    assert fake.downloads == sorted(whole)
    assert reports[-1] == Progress("Checking", total, total)
    assert {report.total for report in reports} == {total}
    assert [report.done for report in reports] == sorted(report.done for report in reports)
    assert len({report.done for report in reports if report.doing == "Downloading"}) > 5


def test_the_hubs_library_writes_nothing_on_the_terminal(fake: Hub) -> None:
    process = child(f"hub.pull('{REPO}', 'it', lambda progress: None)", stdout=-1, stderr=-1)
    assert process.communicate() == ("", "")
    assert folder().is_dir()


def test_a_second_pull_fetches_nothing(fake: Hub) -> None:
    pull()
    fake.ranges.clear()
    reports = pull()
    assert reports[-1].done == reports[-1].total
    assert fake.downloads == []


def test_transformers_finds_it_in_the_cache(fake: Hub) -> None:
    from transformers import GPT2LMHeadModel

    pull()
    model = GPT2LMHeadModel.from_pretrained(REPO, cache_dir=hub.cache(), local_files_only=True)
    assert model.config.n_embd == 32


def test_a_broken_connection_is_taken_up_again_where_it_broke(fake: Hub, whole: Files) -> None:
    size = len(whole["model.safetensors"])
    fake.stops["model.safetensors"] = size // 2
    refused("cannot be reached for hf:someone/tiny-gpt2 .*it goes on where it stopped")
    assert len(fake.ranges["model.safetensors"]) > 2
    fake.stops.clear()
    fake.ranges.clear()
    pull()
    assert holds(whole)
    (resumed,) = fake.ranges.pop("model.safetensors")
    assert resumed is not None
    assert 0 < int(resumed[6:-1]) <= size // 2
    assert fake.downloads == []


def test_a_mirror_that_cannot_resume_is_read_from_the_start(fake: Hub, whole: Files) -> None:
    fake.knows_ranges = False
    fake.stops["model.safetensors"] = 2_500_000
    refused("cannot be reached")
    fake.stops.clear()
    pull()
    assert holds(whole)


def test_a_hub_that_is_out_of_order_is_asked_again(fake: Hub, whole: Files) -> None:
    fake.hiccups = 3
    refused(f"refused {REPO} with HTTP status 503")
    fake.hiccups = 2
    pull()
    assert holds(whole)


def child(code: str, **options: object) -> subprocess.Popen[str]:
    code = f"from gptloss import GptlossError\nfrom gptloss.models import hub\n{code}"
    return subprocess.Popen([sys.executable, "-c", code], text=True, **options)  # type: ignore[call-overload]


def test_a_killed_pull_is_taken_up_again(fake: Hub, whole: Files) -> None:
    fake.hangs["model.safetensors"] = len(whole["model.safetensors"]) // 2
    process = child(f"hub.pull('{REPO}', 'it', lambda progress: None)")
    until(lambda: any(path.stat().st_size for path in hub.cache().rglob("*.incomplete")))
    process.send_signal(signal.SIGKILL)
    assert process.wait() == -signal.SIGKILL
    with pytest.raises(NotHereError):
        folder()
    fake.hangs.clear()
    pull()
    assert holds(whole)
    assert fake.ranges["model.safetensors"][-1] is not None
    assert not list(hub.cache().rglob("*.incomplete"))


def until(true: Callable[[], bool]) -> None:
    for _ in range(2000):
        if true():
            return
        time.sleep(0.01)
    raise TimeoutError


def test_an_interrupted_pull_passes_the_interrupt_on(fake: Hub, whole: Files) -> None:
    def interrupt(progress: Progress) -> None:
        if progress.done > 2_000_000:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        hub.pull(REPO, NAME, interrupt)
    with pytest.raises(NotHereError):
        folder()
    pull()
    assert holds(whole)


@pytest.mark.parametrize("name", ["model.safetensors", "config.json"])
def test_wrong_bytes_are_noticed_and_thrown_away(fake: Hub, whole: Files, name: str) -> None:
    fake.wrong.add(name)
    refused(rf"What came as {name} of {NAME} is not what .* its checksum is not [0-9a-f]{{16}}…")
    fake.wrong.clear()
    pull()
    assert holds(whole)
    assert fake.ranges[name][-1] is None


def test_without_a_network_it_says_so_at_once(fake: Hub) -> None:
    fake.close()
    start = time.perf_counter()
    refused(rf"The Hugging Face hub cannot be reached for {NAME} \(.*refused\)")
    assert time.perf_counter() - start < 5


def test_a_hub_that_does_not_answer_is_given_up(fake: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    fake.silent = True
    monkeypatch.setattr(hub, "TIMEOUT", 0.2)
    start = time.perf_counter()
    refused(rf"cannot be reached for {NAME} \(timed out\)")
    assert time.perf_counter() - start < 5


def test_offline_mode_is_respected(fake: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    from huggingface_hub import constants

    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    refused(rf"cannot be reached for {NAME} \(HF_HUB_OFFLINE is set\)")


@pytest.mark.parametrize(
    ("status", "code", "match"),
    [
        (404, "RepoNotFound", f"has no model {REPO} that you may see"),
        (401, "RepoNotFound", f"has no model {REPO} that you may see"),
        (401, "", f"has no model {REPO} that you may see"),
        (403, "GatedRepo", f"{REPO} .* is gated: accept its terms at https://huggingface.co/{REPO}, set HF_TOKEN"),
        (401, "GatedRepo", f"{REPO} .* is gated"),
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


def test_a_mistake_in_the_name_leaves_nothing_behind(fake: Hub) -> None:
    refused("has no model someone/tiny-gtp2", "someone/tiny-gtp2")
    assert not hub.cache().exists()


@pytest.mark.parametrize(
    "repo", ["gpt2", "gpt2/../../x", "a/b/c", "../x", "a/..", "a/b--c", "", "a/", "a /b", "ä/b", "a/b\n"]
)
def test_a_malformed_name_is_refused(fake: Hub, repo: str) -> None:
    for ask in (lambda: pull(repo), lambda: hub.folder(repo, NAME), lambda: hub.remove(repo)):
        with pytest.raises(GptlossError, match="write hf:owner/name, like hf:openai-community/gpt2") as caught:
            ask()
        assert not isinstance(caught.value, NotHereError)


@pytest.mark.parametrize(
    ("names", "match"),
    [
        (["config.json", "pytorch_model.bin"], "has its weights only as pickle"),
        (["config.json", "tf_model.h5", "adapter.safetensors"], r"has no model\.safetensors"),
        (["model_index.json", "unet/model.safetensors"], r"has no config\.json"),
        (["data.csv"], r"has no config\.json"),
        ([], r"has no config\.json"),
    ],
)
def test_what_is_no_safetensors_checkpoint_is_not_fetched(fake: Hub, names: list[str], match: str) -> None:
    fake.repos[REPO] = dict.fromkeys(names, b"{}")
    refused(match)
    assert fake.downloads == []


def test_too_little_room_is_noticed_before(fake: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("shutil.disk_usage", lambda path: SimpleNamespace(free=5_000_000))
    refused(rf"The disk is full: {NAME} needs \d MB in .*hub and 5 MB are free; .*HF_HUB_CACHE")
    assert fake.downloads == []


def test_a_disk_that_fills_up_meanwhile_is_freed_again(fake: Hub) -> None:
    code = f"""
import resource
resource.setrlimit(resource.RLIMIT_FSIZE, (2_500_000, 2_500_000))
try:
    hub.pull('{REPO}', 'it', lambda progress: None)
except GptlossError as error:
    print(error)
"""
    process = child(code, stdout=-1)
    said, _ = process.communicate()
    assert said.startswith("The disk is full: it needs more room in ")
    assert not list(hub.cache().rglob("*.incomplete"))


def test_a_cache_that_cannot_be_written_says_which(
    fake: Hub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path / "file" / "hub"))
    refused("hub cannot be used as the cache folder")


def test_all_shards_must_be_there(fake: Hub, checkpoint: Callable[[str], Files]) -> None:
    sharded = checkpoint("6MB")
    shards = [name for name in sharded if name.endswith(".safetensors")]
    assert len(shards) == 2
    fake.repos[REPO] = sharded | dict.fromkeys(UNWANTED, b"") | {"model.safetensors": b"the same again"}
    pull()
    assert holds(sharded)
    for name in (shards[1], "config.json"):
        (folder() / name).unlink()
        with pytest.raises(NotHereError):
            folder()
        pull()
        assert holds(sharded)


def test_what_was_damaged_on_the_disk_is_fetched_again(fake: Hub, whole: Files) -> None:
    pull()
    file = folder() / "model.safetensors"
    os.truncate(file, 1000)
    with pytest.raises(NotHereError):
        folder()
    pull()
    assert holds(whole)


def test_a_newer_version_replaces_the_old_when_it_is_whole(fake: Hub, whole: Files) -> None:
    pull()
    newer = whole | {"config.json": whole["config.json"] + b" "}
    fake.repos[REPO] = newer
    fake.wrong.add("config.json")
    with pytest.raises(GptlossError):
        pull()
    assert holds(whole)
    fake.wrong.clear()
    pull()
    assert holds(newer)
    assert fake.ranges["model.safetensors"] == [None]


def test_half_a_file_that_nobody_wants_any_more_is_deleted(fake: Hub, whole: Files) -> None:
    fake.stops["model.safetensors"] = 2_000_000
    refused("cannot be reached")
    fake.stops.clear()
    fake.repos[REPO] = whole | {"model.safetensors": whole["model.safetensors"][:-1] + b"!"}
    pull()
    assert holds(fake.repos[REPO])
    assert not list(hub.cache().rglob("*.incomplete"))


def test_two_pulls_at_once_do_not_mix(fake: Hub) -> None:
    def again(progress: Progress) -> None:
        for ask in (pull, lambda: hub.remove(REPO)):
            with pytest.raises(GptlossError, match="is being fetched by another process"):
                ask()

    hub.pull(REPO, NAME, again)
    assert folder().is_dir()


def test_remove_takes_all_of_it_off_the_disk(fake: Hub) -> None:
    hub.remove(REPO)
    pull()
    hub.remove(REPO)
    with pytest.raises(NotHereError):
        folder()
    assert not [path for path in hub.cache().rglob("*") if path.is_file() and ".locks" not in path.parts]


def test_remove_clears_an_unfinished_pull_and_a_damaged_cache(fake: Hub) -> None:
    fake.stops["model.safetensors"] = 2_000_000
    refused("cannot be reached")
    (part,) = hub.cache().rglob("*.incomplete")
    (part.parents[1] / "snapshots" / "stray").touch()
    hub.remove(REPO)
    assert not part.parents[1].exists()


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
