"""A compressed text as a file: what was used to code it, the code, and checksums of both.

b"GPTLOSS" and the version of the format, 1 byte
the length of the header, 4 bytes, the lowest first; the header, in JSON
the code
the CRC-32 of all before it, 4 bytes, the lowest first
"""

import hashlib
import json
import struct
import zlib
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any

from gptloss.errors import GptlossError

MAGIC, VERSION = b"GPTLOSS", 1
LENGTH = struct.Struct("<I")
# No header is so long, and no text so large, in bytes.
LONGEST, LARGEST = 1 << 16, 1 << 40
DIGITS = 32


@dataclass(frozen=True)
class Header:
    """What the code was made with: the versions, the model and its weights, how it multiplied; and what the text is.

    `kernels` are those of `gptloss.models.fast.plan`, {} for PyTorch's own. `weights` is None for a model that is
    computed. `sha256` begins the checksum of the text in UTF-8.
    """

    gptloss: str
    torch: str
    capability: str
    model: str
    weights: str | None
    kernels: Mapping[str, Mapping[str, str]]
    threads: int
    tokens: int
    bytes: int
    sha256: str


def checksum(raw: bytes) -> str:
    """The beginning of the SHA-256 of a text."""
    return hashlib.sha256(raw).hexdigest()[:DIGITS]


def pack(header: Header, code: bytes) -> bytes:
    """The file."""
    told = json.dumps(asdict(header), separators=(",", ":")).encode()
    whole = MAGIC + bytes([VERSION]) + LENGTH.pack(len(told)) + told + code
    return whole + LENGTH.pack(zlib.crc32(whole))


def unpack(raw: bytes, name: str) -> tuple[Header, bytes]:
    """The header and the code of a file called `name`. Raises `GptlossError` for what `pack` has not made."""
    start = len(MAGIC) + 1 + LENGTH.size
    if raw[: len(MAGIC)] != MAGIC:
        raise GptlossError(f"{name} is no text that gptloss has compressed; name one that `gptloss compress` wrote.")
    if len(raw) < start + LENGTH.size or zlib.crc32(raw[: -LENGTH.size]) != LENGTH.unpack(raw[-LENGTH.size :])[0]:
        raise GptlossError(f"{name} is damaged: its checksum is wrong. Compress the text again.")
    if raw[len(MAGIC)] != VERSION:
        raise GptlossError(
            f"{name} has version {raw[len(MAGIC)]} of the format, and this gptloss reads {VERSION}; update it."
        )
    (length,) = LENGTH.unpack(raw[start - LENGTH.size : start])
    end = start + length
    if length > LONGEST or end > len(raw) - LENGTH.size:
        raise _no_header(name)
    return _header(raw[start:end], name), raw[end : -LENGTH.size]


def _header(raw: bytes, name: str) -> Header:
    try:
        told = json.loads(raw)
    except (ValueError, RecursionError):
        raise _no_header(name) from None
    if not isinstance(told, dict) or set(told) != {field.name for field in fields(Header)} or not _good(told):
        raise _no_header(name)
    return Header(**told)


def _good(told: dict[str, Any]) -> bool:
    """Whether each value is of its kind. A token stands for a byte at least, so there are no more of them."""
    words = all(isinstance(told[key], str) for key in ("gptloss", "torch", "capability", "model", "sha256"))
    counts = [told[key] for key in ("threads", "tokens", "bytes")]
    numbers = all(type(count) is int and 0 <= count <= LARGEST for count in counts)
    kernels = told["kernels"]
    choices = isinstance(kernels, dict) and all(isinstance(choice, dict) for choice in kernels.values())
    weights = told["weights"] is None or isinstance(told["weights"], str)
    return words and numbers and choices and weights and told["tokens"] <= told["bytes"] and told["threads"] > 0


def _no_header(name: str) -> GptlossError:
    return GptlossError(f"{name} has no readable header. Compress the text again.")
