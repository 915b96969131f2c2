"""Where models are kept: a folder each under one cache folder, whole or not there at all."""

import errno
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import platformdirs
from filelock import FileLock, Timeout

from gptloss.errors import GptlossError

FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}


def home() -> Path:
    """The cache folder: `GPTLOSS_HOME`, or the one that this system keeps for gptloss."""
    return Path(os.environ.get("GPTLOSS_HOME") or platformdirs.user_cache_path("gptloss"))


def folder(name: str) -> Path:
    """Where the model called `name` is kept. It is there only when it is whole."""
    return home() / "models" / name


@contextmanager
def making(name: str, needs: int) -> Iterator[Path]:
    """An empty folder to make a model in; when the block ends well it becomes the model's folder.

    `needs` is the room on the disk, in bytes. However the block ends otherwise, the model is as it was before;
    what a killed process left behind is cleared away by the next one. Raises `GptlossError` when the disk is
    full or cannot be written, and when another process is making the same model.
    """
    place = folder(name)
    part = place.with_name(f".{name}.part")
    with disk_errors(name, needs):
        place.parent.mkdir(parents=True, exist_ok=True)
        with _alone(name):
            try:
                _clear(part)
                if shutil.disk_usage(place.parent).free < needs:
                    raise OSError(errno.ENOSPC, "full")
                part.mkdir()
                yield part
                _clear(place)
                part.replace(place)
            finally:
                _clear(part)


@contextmanager
def _alone(name: str) -> Iterator[None]:
    """Keep other processes from making or removing this model. A process that dies releases it."""
    lock = FileLock(folder(name).with_name(f".{name}.lock"))
    try:
        lock.acquire(timeout=0)
    except Timeout:
        raise GptlossError(f"{name} is being fetched by another process; wait until that has ended.") from None
    try:
        yield
    finally:
        lock.release()


def remove(name: str) -> bool:
    """Take a model off the disk, and what a killed process left of it; False if nothing was there.

    Raises `GptlossError` while it is fetched.
    """
    kept = [path for path in (folder(name), folder(name).with_name(f".{name}.part")) if path.exists()]
    if kept:
        with disk_errors(name, 0), _alone(name):
            for path in kept:
                _clear(path)
    return bool(kept)


@contextmanager
def disk_errors(name: str, needs: int, where: Path | None = None, variable: str = "GPTLOSS_HOME") -> Iterator[None]:
    """Say what is wrong with the disk, and the way out, instead of an `OSError`.

    `where` is the cache folder, gptloss's own if none is given, and `variable` what sets it.
    """
    where = where or home()
    try:
        yield
    except OSError as error:
        if error.errno in FULL:
            free = free_space(where)
            raise GptlossError(
                f"The disk is full: {name} needs {size_text(needs)} in {where} and {size_text(free)} are free;"
                f" make room, or set {variable} to a folder on another disk."
            ) from error
        raise GptlossError(
            f"{where} cannot be used as the cache folder ({error}); set {variable} to a folder that can be written."
        ) from error


def free_space(where: Path) -> int:
    """The bytes that are free on the disk of a folder, which need not exist yet."""
    return shutil.disk_usage(_existing(where)).free


def size_text(size: int) -> str:
    """Bytes for the eye: `93 MB`, `1.5 GB`."""
    return f"{size / 1e9:.1f} GB" if size >= 1e9 else f"{size / 1e6:.0f} MB"


def _clear(path: Path) -> None:
    if path.exists():
        shutil.rmtree(path)


def _existing(path: Path) -> Path:
    return next(parent for parent in (path, *path.absolute().parents) if parent.exists())
