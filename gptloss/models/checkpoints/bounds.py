"""What a checkpoint may be at most, checked before it is read: somebody else may have made it.

A pipe or a device in place of a file would never end, and a number of layers or tokens that no model has would fill
the memory.
"""

import stat
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from gptloss.errors import GptlossError

# Bytes of a config or an index, of a tokenizer, and of the header of a weights file; the largest in use are 8 MB,
# 35 MB and 2 MB.
MOST_CONFIG, MOST_TOKENIZER, MOST_HEADER = 32 << 20, 256 << 20, 32 << 20
# Tensors in one file, layers, and tokens of a vocabulary; the largest in use are some ten thousand, 200 and 262,208.
MOST_TENSORS, MOST_LAYERS, MOST_V = 200_000, 2_000, 4_000_000
# What architectures call the number of their layers.
LAYERS = ("n_layer", "n_layers", "num_layers", "num_hidden_layers")


def check_file(file: Path, most: int) -> None:
    """Raise `GptlossError` for what is no ordinary file, and for one of more bytes; `OSError` if it is not there."""
    found = file.stat()
    if not stat.S_ISREG(found.st_mode):
        raise GptlossError(f"{file} is no ordinary file, so it is not read; fetch or save the model again.")
    if found.st_size > most:
        raise GptlossError(
            f"{file} has {found.st_size:,} bytes, and no such file has more than {most:,}; fetch or save it again."
        )


def check_sizes(config: Mapping[str, Any], where: Path) -> None:
    """Raise `GptlossError` for a config.json, `where`, with more layers or tokens than any model has."""
    for names, most in ((LAYERS, MOST_LAYERS), (("vocab_size",), MOST_V)):
        for name in names:
            size = config.get(name)
            if isinstance(size, int | float) and not size <= most:
                raise GptlossError(f"{where} states {name} {size:,}, and no model has more than {most:,}.")
