"""Where a result comes from: the program, the model with its files, and how the text was read, as plain data."""

import hashlib
from collections.abc import Callable, Sequence
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gptloss import __version__
from gptloss.errors import GptlossError
from gptloss.models import Entry, Files, find
from gptloss.models.hashes import kept_sha256, quick_sha256

if TYPE_CHECKING:
    from gptloss.models import LanguageModel

# How many of the 64 digits of a checksum are shown.
DIGITS = 12


def provenance(
    model: "LanguageModel",
    *,
    bos: bool,
    convention: str = "whole",
    window: int | None = None,
    stride: int | None = None,
    precision: str = "float32",
) -> dict[str, Any]:
    """What somebody else needs to get the same numbers; docs/result.schema.json says what each field is.

    The convention is one of `conventions.CONVENTIONS`, or `whole`: a text is read at once, or `sliding`: one that is
    longer than the context is read in windows that move on by the stride, the last one filled leftwards. The checksum
    of large weights costs half a second, once.
    """
    import torch

    from gptloss.models.fast import plan, record
    from gptloss.models.fast.layers import kernels_of

    files = _files(model)
    return {
        "gptloss": __version__,
        "torch": torch.__version__,
        "model": _model(model, files),
        "tokenizer": {"vocab_size": model.tokenizer.vocab_size, "sha256": _sha256(files.tokenizer)},
        "start_token": _start_token(model) if bos else None,
        "convention": convention,
        "window": window,
        "stride": stride,
        "precision": precision,
        "kernels": plan.kernels_as_json(kernels_of(model)),
        "threads": torch.get_num_threads(),
        "processor": {"name": record.processor(), "capability": torch.backends.cpu.get_cpu_capability()},
    }


def weights_hash(name: str, fresh: bool = False) -> str | None:
    """The SHA-256 of a model's weights, None if it has no files; `fresh` reads them whatever the cache says.

    That of one file is the file's own, that of several is of what `sha256sum` prints of them in order of their names.
    Raises `GptlossError` for a name nobody knows, a model that is not here, and a file that cannot be read.
    """
    return _sha256(find(name).files().weights, partial(kept_sha256, fresh=fresh))


def weights_of(model: "LanguageModel") -> str | None:
    """The same for a loaded model; None, too, for one that is in no registry."""
    return _sha256(_files(model).weights)


def checksums(model: "LanguageModel") -> dict[str, str | None]:
    """The SHA-256 of a model's weights, config and tokenizer, read now; of one without files its name.

    Raises `GptlossError` for a file that cannot be read.
    """
    files = _files(model)
    if not files.weights:
        return {"name": model.info.name}
    fresh = partial(kept_sha256, fresh=True)
    return {name: _sha256(getattr(files, name), fresh) for name in ("weights", "config", "tokenizer")}


def known_weights(entry: Entry) -> str | None:
    """The same if it takes no time: None too for weights that are not here or would have to be read."""
    with suppress(GptlossError):
        return _sha256(entry.files().weights, quick_sha256)
    return None


def weights_line(known: dict[str, Any]) -> str:
    """A provenance's weights for the eye: where they come from, and how their checksum begins."""
    source, weights = known["model"]["source"], known["model"]["weights"]
    return f"weights: {source}" + (f", SHA-256 {weights['sha256'][:DIGITS]}" if weights else "")


def _files(model: "LanguageModel") -> Files:
    """None of a model that is in no registry, or was removed meanwhile."""
    with suppress(GptlossError):
        return find(model.info.name).files()
    return Files()


def _model(model: "LanguageModel", files: Files) -> dict[str, Any]:
    info = model.info
    return {
        "name": info.name,
        "title": info.title,
        "architecture": info.architecture,
        "parameters": info.parameters,
        "vocab_size": info.vocab_size,
        "context_length": info.context_length,
        "source": info.source or info.weights,
        "weights": _weights(files.weights),
        "config_sha256": _sha256(files.config),
    }


def _weights(files: Sequence[Path]) -> dict[str, Any] | None:
    if not files:
        return None
    each = [{"name": file.name, "bytes": file.stat().st_size, "sha256": kept_sha256(file)} for file in files]
    return {"sha256": _sha256(files), "files": each}


def _sha256(files: Sequence[Path], of: Callable[[Path], str | None] = kept_sha256) -> str | None:
    """One checksum of several files; None for none, and if that of one is None."""
    found = {file.name: of(file) for file in sorted(files, key=lambda file: file.name)}
    if len(found) < 2:
        return next(iter(found.values()), None)
    if None in found.values():
        return None
    return hashlib.sha256("".join(f"{sum_}  {name}\n" for name, sum_ in found.items()).encode()).hexdigest()


def _start_token(model: "LanguageModel") -> dict[str, Any]:
    from gptloss.scoring.rows import start_token

    token = start_token(model)
    return {"id": token.id, "text": token.text}
