"""The state of a folder's files: what was read from them is remembered until it changes."""

import os
from pathlib import Path

State = tuple[tuple[str, int, int, int], ...]


def state_of(folder: Path) -> State:
    """(name, bytes, nanoseconds of the last change, file number) of each file, which change with its content.

    Raises `OSError` for a folder that cannot be read. A link that leads nowhere counts as a file without a content.
    """
    with os.scandir(folder) as entries:
        return tuple(sorted((entry.name, *_stat(entry)) for entry in entries))


def _stat(entry: "os.DirEntry[str]") -> tuple[int, int, int]:
    try:
        stat = entry.stat()
    except OSError:
        return 0, 0, 0
    return stat.st_size, stat.st_mtime_ns, stat.st_ino
