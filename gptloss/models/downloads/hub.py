"""Checkpoints from the Hugging Face hub, fetched by its own library into its own cache, where transformers looks too.

In the cache a file is whole or not there, and `refs/main`, which says what commit is current, is written last.
"""

import errno
import hashlib
import logging
import os
import re
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from filelock import FileLock, Timeout

from gptloss.errors import GptlossError, NotHereError
from gptloss.models.base import Progress, Report
from gptloss.models.checkpoints import weights
from gptloss.models.checkpoints.state import State, state_of
from gptloss.models.downloads import store

if TYPE_CHECKING:
    from huggingface_hub import HfApi
    from huggingface_hub.hf_api import RepoSibling

CONFIG = "config.json"
TOKENIZER, PARTS = "tokenizer.json", {"vocab.json", "merges.txt"}  # the parts are what there was before
SMALL = {CONFIG, TOKENIZER, "generation_config.json", "tokenizer_config.json", "special_tokens_map.json"}
SMALL |= {"added_tokens.json", weights.INDEX}
NAME = re.compile(r"(?!.*(--|\.\.))[A-Za-z0-9]([\w.-]*\w)?/\w([\w.-]*\w)?", re.ASCII)
SHARD = re.compile(r"(?!consolidated)[^/]+\.safetensors")
TIMEOUT = 10.0


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
        (snapshot / CONFIG).stat()
        _check_headers(snapshot, state_of(snapshot))
    except (OSError, ValueError, GptlossError):
        raise NotHereError(name) from None
    return snapshot


@lru_cache(maxsize=64)
def _check_headers(snapshot: Path, _state: State) -> None:
    """Raise an error for weights that are not whole; whole ones are checked again when a file changes."""
    weights.headers(snapshot)


def pull(repo: str, name: str, report: Report, check: Callable[[Path], None] = lambda _: None) -> None:
    """Fetch the checkpoint `repo` (owner/name), or what is missing of it; `name` is what errors call it.

    Files that came whole stay when a pull is stopped, and the next one goes on from there. `check` is given the
    folder with the small files before the weights are fetched, and raises an error if they are not worth it.
    Raises `GptlossError` when the hub cannot be reached or refuses, when it holds no safetensors checkpoint under
    this name, when the disk is full, and for weights with another checksum than the hub states.
    """
    place = _place(repo)
    with _hub(repo, name) as api:
        info = api.model_info(repo, files_metadata=True, timeout=TIMEOUT)
    small, large = _wanted(repo, {file.rfilename: file for file in info.siblings or ()})
    files = [*small, *large]
    snapshot, done, total = place / "snapshots" / str(info.sha), 0, sum(file.size or 0 for file in files)
    needs = sum(file.size or 0 for file in files if not os.path.exists(snapshot / file.rfilename))
    with _hub(repo, name, needs) as api, _alone(place, name):
        if shutil.disk_usage(cache()).free < needs:
            raise OSError(errno.ENOSPC, "full")
        for n, file in enumerate(files):
            report(Progress("Checking", done, total))
            if n == len(small):
                check(snapshot)
            _fetch(api, repo, snapshot.name, file, name, _bar(report, done, total))
            done += file.size or 0
        report(Progress("Checking", total, total))
        weights.headers(snapshot)
        (place / "main.part").write_text(snapshot.name)
        (place / "refs").mkdir(exist_ok=True)
        (place / "main.part").replace(place / "refs" / "main")


def is_kept(repo: str) -> bool:
    """Whether anything of `repo` (owner/name) is in the hub's cache, whole or not."""
    return _place(repo).exists()


def remove(repo: str) -> bool:
    """Delete everything of `repo` (owner/name) from the hub's cache; False if nothing was there.

    Raises `GptlossError` while it is being fetched, and if the disk cannot be written.
    """
    from huggingface_hub import scan_cache_dir

    place = _place(repo)
    if not place.exists():
        return False
    with _hub(repo, repo), _alone(place, repo):
        (place / "refs" / "main").unlink(missing_ok=True)
        # Repositories may share blobs; only the hub's library can tell whether another one needs them.
        scan = scan_cache_dir(cache())
        found = [revision for r in scan.repos if r.repo_path.name == place.name for revision in r.revisions]
        scan.delete_revisions(*(revision.commit_hash for revision in found)).execute()
        if place.exists():
            shutil.rmtree(place)
    return True


def kept() -> list[str]:
    """The checkpoints (owner/name) that are whole in the hub's cache, whoever fetched them."""
    found = []
    for place in sorted(cache().glob("models--*--*")):
        repo = place.name.removeprefix("models--").replace("--", "/")
        with suppress(GptlossError):
            folder(repo, repo)
            found.append(repo)
    return found


def _place(repo: str) -> Path:
    if not NAME.fullmatch(repo) or len(repo) > 96:
        raise GptlossError(
            f"'hf:{repo}' is no model of the Hugging Face hub; write hf:owner/name, like hf:openai-community/gpt2."
        )
    return cache() / f"models--{repo.replace('/', '--')}"


def _wanted(repo: str, files: dict[str, "RepoSibling"]) -> tuple[list["RepoSibling"], list["RepoSibling"]]:
    """The files to fetch, the small ones and the weights. Raises `GptlossError` if they make no checkpoint."""
    shards = files.keys() & {weights.SINGLE}
    if weights.INDEX in files:
        shards = {name for name in files if SHARD.fullmatch(name)} - shards
    if "adapter_config.json" in files and not (CONFIG in files and shards):
        lack = "whole model but an adapter; merge it into its base model, save that and name its folder"
    elif CONFIG not in files:
        lack = "config.json, so it is no language model; try another"
    elif not shards and any(Path(name).match(kind) for name in files for kind in weights.PICKLED):
        lack = "weights but as pickle, which can run code, so they are not fetched; try one with model.safetensors"
    elif not shards:
        lack = "model.safetensors; try another model"
    else:
        small = files.keys() & (SMALL if TOKENIZER in files else SMALL | PARTS)
        return [files[name] for name in sorted(small)], [files[name] for name in sorted(shards)]
    raise GptlossError(f"{repo} on the Hugging Face hub has no {lack}.")


def _fetch(api: "HfApi", repo: str, commit: str, file: "RepoSibling", name: str, bar: Any) -> None:
    """Bring a file into the cache; a large one that is damaged, there or on the way, is fetched once more."""
    for _ in range(2):
        path = Path(api.hf_hub_download(repo, file.rfilename, revision=commit, cache_dir=cache(), tqdm_class=bar))
        with path.open("rb") as stream:
            if not file.lfs or hashlib.file_digest(stream, "sha256").hexdigest() == file.lfs.sha256:
                return
        path.resolve().unlink()
        path.unlink(missing_ok=True)  # the link, where there are links
    raise GptlossError(
        f"What came as {file.rfilename} of {name} is not what the Hugging Face hub states: its checksum is another;"
        " it was thrown away, so pull again, or from another network."
    )


def _bar(report: Report, before: int, total: int) -> Any:
    """What the hub's library takes for a class of progress bars."""
    from huggingface_hub.utils.tqdm import silent_tqdm

    class Bar(silent_tqdm):
        done = before

        def update(self, n: float | None = 1) -> None:
            self.done += int(n or 0)
            report(Progress("Downloading", self.done, total))

    return Bar


@contextmanager
def _alone(place: Path, name: str) -> Iterator[None]:
    """Keep other processes from the same repository, and delete what killed downloads left of it."""
    locks = place.parent / ".locks" / place.name
    locks.mkdir(parents=True, exist_ok=True)
    try:
        with FileLock(locks / "gptloss.lock", timeout=0):
            for part in (place / "blobs").glob("*.incomplete"):
                # A living download, of any program, holds the lock of its file.
                with suppress(Timeout), FileLock(locks / f"{part.name.partition('.')[0]}.lock", timeout=0):
                    part.unlink()
            yield
    except Timeout:
        raise GptlossError(f"{name} is being fetched by another process; wait until that has ended.") from None


@contextmanager
def _hub(repo: str, name: str, needs: int = 0) -> Iterator["HfApi"]:
    """The hub's library, silent; its errors and the disk's become sentences that say the way out."""
    from httpx2 import HTTPError
    from huggingface_hub import HfApi, constants
    from huggingface_hub.utils import logging as talk

    before = talk.get_verbosity(), constants.HF_HUB_DISABLE_XET
    talk.set_verbosity(logging.ERROR)
    constants.HF_HUB_DISABLE_XET = True  # it asks other hosts and has errors of its own
    try:
        with store.disk_errors(name, needs, cache(), "HF_HUB_CACHE"):
            try:
                yield HfApi(endpoint=os.environ.get("HF_ENDPOINT"))
            except (HTTPError, OSError, ValueError, ImportError) as error:  # ImportError: a proxy lacks its package
                if isinstance(error, OSError) and error.errno:
                    raise
                raise GptlossError(_reason(error, repo, name)) from error
    finally:
        talk.set_verbosity(before[0])
        constants.HF_HUB_DISABLE_XET = before[1]


def _reason(error: BaseException | None, repo: str, name: str) -> str:
    from huggingface_hub.errors import GatedRepoError, HfHubHTTPError, LocalEntryNotFoundError

    if isinstance(error, LocalEntryNotFoundError):
        return _reason(error.__cause__, repo, name)
    status = error.response.status_code if isinstance(error, HfHubHTTPError) else None
    if isinstance(error, GatedRepoError):
        return f"{repo} is gated: accept its terms at https://huggingface.co/{repo}, set HF_TOKEN and try again."
    if status in (401, 404):
        return f"The Hugging Face hub has no model {repo} that you may see; check the name and HF_TOKEN."
    if status:
        return f"The Hugging Face hub refused {repo} with HTTP status {status}; try again later."
    said = " ".join(str(error).split()).rstrip(".") or "no answer"
    return f"The Hugging Face hub cannot be reached for {name} ({said}); try again when there is a network."
