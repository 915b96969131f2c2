"""The files that a run writes. None of them may be a text that it reads, or a file that another run writes."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

from filelock import FileLock, Timeout

from gptloss.errors import GptlossError


def check_apart(inputs: Sequence[Path], outputs: Sequence[tuple[str, Path]]) -> None:
    """Raise `GptlossError` if an output, with the option that names it, is an input or another output."""
    for k, (option, path) in enumerate(outputs):
        for text in inputs:
            if _same(path, text):
                raise GptlossError(f"{option} {path} is the text {text}, which would be lost; name another file.")
        for other, before in outputs[:k]:
            if _same(path, before):
                raise GptlossError(f"{other} {before} and {option} {path} are one file; name two.")


def _same(one: Path, other: Path) -> bool:
    """Whether two paths name one file, through links too, or would if it existed."""
    try:
        return one.samefile(other)
    except (OSError, ValueError):  # one is not there
        with suppress(OSError, ValueError, RuntimeError):
            return one.resolve() == other.resolve()
    return False


def check_free(path: Path, is_ours: Callable[[Path], bool], overwrite: bool) -> None:
    """Raise `GptlossError` for what is no file, and without `overwrite` for a file that gptloss did not write."""
    if not path.name or path.is_dir():
        raise GptlossError(f"{path} is a folder; name a file in it.")
    if path.exists() and not path.is_file():
        raise GptlossError(f"{path} is a device or a pipe; name a file.")
    if path.exists() and not overwrite and not is_ours(path):
        raise GptlossError(
            f"{path} was not written by gptloss corpus; name another file, or replace it with --overwrite."
        )


@contextmanager
def alone(path: Path) -> Iterator[None]:
    """Keep other processes from writing this file. A process that dies releases it.

    Raises `GptlossError` if another process writes it, and if its folder cannot be written.
    """
    lock = FileLock(path.with_name(f"{path.name}.gptloss.lock"))
    with writing(path):
        path.parent.stat()  # FileLock would make the folder
        try:
            lock.acquire(timeout=0)
        except Timeout:
            raise GptlossError(f"Another run is writing {path}; wait until it has ended, or name another.") from None
    try:
        yield
    finally:
        with suppress(OSError):  # Windows does it by itself, afterwards
            Path(lock.lock_file).unlink(missing_ok=True)
        lock.release()


@contextmanager
def writing(path: Path) -> Iterator[None]:
    """Say what is wrong with the disk, and the way out, instead of an `OSError`."""
    try:
        yield
    except OSError as error:
        reason = error.strerror or error
        raise GptlossError(f"{path} cannot be written ({reason}); make room, or name another file.") from None
