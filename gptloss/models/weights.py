"""Weights in safetensors files: checked by their headers, mapped into memory, never unpickled."""

import json
import math
import re
import struct
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gptloss.errors import GptlossError

if TYPE_CHECKING:
    from torch import Tensor

INDEX = "model.safetensors.index.json"
SINGLE = "model.safetensors"
# What a GPT-2's file may hold besides its weights.
MASKS = (".attn.bias", ".attn.masked_bias")
PICKLED = ("*.bin", "*.pt", "*.pth", "*.ckpt")


@dataclass(frozen=True)
class Stored:
    """A tensor in a file: what its header says."""

    file: Path
    shape: tuple[int, ...]
    dtype: str

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
        with file.open("rb") as stream:
            (length,) = struct.unpack("<Q", stream.read(8))
            if length > file.stat().st_size:
                raise ValueError("its header is longer than the file")
            entries = json.loads(stream.read(length))
        entries.pop("__metadata__", None)
        tensors = {name: Stored(file, _sizes(entry["shape"]), entry["dtype"]) for name, entry in entries.items()}
        end = max((int(entry["data_offsets"][1]) for entry in entries.values()), default=0)
    except (OSError, ValueError, LookupError, TypeError, AttributeError, RecursionError, struct.error) as error:
        raise GptlossError(
            f"{file} is no safetensors file or is damaged ({error}); fetch or save it again."
        ) from error
    if (size := file.stat().st_size) != 8 + length + end:
        raise GptlossError(
            f"{file} is cut short or damaged: it has {size:,} bytes and its header says {8 + length + end:,};"
            " fetch or save it again."
        )
    return tensors


def _sizes(shape: list[int]) -> tuple[int, ...]:
    if not all(isinstance(size, int) and size >= 0 for size in shape):
        raise ValueError(f"{shape} is no shape")
    return tuple(shape)


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
        if name not in wanted and not name.endswith((*MASKS, "lm_head.weight")):  # a tied head may be stored twice
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
    """Raise `GptlossError` if `needs` bytes are more than this machine has to give (where it says so: on Linux)."""
    try:
        lines = Path("/proc/meminfo").read_text().splitlines()
    except OSError:
        return
    free = next((1024 * int(line.split()[1]) for line in lines if line.startswith("MemAvailable:")), needs)
    if free < needs:
        raise GptlossError(
            f"{name} needs {needs / 1e9:.1f} GB of memory and this machine has {free / 1e9:.1f} GB left;"
            " choose a smaller model or close other programs."
        )


def read_json(file: Path) -> dict[str, Any]:
    """A JSON object from a file. Raises `GptlossError` naming the file."""
    try:
        content = json.loads(file.read_text("utf-8"))
    except FileNotFoundError:
        raise GptlossError(f"{file.name} is missing in {file.parent}; is it a model saved by transformers?") from None
    except (OSError, ValueError, RecursionError) as error:
        raise GptlossError(f"{file} cannot be read ({error}); fetch or save it again.") from error
    if not isinstance(content, dict):
        raise GptlossError(f"{file} holds no JSON object; fetch or save it again.")
    return content
