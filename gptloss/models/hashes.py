"""SHA-256 of files. That of a large file is kept in the cache folder, for as long as the file stays as it is."""

import hashlib
import json
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from gptloss.errors import GptlossError
from gptloss.models.downloads import store

# Bytes; what is smaller is read again in a few milliseconds.
LARGE = 8 << 20


def sha256(file: Path) -> str:
    """The checksum of a file of any size, read now, in 64 digits. Raises `GptlossError` if it cannot be read."""
    with _readable(file), file.open("rb") as opened:
        return hashlib.file_digest(opened, "sha256").hexdigest()


def kept_sha256(file: Path, fresh: bool = False) -> str:
    """The checksum, from the cache if the file is as it was then; `fresh` reads the file whatever the cache says.

    Raises `GptlossError` if the file cannot be read. A cache that is damaged or cannot be written is no error.
    """
    with _readable(file):
        before = _state(file)
        known = None if fresh else _known(file, before)
        if known is not None:
            return known
        found = sha256(file)
        if before["size"] >= LARGE and _state(file) == before:
            _keep(file, before | {"sha256": found})
    return found


def quick_sha256(file: Path) -> str | None:
    """The checksum if it takes no time: of a small file, or from the cache; None if the file would have to be read.

    Raises `GptlossError` if the file cannot be read.
    """
    with _readable(file):
        state = _state(file)
        return sha256(file) if state["size"] < LARGE else _known(file, state)


@contextmanager
def _readable(file: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise GptlossError(f"{file} cannot be read ({error.strerror or error}); name another file.") from None


def _state(file: Path) -> dict[str, Any]:
    """What changes with a file's content, in bytes and in nanoseconds."""
    stat = file.stat()
    return {"size": stat.st_size, "mtime": stat.st_mtime_ns, "ctime": stat.st_ctime_ns, "inode": stat.st_ino}


def _cache() -> Path:
    return store.home() / "hashes.json"


def _all_kept() -> dict[str, Any]:
    with suppress(OSError, ValueError, RecursionError):
        kept = json.loads(_cache().read_bytes())
        return kept if isinstance(kept, dict) else {}
    return {}


def _known(file: Path, state: dict[str, Any]) -> str | None:
    kept = _all_kept().get(str(file.resolve()))
    if not isinstance(kept, dict) or not isinstance(found := kept.get("sha256"), str):
        return None
    return found if kept == state | {"sha256": found} else None


def _keep(file: Path, entry: dict[str, Any]) -> None:
    """Whole or not at all; files that are gone are forgotten. Of two processes at once the last one is kept."""
    others = {path: kept for path, kept in _all_kept().items() if os.path.exists(path)}
    part = _cache().with_name(f".hashes.{os.getpid()}.part")
    with suppress(OSError):
        part.parent.mkdir(parents=True, exist_ok=True)
        try:
            part.write_text(json.dumps(others | {str(file.resolve()): entry}), "utf-8")
            part.replace(_cache())
        finally:
            part.unlink(missing_ok=True)
