"""What general compressors make of the same bytes, each at its strongest level."""

import gzip
import lzma
from collections.abc import Callable

import zstandard

COMPRESSORS: dict[str, Callable[[bytes], bytes]] = {
    "gzip": lambda raw: gzip.compress(raw, 9, mtime=0),
    "xz": lambda raw: lzma.compress(raw, preset=9 | lzma.PRESET_EXTREME),
    "zstd": lambda raw: zstandard.ZstdCompressor(level=22).compress(raw),
}


def sizes(raw: bytes) -> dict[str, int]:
    """The bytes of the whole file that each of them writes."""
    return {name: len(compress(raw)) for name, compress in COMPRESSORS.items()}
