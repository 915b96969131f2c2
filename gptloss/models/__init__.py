"""The models by name. A backend, and torch with it, is imported when it is asked for."""

import os
from contextlib import suppress
from functools import partial
from pathlib import Path

from gptloss.errors import GptlossError, NotHereError
from gptloss.models import checkpoint, hub, smollm2, untrained
from gptloss.models.base import Entry, Files, LanguageModel, ModelInfo, Progress, Report
from gptloss.tokens import BYTES, SAMPLE, ByteTokenizer

__all__ = [
    "DEFAULT_MODEL",
    "REGISTRY",
    "Entry",
    "Files",
    "LanguageModel",
    "ModelInfo",
    "Progress",
    "Report",
    "find",
    "is_here",
    "load_model",
    "pull",
    "pulled",
    "remove",
]

DEFAULT_MODEL = untrained.NAME


def _toy(info: ModelInfo) -> LanguageModel:
    from gptloss.models import toy

    return toy.Uniform(info) if info.name == "uniform" else toy.Bigram(info)


def _toy_entry(name: str, title: str, weights: str, parameters: int, *counted: Path) -> Entry:
    info = ModelInfo(
        name=name,
        title=title,
        weights=weights,
        vocab_size=BYTES,
        context_length=8_192,
        parameters=parameters,
        architecture="bytes",
        licence="MIT",
        source="made on this machine",
    )
    return Entry(info, ByteTokenizer, partial(_toy, info), files=lambda: Files(counted))


REGISTRY: dict[str, Entry] = {
    entry.info.name: entry
    for entry in (
        untrained.entry(),
        smollm2.entry(),
        *map(checkpoint.openai_entry, checkpoint.OPENAI),
        _toy_entry("uniform", "Uniform over bytes", "no weights: a blind guess", 0),
        _toy_entry("bigram", "Byte bigram", "counts of a short sample text", BYTES * BYTES, SAMPLE),
    )
}


def find(name: str) -> Entry:
    """The model called `name`: one of `REGISTRY`, a folder, or `hf:owner/name` from the Hugging Face hub.

    Raises `GptlossError` for a name nobody knows, and `NotHereError` for a hub model that has not been pulled.
    """
    if name in REGISTRY:
        return REGISTRY[name]
    if name.startswith(checkpoint.HUB):
        return checkpoint.hub_entry(name)
    if os.sep in name or "/" in name or os.path.isdir(name):
        return checkpoint.folder_entry(name)
    raise GptlossError(
        f"There is no model called {name!r}. Models: {', '.join(REGISTRY)}, a folder, or hf:owner/name."
    )


def is_here(name: str) -> bool:
    """Whether the model can be loaded without fetching it. Raises `GptlossError` for a name nobody knows."""
    try:
        return find(name).here()
    except NotHereError:
        return False


def pulled() -> list[Entry]:
    """The models of the hub's cache that are here under no name but `hf:owner/name`; others may have fetched them."""
    known, found = {entry.info.source for entry in REGISTRY.values()}, []
    for name in (f"{checkpoint.HUB}{repo}" for repo in hub.kept()):
        with suppress(GptlossError):  # not of language
            found += [] if name in known else [checkpoint.hub_entry(name)]
    return found


def load_model(name: str = DEFAULT_MODEL) -> LanguageModel:
    """The model called `name`, ready to score.

    A name of `REGISTRY`, a folder with a checkpoint in transformers' format, or `hf:owner/name`. Raises
    `GptlossError` for a name nobody knows, for damaged files and for too little memory, and its child
    `NotHereError` for a model that has to be pulled first.
    """
    model = find(name).load()
    from gptloss.models.packed import use_onednn

    return use_onednn(model)


def pull(name: str, report: Report) -> None:
    """Fetch a model, whole or not at all; nothing happens if it is here. Raises `GptlossError`."""
    if is_here(name):
        return
    if name.startswith(checkpoint.HUB):
        return hub.pull(name.removeprefix(checkpoint.HUB), name, report, partial(checkpoint.check, name))
    fetch = find(name).pull
    assert fetch is not None, "only what can be pulled can be missing"
    fetch(report)


def remove(name: str) -> bool:
    """Take a fetched or kept model off the disk, and what a stopped pull left of it; False if nothing was there.

    Raises `GptlossError` for one that is not ours to delete.
    """
    if name.startswith(checkpoint.HUB):
        return hub.remove(name.removeprefix(checkpoint.HUB))
    entry = find(name)
    if entry.remove is None:
        raise GptlossError(f"{name} takes no room on the disk, or is a folder of yours; there is nothing to remove.")
    return entry.remove()
