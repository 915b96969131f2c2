"""Weights in safetensors files: checked by their headers, mapped into memory, never unpickled."""

import json
import math
import re
import struct
import sys
from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import psutil

from gptloss.errors import GptlossError
from gptloss.models.checkpoints.bounds import MOST_CONFIG, MOST_HEADER, MOST_TENSORS, check_file

if TYPE_CHECKING:
    from torch import Tensor

INDEX = "model.safetensors.index.json"
SINGLE = "model.safetensors"
HEAD = "lm_head.weight"
# What a file may hold besides weights, as older versions of transformers wrote it: causal masks and positions.
BUFFERS = (
    ".attn.bias",
    ".attn.masked_bias",
    ".attention.bias",
    ".attention.masked_bias",
    ".causal_mask",
    ".inv_freq",
    ".position_ids",
)
PIECE = 1 << 20
FLOATING = {"F64", "F32", "F16", "BF16"}
PICKLED = ("*.bin", "*.pt", "*.pth", "*.ckpt")


@dataclass(frozen=True)
class Stored:
    """A tensor in a file: what its header says. It has `size` bytes, from `start` on."""

    file: Path
    shape: tuple[int, ...]
    dtype: str
    start: int
    size: int

    @property
    def numel(self) -> int:
        return math.prod(self.shape)


def files(folder: Path) -> tuple[Path, ...]:
    """The safetensors files of a checkpoint. Raises `GptlossError` if one that should be there is not."""
    if (folder / INDEX).exists():
        by_tensor = read_json(folder / INDEX).get("weight_map")
        if not isinstance(by_tensor, dict) or not all(map(_is_file_name, by_tensor.values())):
            raise GptlossError(f"{folder / INDEX} names no file for each tensor; fetch or save the model again.")
        names = sorted(set(by_tensor.values()))
    else:
        names = [SINGLE]
    missing = [name for name in names if not (folder / name).is_file()]
    if missing and names == [SINGLE] and any(next(folder.glob(kind), None) for kind in PICKLED):
        raise GptlossError(
            f"{folder} has its weights as pickle, which can run code, so it is not read;"
            " save the model again with `save_pretrained`, which writes model.safetensors."
        )
    if missing or not names:
        raise GptlossError(f"{missing[0] if missing else SINGLE} is missing in {folder}; fetch the model again.")
    return tuple(folder / name for name in names)


def _is_file_name(name: object) -> bool:
    """Whether an index names a file of its own folder."""
    return isinstance(name, str) and re.fullmatch(r"[\w.-]{1,200}\.safetensors", name, re.ASCII) is not None


def headers(folder: Path) -> dict[str, Stored]:
    """All tensors of a checkpoint by name, without reading their data.

    Raises `GptlossError` for a file that is missing, cut short or no safetensors file.
    """
    return {name: stored for file in files(folder) for name, stored in _header(file).items()}


def _header(file: Path) -> dict[str, Stored]:
    try:
        check_file(file, sys.maxsize)
        with file.open("rb") as stream:
            (length,) = struct.unpack("<Q", stream.read(8))
            if length > file.stat().st_size:
                raise ValueError("its header is longer than the file")
            if length > MOST_HEADER:
                raise ValueError(f"its header has {length:,} bytes, and none has more than {MOST_HEADER:,}")
            entries = json.loads(stream.read(length))
            if len(entries) > MOST_TENSORS:
                raise ValueError(f"it names {len(entries):,} tensors, and no file has more than {MOST_TENSORS:,}")
        entries.pop("__metadata__", None)
        tensors = {name: _stored(file, entry, 8 + length) for name, entry in entries.items()}
        end = max((stored.start + stored.size for stored in tensors.values()), default=8 + length)
    except (OSError, ValueError, LookupError, TypeError, AttributeError, RecursionError, struct.error) as error:
        raise GptlossError(
            f"{file} is no safetensors file or is damaged ({error}); fetch or save it again."
        ) from error
    if (size := file.stat().st_size) != end:
        raise GptlossError(
            f"{file} is cut short or damaged: it has {size:,} bytes and its header says {end:,};"
            " fetch or save it again."
        )
    return tensors


def _stored(file: Path, entry: dict[str, Any], data: int) -> Stored:
    """A tensor as the header has it; `data` is where the header ends."""
    shape, (start, end) = entry["shape"], entry["data_offsets"]
    if not all(isinstance(size, int) and size >= 0 for size in (*shape, start, end - start)):
        raise ValueError(f"{shape} at {start}:{end} is no tensor")
    return Stored(file, tuple(shape), str(entry["dtype"]), data + start, end - start)


def stored_twice(stored: dict[str, Stored], name: str) -> bool:
    """Whether another tensor of the checkpoint has the bytes of the one called `name`, as that of a tied head may."""
    one = stored.get(name)
    if one is None:
        return False
    others = (other for key, other in stored.items() if key != name and other.shape == one.shape)
    return any(_same(one, other, one.file.stat().st_mtime_ns, other.file.stat().st_mtime_ns) for other in others)


@lru_cache(maxsize=32)
def _same(one: Stored, other: Stored, *changed: int) -> bool:
    """Compared once, for as long as the files stay as they are: heads are large."""
    if (one.dtype, one.size) != (other.dtype, other.size):
        return False
    with one.file.open("rb") as first, other.file.open("rb") as second:
        first.seek(one.start)
        second.seek(other.start)
        pieces = [min(PIECE, one.size - done) for done in range(0, one.size, PIECE)]
        return all(first.read(piece) == second.read(piece) for piece in pieces)


def read(folder: Path) -> dict[str, "Tensor"]:
    """All tensors of a checkpoint in float32; those stored so are mapped from the file, not copied.

    Raises `GptlossError` for a file that is missing or damaged.
    """
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    tensors: dict[str, Tensor] = {}
    for file in files(folder):
        try:
            tensors |= {name: tensor.float() for name, tensor in load_file(file).items()}
        except (SafetensorError, OSError) as error:
            raise GptlossError(f"{file} cannot be read ({error}); fetch or save it again.") from error
    return tensors


def check_numbers(folder: Path) -> None:
    """Raise `GptlossError` naming the file and the tensor if a weight is quantised, NaN or infinite.

    Every number is looked at, in the mapped file: that is quicker than to run a few tokens through the model.
    """
    for file in files(folder):
        stored = {name: tensor for name, tensor in _header(file).items() if not name.endswith(BUFFERS)}
        for name, tensor in stored.items():
            if tensor.dtype not in FLOATING and name.endswith((".weight", ".bias")):
                raise GptlossError(
                    f"In {file} the tensor {name} is stored as {tensor.dtype}, not in float32, float16 or bfloat16;"
                    " fetch the model in one of them."
                )
        wrong = _spoilt(file, [name for name, tensor in stored.items() if tensor.dtype in FLOATING and tensor.numel])
        if wrong is not None:
            raise GptlossError(
                f"In {file} the tensor {wrong} holds NaN or infinity, which are no weights; fetch or save it again."
            )


def _spoilt(file: Path, names: list[str]) -> str | None:
    """The first of these tensors that is not all finite in float32."""
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(file, "pt") as data:
            for name in names:
                if not all(end.float().isfinite() for end in data.get_tensor(name).aminmax()):
                    return name
    except (SafetensorError, OSError) as error:
        raise GptlossError(f"{file} cannot be read ({error}); fetch or save it again.") from error
    return None


def check(folder: Path, stored: dict[str, Stored], wanted: dict[str, tuple[int, ...]]) -> None:
    """Raise `GptlossError` naming the file and the tensor unless the wanted ones are there, in their shape, alone."""
    for name, shape in wanted.items():
        if name not in stored:
            raise GptlossError(
                f"{files(folder)[0]} has no tensor {name}, which config.json asks for; fetch or save the model again."
            )
        if stored[name].shape != shape:
            raise GptlossError(
                f"In {stored[name].file} the tensor {name} has shape {list(stored[name].shape)}, and config.json asks"
                f" for {list(shape)}; the two files do not belong together."
            )
    for name in stored:
        if name not in wanted and not name.endswith((*BUFFERS, HEAD)):  # a tied head may be stored twice
            raise GptlossError(
                f"{stored[name].file} has a tensor {name} that config.json does not ask for; the two files do not"
                " belong together."
            )


def save(tensors: Iterable[tuple[str, "Tensor"]], file: Path) -> None:
    """Write a safetensors file. A disk that is full is an `OSError`, as everywhere else."""
    import errno

    from safetensors import SafetensorError
    from safetensors.torch import save_file

    try:
        save_file(dict(tensors), file, metadata={"format": "pt"})
    except SafetensorError as error:
        raise OSError(errno.ENOSPC, str(error)) from error
    file.chmod(0o644)  # not for its maker alone: a cache folder may be shared


def check_memory(name: str, needs: int) -> None:
    """Raise `GptlossError` if `needs` bytes are more than this machine has to give."""
    free = free_memory()
    if free < needs:
        raise GptlossError(
            f"{name} needs {needs / 1e9:.1f} GB of memory and this machine has {free / 1e9:.1f} GB left;"
            " choose a smaller model or close other programs."
        )


def free_memory() -> int:
    """The bytes of memory that programs can still have."""
    return int(psutil.virtual_memory().available)


def read_json(file: Path) -> dict[str, Any]:
    """A JSON object from a file. Raises `GptlossError` naming the file."""
    try:
        check_file(file, MOST_CONFIG)
        content = json.loads(file.read_text("utf-8"))
    except FileNotFoundError:
        raise GptlossError(f"{file.name} is missing in {file.parent}; is it a model saved by transformers?") from None
    except (OSError, ValueError, RecursionError) as error:
        raise GptlossError(f"{file} cannot be read ({error}); fetch or save it again.") from error
    if not isinstance(content, dict):
        raise GptlossError(f"{file} holds no JSON object; fetch or save it again.")
    return content
