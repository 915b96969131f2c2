"""The only caches: models and scored rows, shared by all visitors, bounded."""

from dataclasses import dataclass

import streamlit as st
import torch

from gptloss.errors import GptlossError
from gptloss.models import LanguageModel, load_model
from gptloss.scoring import Row, ScoredBatch, read_row, score_rows

# Many visitors are served faster by one thread each than by all threads in turn.
torch.set_num_threads(1)


@dataclass(frozen=True)
class Reading:
    """The visitor's rows: those that can be scored, scored, and what is wrong with each of the others."""

    batch: ScoredBatch | None
    errors: dict[int, GptlossError]


@st.cache_resource(max_entries=2, show_spinner=False)
def model(name: str) -> LanguageModel:
    """The model called `name`; made once for all visitors."""
    return load_model(name)


@st.cache_resource(max_entries=64, show_spinner=False)  # 6 MB each at most: 8 rows of a full context
def reading(model_name: str, inputs: tuple[str, ...], targets: tuple[str, ...] | None) -> Reading:
    """The rows read and scored; the same rows once for all visitors."""
    rows: list[Row] = []
    errors: dict[int, GptlossError] = {}
    for number, given in enumerate(inputs, 1):
        try:
            rows.append(read_row(model(model_name), number, given, None if targets is None else targets[number - 1]))
        except GptlossError as error:
            errors[number] = error.with_traceback(None)
    return Reading(score_rows(model(model_name), rows) if rows else None, errors)
