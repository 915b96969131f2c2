"""The only caches: models and scored rows, shared by all visitors, bounded."""

from dataclasses import dataclass

import streamlit as st
import torch

from gptloss.errors import GptlossError
from gptloss.models import LanguageModel, find, load_model
from gptloss.scoring import Row, ScoredBatch, read_row, score_rows

# Many visitors are served faster by one thread each than by all threads in turn.
torch.set_num_threads(1)

# More would fill the memory; the one not used for longest makes room.
LARGE_MODELS = 2
# Up to this many weights a model takes no memory worth counting.
TOY = 1_000_000


@dataclass(frozen=True)
class Reading:
    """The visitor's rows: those that can be scored, scored, and what is wrong with each of the others."""

    batch: ScoredBatch | None
    errors: dict[int, GptlossError]


def model(name: str) -> LanguageModel:
    """The model called `name`, loaded once for all visitors. Raises `GptlossError` if that fails."""
    return _large(name) if find(name).info.parameters > TOY else _toy(name)


def reading(model_name: str, inputs: tuple[str, ...], targets: tuple[str, ...] | None, bos: bool = False) -> Reading:
    """The rows read and scored; the same rows once for all visitors. Raises `GptlossError` as `model` does.

    `bos` counts only for a model that has a start token.
    """
    loaded = model(model_name)  # also marks it as used
    return _reading(model_name, inputs, targets, bos and loaded.info.bos_id is not None)


@st.cache_resource(show_spinner=False)
def _toy(name: str) -> LanguageModel:
    return load_model(name)


def _release(_: LanguageModel) -> None:
    """The readings hold on to their model; without them its memory is free again."""
    _reading.clear()


@st.cache_resource(max_entries=LARGE_MODELS, show_spinner=False, on_release=_release)
def _large(name: str) -> LanguageModel:
    return load_model(name)


@st.cache_resource(max_entries=64, show_spinner=False)  # 6 MB each at most: 8 rows of a full context
def _reading(model_name: str, inputs: tuple[str, ...], targets: tuple[str, ...] | None, bos: bool) -> Reading:
    rows: list[Row] = []
    errors: dict[int, GptlossError] = {}
    for number, given in enumerate(inputs, 1):
        target = None if targets is None else targets[number - 1]
        try:
            rows.append(read_row(model(model_name), number, given, target, bos))
        except GptlossError as error:
            errors[number] = error.with_traceback(None)
    return Reading(score_rows(model(model_name), rows) if rows else None, errors)
