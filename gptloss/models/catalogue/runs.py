"""Models that were trained here: a folder each beside the fetched ones, named `run:NAME`, and as one zip file."""

import io
import re
import shutil
import zipfile
import zlib
from contextlib import suppress
from pathlib import Path

from gptloss.errors import GptlossError
from gptloss.models.base import Entry
from gptloss.models.catalogue import checkpoint
from gptloss.models.checkpoints import weights
from gptloss.models.downloads import store
from gptloss.models.names import RUN

NAME = re.compile(r"[A-Za-z0-9][\w-]{0,39}", re.ASCII)
# What travels in a zip file, and the room that it may take, in bytes.
FILES = (weights.SINGLE, "config.json", "tokenizer.json", "tokenizer_config.json", "run.json")
NEEDED = FILES[:3]
MOST_BYTES = 200_000_000


def home() -> Path:
    """The folder in which the folders of runs lie."""
    return store.home() / "runs"


def folder(name: str) -> Path:
    """The folder of `run:NAME`. Raises `GptlossError` for a name that no run can have."""
    short = name.removeprefix(RUN)
    if not NAME.fullmatch(short):
        raise GptlossError(f"{name[:60]!r} names no run; a name has letters, digits, - and _, at most 40.")
    return home() / short


def entry(name: str) -> Entry:
    """`run:NAME` as a model. Raises `GptlossError` if there is no such run on this machine."""
    place = folder(name)
    if not (place / "config.json").is_file():
        raise GptlossError(f"There is no run called {name[:60]!r} on this machine; train one on the page Training.")
    return checkpoint.folder_entry_called(name, place)


def kept() -> list[str]:
    """The names of the runs on this machine."""
    with suppress(OSError):
        return sorted(f"{RUN}{place.name}" for place in home().iterdir() if _is_run(place))
    return []


def _is_run(place: Path) -> bool:
    return NAME.fullmatch(place.name) is not None and (place / "config.json").is_file()


def remove(name: str) -> bool:
    """Take a run off the disk; False if it was not there."""
    place = folder(name)
    there = place.is_dir()
    shutil.rmtree(place, ignore_errors=True)
    return there


def pack(name: str) -> bytes:
    """The model as a zip file. Raises `GptlossError` if a file of it cannot be read."""
    place, packed = folder(name), io.BytesIO()
    try:
        with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
            for file in FILES:
                if (place / file).is_file() or file in NEEDED:
                    archive.write(place / file, file)
    except OSError as error:
        raise GptlossError(f"{name} cannot be read ({error.strerror}); train it again.") from error
    return packed.getvalue()


def unpack(packed: bytes, name: str) -> str:
    """Keep a model from a zip file that `pack` made, as `run:NAME`; a number is added to a name that is taken.

    Raises `GptlossError` for a file that is none, holds no whole model, or is too large.
    """
    taken, number = name, 2
    while folder(f"{RUN}{taken}").exists():
        taken, number = f"{name}-{number}", number + 1
    place = folder(f"{RUN}{taken}")
    part = place.with_name(f".{taken}.part")
    try:
        with zipfile.ZipFile(io.BytesIO(packed)) as archive:
            inside = {member.filename: member.file_size for member in archive.infolist()}
            if missing := [file for file in NEEDED if file not in inside]:
                raise GptlossError(f"The zip file holds no {missing[0]}; give one that was downloaded here.")
            if sum(inside[file] for file in FILES if file in inside) > MOST_BYTES:
                raise GptlossError(f"The model takes more than {MOST_BYTES / 1e6:,.0f} MB; take it as a folder.")
            part.mkdir(parents=True, exist_ok=True)
            for file in FILES:
                if file in inside:
                    (part / file).write_bytes(archive.read(file))
        checkpoint.folder_entry_called(f"{RUN}{taken}", part).tokenizer()
        weights.check_numbers(part)
        part.replace(place)
    except (zipfile.BadZipFile, EOFError, NotImplementedError, RuntimeError, zlib.error) as error:
        raise GptlossError(f"This is no whole zip file ({error}); give one that was downloaded here.") from None
    except OSError as error:
        raise GptlossError(f"The model cannot be written ({error.strerror}); make room on the disk.") from error
    finally:
        shutil.rmtree(part, ignore_errors=True)
    return f"{RUN}{taken}"
