"""Checkpoints from the Hugging Face hub, in the hub's own cache: transformers finds them there, nothing is twice.

The cache holds a folder a repository: `blobs` has the files, each named by its checksum; `snapshots/COMMIT` links to
them by name; `refs/main` says which commit is current. A file gets its place in `blobs` when its checksum is right,
and `refs/main` is written last, so what is there is whole. A download that broke off goes on where it stopped.
"""

import hashlib
import os
import re
import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

from filelock import FileLock, Timeout

from gptloss.errors import GptlossError, NotHereError
from gptloss.models import store, weights
from gptloss.models.base import Progress, Report

if TYPE_CHECKING:
    from huggingface_hub.errors import HfHubHTTPError
    from huggingface_hub.hf_api import RepoSibling

CONFIG = "config.json"
TOKENIZER = ["tokenizer.json", "tokenizer_config.json", "tokenizer.model", "vocab.json", "merges.txt"]
SMALL = {CONFIG, "generation_config.json", weights.INDEX, "special_tokens_map.json", "added_tokens.json", *TOKENIZER}
PICKLED = (".bin", ".pt", ".pth", ".ckpt")
NAME = re.compile(r"(?!.*(--|\.\.))[A-Za-z0-9]([\w.-]*\w)?/\w([\w.-]*\w)?", re.ASCII)
SHARD = re.compile(r"(?!consolidated)[^/]+\.safetensors")
CHECKSUM = re.compile(r"[0-9a-f]{40}|[0-9a-f]{64}")
PART = ".gptloss.incomplete"
PIECE = 1 << 20
TIMEOUT = 10.0
WAITS = (1.0, 2.0, 4.0)  # seconds before each new try; from the start again when something has come


@dataclass(frozen=True)
class _File:
    """A file in the repository; `checksum` is the SHA-256 of a large one, git's SHA-1 of a small one."""

    name: str
    size: int
    checksum: str

    @classmethod
    def of(cls, sibling: "RepoSibling") -> "_File":
        if sibling.lfs:
            return cls(sibling.rfilename, sibling.lfs.size, sibling.lfs.sha256)
        return cls(sibling.rfilename, sibling.size or 0, sibling.blob_id or "")


def cache() -> Path:
    """The hub's cache folder, found as the hub's own library finds it."""
    env = os.environ
    home = env.get("HF_HOME") or os.path.join(env.get("XDG_CACHE_HOME") or "~/.cache", "huggingface")
    hub = env.get("HF_HUB_CACHE") or env.get("HUGGINGFACE_HUB_CACHE") or os.path.join(home, "hub")
    return Path(os.path.expandvars(os.path.expanduser(hub)))


def folder(repo: str, name: str) -> Path:
    """The checkpoint `repo` (owner/name) on this machine, without asking the network.

    Raises `NotHereError` with `name`, what to pull, unless config and weights are there whole, and `GptlossError`
    if `repo` is no owner/name.
    """
    place = _place(repo)
    try:
        snapshot = place / "snapshots" / (place / "refs" / "main").read_text("utf-8").strip()
        stats = [file.stat() for file in (snapshot / CONFIG, *weights.files(snapshot))]
        _check_weights(snapshot, tuple((stat.st_size, stat.st_mtime_ns) for stat in stats))
    except (OSError, ValueError, GptlossError):
        raise NotHereError(name) from None
    return snapshot


@lru_cache(maxsize=64)
def _check_weights(snapshot: Path, stamp: tuple[tuple[int, int], ...]) -> None:
    """Read the headers of the weights once; `stamp` changes when a file does."""
    weights.headers(snapshot)


def pull(repo: str, name: str, report: Report) -> None:
    """Fetch the checkpoint `repo` (owner/name), or what is missing of it; `name` is what errors call it.

    Raises `GptlossError` when the hub cannot be reached or refuses, when it holds no safetensors checkpoint under
    this name, when the disk is full, and for a file with another checksum than the hub states.
    """
    from huggingface_hub import hf_hub_url

    place = _place(repo)
    with _disk_errors(name), _hub_errors(repo, name), _quiet():
        commit, files = _listing(repo, name)
        snapshot, total, before = place / "snapshots" / commit, sum(file.size for file in files), 0
        with _alone(place, name):
            _check_room(name, place, files)
            for folder in (place / "blobs", place / "refs", snapshot):
                folder.mkdir(parents=True, exist_ok=True)
            for file in files:
                url = hf_hub_url(repo, file.name, revision=commit, endpoint=os.environ.get("HF_ENDPOINT"))
                _bring(file, url, snapshot, name, _reporter(report, before, total))
                before += file.size
            weights.headers(snapshot)
            _make_current(place, commit)


def remove(repo: str) -> None:
    """Delete everything of `repo` (owner/name) from the hub's cache; nothing happens if it is not there.

    Raises `GptlossError` while it is being fetched, and if the disk cannot be written.
    """
    from huggingface_hub import scan_cache_dir

    place = _place(repo)
    if not place.exists():
        return
    with _disk_errors(repo), _alone(place, repo), _quiet():
        (place / "refs" / "main").unlink(missing_ok=True)
        # The hub's library may keep blobs that repositories share; only it can tell whether another one needs them.
        scan = scan_cache_dir(cache())
        found = [revision for r in scan.repos if r.repo_path.name == place.name for revision in r.revisions]
        scan.delete_revisions(*(revision.commit_hash for revision in found)).execute()
        if place.exists():
            shutil.rmtree(place)


def _place(repo: str) -> Path:
    if not NAME.fullmatch(repo) or len(repo) > 96:
        raise GptlossError(
            f"'hf:{repo}' is no model of the Hugging Face hub; write hf:owner/name, like hf:openai-community/gpt2."
        )
    return cache() / f"models--{repo.replace('/', '--')}"


def _listing(repo: str, name: str) -> tuple[str, list[_File]]:
    """The current commit and the files to fetch from it. Raises `GptlossError` if they make no checkpoint."""
    from huggingface_hub import HfApi

    try:
        info = HfApi(endpoint=os.environ.get("HF_ENDPOINT")).model_info(repo, files_metadata=True, timeout=TIMEOUT)
    except (ValueError, TypeError, ImportError) as error:  # no JSON, other JSON, a proxy that httpx2 cannot use
        raise _unreachable(name, error) from error
    siblings = {sibling.rfilename: sibling for sibling in info.siblings or ()}
    found = [_File.of(siblings[file]) for file in _wanted(repo, set(siblings))]
    if not all(CHECKSUM.fullmatch(text) for text in (info.sha or "", *(file.checksum for file in found))):
        raise GptlossError(f"The Hugging Face hub states no checksums for {repo}; unset HF_ENDPOINT if it is set.")
    return info.sha or "", found


def _wanted(repo: str, names: set[str]) -> list[str]:
    """The names to fetch, small files first."""
    if CONFIG not in names:
        raise GptlossError(
            f"{repo} on the Hugging Face hub has no config.json, so it is no language model; try another."
        )
    shards = names & {weights.SINGLE}
    if weights.INDEX in names:
        shards = {name for name in names if SHARD.fullmatch(name)} - shards
    if not shards and any(name.endswith(PICKLED) for name in names):
        raise GptlossError(
            f"{repo} on the Hugging Face hub has its weights only as pickle, which can run code, so they are not"
            " fetched; try a model that has model.safetensors."
        )
    if not shards:
        raise GptlossError(f"{repo} on the Hugging Face hub has no model.safetensors; try another model.")
    return sorted(names & SMALL) + sorted(shards)


def _bring(file: _File, url: str, snapshot: Path, name: str, say: Callable[[str, int], None]) -> None:
    """Put one file into the snapshot, unless it is there and undamaged."""
    blob, pointer = snapshot.parents[1] / "blobs" / file.checksum, snapshot / file.name
    say("Checking", 0)
    if not _right(pointer, file):
        pointer.unlink(missing_ok=True)
        if not _right(blob, file):
            blob.unlink(missing_ok=True)
            _download(file, url, blob, name, say)
        _link(pointer, blob)
    say("Checking", file.size)


def _download(file: _File, url: str, blob: Path, name: str, say: Callable[[str, int], None]) -> None:
    part = blob.with_name(blob.name + PART)
    try:
        _stream_patiently(url, part, file.size, lambda done: say("Downloading", done))
    except OSError as error:
        if error.errno in store.FULL:
            part.unlink(missing_ok=True)
        raise
    say("Checking", file.size)
    if not _right(part, file):
        part.unlink()
        raise GptlossError(
            f"What came as {file.name} of {name} is not what the Hugging Face hub states: its checksum is not"
            f" {file.checksum[:16]}…; it was thrown away, so pull again, or from another network."
        )
    part.replace(blob)


def _stream_patiently(url: str, part: Path, size: int, say: Callable[[int], None]) -> None:
    """Try again when the connection breaks or the hub is out of order; give up when nothing comes any more."""
    from httpx2 import HTTPError
    from huggingface_hub.errors import HfHubHTTPError

    waits = list(WAITS)
    while (had := _size(part)) < size or not part.exists():
        try:
            return _stream(url, part, had, say)
        except HTTPError as error:
            if _size(part) > had:
                waits = list(WAITS)
            if not waits or (isinstance(error, HfHubHTTPError) and error.response.status_code < 500):
                raise
            time.sleep(waits.pop(0))


def _stream(url: str, part: Path, had: int, say: Callable[[int], None]) -> None:
    """Append to `part`, which has `had` bytes of the file, what it lacks."""
    from huggingface_hub import get_session, hf_raise_for_status
    from huggingface_hub.utils import build_hf_headers  # type: ignore[attr-defined]

    headers = build_hf_headers() | {"Accept-Encoding": "identity"} | ({"Range": f"bytes={had}-"} if had else {})
    with get_session().stream("GET", url, headers=headers, timeout=TIMEOUT) as answer:
        hf_raise_for_status(answer)
        with part.open("ab" if answer.status_code == 206 else "wb") as stream:
            for piece in answer.iter_bytes(PIECE):
                stream.write(piece)
                say(stream.tell())


def _right(path: Path, file: _File) -> bool:
    """Whether the file at `path` has the size and checksum that it should have."""
    if not path.is_file() or path.stat().st_size != file.size:
        return False
    large = len(file.checksum) == 64
    digest = hashlib.sha256() if large else hashlib.sha1(b"blob %d\0" % file.size, usedforsecurity=False)
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, lambda: digest).hexdigest() == file.checksum


def _link(pointer: Path, blob: Path) -> None:
    """Where links are not allowed, the file itself goes there, as the hub's library does it."""
    try:
        pointer.symlink_to(Path("..", "..", "blobs", blob.name))
    except OSError:
        blob.replace(pointer)


def _make_current(place: Path, commit: str) -> None:
    fresh = place / "main.part"
    fresh.write_text(commit, "utf-8")
    fresh.replace(place / "refs" / "main")
    for part in (place / "blobs").glob(f"*{PART}"):
        part.unlink()


def _reporter(report: Report, before: int, total: int) -> Callable[[str, int], None]:
    return lambda doing, done: report(Progress(doing, before + done, total))


def _size(path: Path) -> int:
    return path.stat().st_size if path.exists() else 0


def _check_room(name: str, place: Path, files: list[_File]) -> None:
    blobs = place / "blobs"
    here = sum(_size(blobs / file.checksum) or _size(blobs / (file.checksum + PART)) for file in files)
    needs = sum(file.size for file in files) - here
    if _free() < needs:
        raise _full(name, store.size_text(needs))


def _free() -> int:
    return shutil.disk_usage(next(path for path in (cache(), *cache().absolute().parents) if path.exists())).free


def _full(name: str, needs: str) -> GptlossError:
    return GptlossError(
        f"The disk is full: {name} needs {needs} in {cache()} and {store.size_text(_free())} are free;"
        " make room, or set HF_HUB_CACHE to a folder on another disk."
    )


@contextmanager
def _disk_errors(name: str) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        if error.errno in store.FULL:
            raise _full(name, "more room") from error
        raise GptlossError(
            f"{cache()} cannot be used as the cache folder ({error}); set HF_HUB_CACHE to one that can be written."
        ) from error


@contextmanager
def _alone(place: Path, name: str) -> Iterator[None]:
    """Nobody else fetches or removes the same repository meanwhile."""
    lock = FileLock(place.parent / ".locks" / place.name / "gptloss.lock")
    Path(lock.lock_file).parent.mkdir(parents=True, exist_ok=True)
    try:
        lock.acquire(timeout=0)
    except Timeout:
        raise GptlossError(f"{name} is being fetched by another process; wait until that has ended.") from None
    try:
        yield
    finally:
        lock.release()


@contextmanager
def _hub_errors(repo: str, name: str) -> Iterator[None]:
    """Say why the hub did not give the files, and the way out."""
    from httpx2 import HTTPError
    from huggingface_hub.errors import HfHubHTTPError, OfflineModeIsEnabled

    try:
        yield
    except OfflineModeIsEnabled as error:
        raise _unreachable(name, "HF_HUB_OFFLINE is set") from error
    except HfHubHTTPError as error:
        raise _refusal(error, repo) from error
    except HTTPError as error:
        raise _unreachable(name, error) from error


def _unreachable(name: str, error: object) -> GptlossError:
    reason = " ".join(str(error).split()).rstrip(".") or "no answer"
    return GptlossError(
        f"The Hugging Face hub cannot be reached for {name} ({reason}); pull again when there is a network,"
        " and it goes on where it stopped."
    )


def _refusal(error: "HfHubHTTPError", repo: str) -> GptlossError:
    from huggingface_hub.errors import GatedRepoError

    status = error.response.status_code
    if isinstance(error, GatedRepoError):
        return GptlossError(
            f"{repo} on the Hugging Face hub is gated: accept its terms at https://huggingface.co/{repo}, set"
            " HF_TOKEN to a token of your account and pull again."
        )
    if status in (401, 404):
        return GptlossError(
            f"The Hugging Face hub has no model {repo} that you may see; check the name, and if it is private, that"
            " HF_TOKEN holds a valid token."
        )
    return GptlossError(f"The Hugging Face hub refused {repo} with HTTP status {status}; pull again later.")


@contextmanager
def _quiet() -> Iterator[None]:
    """Keep the hub's library from writing on the terminal."""
    import logging as levels

    from huggingface_hub.utils import logging

    before = logging.get_verbosity()
    logging.set_verbosity(levels.ERROR)
    try:
        yield
    finally:
        logging.set_verbosity(before)
