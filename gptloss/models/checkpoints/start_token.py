"""The token that a text may begin with, found in a checkpoint's files."""

import json
from contextlib import suppress
from functools import lru_cache
from pathlib import Path
from typing import Any

from gptloss.errors import GptlossError
from gptloss.models.checkpoints.bounds import MOST_TOKENIZER, check_file
from gptloss.models.checkpoints.weights import read_json


def start_id(folder: Path, config: dict[str, Any], v: int) -> tuple[int | None, str]:
    """The id of the start token, or of the end token if there is none, and who states it.

    None if the files state neither.

    What the tokenizer's files state comes first, then the config's number; of several numbers the first. A token that
    is not among the V of the model is passed over. Raises `GptlossError` for a file that cannot be read.

    Source: `HFLM.prefix_token_id` of lm-evaluation-harness 0.4.13, which asks the tokenizer for both and not the
    config: it differs where the tokenizer states an end token only and the config a start token.
    """
    names = _names(folder)
    for kind in ("bos", "eos"):
        stated = {
            f"the tokenizer states it as its {kind}_token": _named(folder, names.get(f"{kind}_token")),
            f"config.json states it as its {kind}_token_id": _number(config.get(f"{kind}_token_id")),
        }
        for source, id in stated.items():
            if id is not None and 0 <= id < v:
                return id, source
    return None, ""


def end_ids(folder: Path, config: dict[str, Any], v: int) -> tuple[int, ...]:
    """The ids of the tokens that end a text, as the tokenizer's files and the config state them."""
    stated = config.get("eos_token_id")
    numbers = stated if isinstance(stated, list) else [stated]
    found = [_named(folder, _names(folder).get("eos_token")), *map(_number, numbers)]
    return tuple(sorted({id for id in found if id is not None and 0 <= id < v}))


def _names(folder: Path) -> dict[str, Any]:
    """What the tokenizer's files state; the older of the two counts where transformers reads it."""
    newer, older = (
        read_json(folder / name) if (folder / name).exists() else {}
        for name in ("tokenizer_config.json", "special_tokens_map.json")
    )
    return newer if "added_tokens_decoder" in newer else newer | older


def _named(folder: Path, stated: Any) -> int | None:
    """The id of a token that is stated as a text, or as one with its properties."""
    text = stated.get("content") if isinstance(stated, dict) else stated
    files = (folder / name for name in ("tokenizer.json", "vocab.json"))
    file = next((file for file in files if file.is_file()), None)
    return _looked_up(file, text, file.stat().st_mtime_ns) if file and isinstance(text, str) else None


def _number(stated: Any) -> int | None:
    """The id that is stated, or the first of several."""
    first = next(iter(stated), None) if isinstance(stated, list) else stated
    return first if isinstance(first, int) and not isinstance(first, bool) else None


@lru_cache(maxsize=64)
def _looked_up(file: Path, token: str, changed: int) -> int | None:
    """The id of a token in a tokenizer.json or vocab.json; None if it is not there, or the file is damaged.

    A list of models asks again and again, and a large file takes half a second.
    """
    with suppress(OSError, ValueError, LookupError, TypeError, AttributeError, RecursionError, GptlossError):
        check_file(file, MOST_TOKENIZER)
        spec = json.loads(file.read_text("utf-8"))
        if file.name == "vocab.json":
            return int(spec[token])
        added = {entry["content"]: entry["id"] for entry in spec.get("added_tokens") or ()}
        vocab = spec["model"]["vocab"]
        if token not in added and isinstance(vocab, list):  # of the kind Unigram: pairs of a piece and a number
            return [piece for piece, _ in vocab].index(token)
        return int(added[token] if token in added else vocab[token])
    return None
