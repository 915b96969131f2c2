"""The models by name. A backend, and torch with it, is imported when it is asked for."""

import os
from collections.abc import Callable
from contextlib import suppress
from copy import copy
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any, Literal, cast, get_args

from gptloss.errors import GptlossError, NotHereError
from gptloss.models import names
from gptloss.models.base import Entry, Files, LanguageModel, ModelInfo, Progress, Report
from gptloss.models.catalogue import checkpoint, runs, smollm2, untrained
from gptloss.models.checkpoints import weights
from gptloss.models.downloads import hub
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
    "trained",
]

DEFAULT_MODEL = untrained.NAME
DType = Literal["float32", "float64"]


def _toy(info: ModelInfo) -> LanguageModel:
    from gptloss.models.architectures import toy

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
    """The model called `name`: one of `REGISTRY`, `run:NAME`, a folder, or `hf:owner/name` from the
    Hugging Face hub.

    Raises `GptlossError` for a name nobody knows, and `NotHereError` for a hub model that has not been pulled.
    """
    if name in REGISTRY:
        return REGISTRY[name]
    if names.is_of_hub(name):
        return checkpoint.hub_entry(name)
    if names.is_run(name):
        return runs.entry(name)
    if names.is_path(name) or os.path.isdir(name):
        return _folder(name)
    raise GptlossError(
        f"There is no model called {name!r}. Models: {', '.join(REGISTRY)}, a folder, or hf:owner/name."
    )


def _folder(name: str) -> Entry:
    try:
        return checkpoint.folder_entry(name)
    except GptlossError as error:
        if hub.NAME.fullmatch(name) and not os.path.isdir(name):
            raise GptlossError(f"{error} For a model of the Hugging Face hub write hf:{name}.") from None
        raise


def is_here(name: str) -> bool:
    """Whether the model can be loaded without fetching it. Raises `GptlossError` for a name nobody knows."""
    try:
        return find(name).here()
    except NotHereError:
        return False


def pulled() -> list[Entry]:
    """The models of the hub's cache that are here under no name but `hf:owner/name`; others may have fetched them."""
    known, found = {entry.info.source for entry in REGISTRY.values()}, []
    for name in (f"{names.HUB}{repo}" for repo in hub.kept()):
        with suppress(GptlossError):  # not of language
            found += [] if name in known else [checkpoint.hub_entry(name)]
    return found


def trained() -> list[Entry]:
    """The models that were trained on this machine, `run:NAME`; one that is damaged is left out."""
    found = []
    for name in runs.kept():
        with suppress(GptlossError):
            found.append(runs.entry(name))
    return found


def load_model(
    name: str | Path = DEFAULT_MODEL, *, dtype: DType = "float32", start_token: int | None = None
) -> LanguageModel:
    """The model called `name`, ready to score.

    A name of `REGISTRY`, a folder with a checkpoint in transformers' format, or `hf:owner/name`. In `dtype="float64"`
    all is computed in float64, for models of our own architectures: the reference that others are measured against,
    at twice the memory and about twice the time. In float32, matrices are multiplied by the kernels that are quickest
    here, see `gptloss.models.fast.plan`. `start_token` is the id of the token that texts may begin with, instead of
    the one that the model states (`info.bos_id`). Raises `GptlossError` for a name nobody knows, for damaged files,
    for too little memory, and for a dtype or a token that the model cannot have, and its child `NotHereError` for a
    model that has to be pulled first.
    """
    if dtype not in get_args(DType):
        raise GptlossError(f"There is no dtype {dtype!r} to load in; use {' or '.join(get_args(DType))}.")
    entry = find(str(name))
    model = _in_float64(entry) if dtype == "float64" else _with_kernels(entry.load())
    return model if start_token is None else _starting_with(model, start_token)


def _with_kernels(model: LanguageModel) -> LanguageModel:
    from gptloss.models.fast.layers import use_kernels

    return use_kernels(model)


def _starting_with(model: LanguageModel, id: int) -> LanguageModel:
    """The same model with another start token. Raises `GptlossError` for an id that is not in the vocabulary."""
    token = model.tokenizer.token(id)
    other: Any = copy(model)
    other.info = replace(model.info, bos_id=token.id, bos_source="chosen by the caller")
    return cast(LanguageModel, other)


def _in_float64(entry: Entry) -> LanguageModel:
    weights.check_memory(entry.info.name, 8 * entry.info.parameters)
    model = entry.load()
    double: Callable[[], LanguageModel] | None = getattr(model, "double", None)
    if double is None:
        raise GptlossError(
            f"{entry.info.name} runs through transformers and is read in float32 only; GPT-2 and SmolLM2"
            " can be read in float64."
        )
    return double()


def pull(name: str, report: Report) -> None:
    """Fetch a model, whole or not at all; nothing happens if it is here. Raises `GptlossError`."""
    if is_here(name):
        return
    if names.is_of_hub(name):
        return hub.pull(name.removeprefix(names.HUB), name, report, partial(checkpoint.check, name))
    fetch = find(name).pull
    assert fetch is not None, "only what can be pulled can be missing"
    fetch(report)


def remove(name: str) -> bool:
    """Take a fetched or kept model off the disk, and what a stopped pull left of it; False if nothing was there.

    Raises `GptlossError` for one that is not ours to delete.
    """
    if names.is_of_hub(name):
        return hub.remove(name.removeprefix(names.HUB))
    if names.is_run(name):
        return runs.remove(name)
    entry = find(name)
    if entry.remove is None:
        raise GptlossError(f"{name} takes no room on the disk, or is a folder of yours; there is nothing to remove.")
    return entry.remove()
