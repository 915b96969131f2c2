"""Writes the recorded losses: the texts that ship with gptloss under the lecture's two models, as the page opens.

`python -m tests.helpers.recorded`, with smollm2-135m pulled.
"""

import json
from dataclasses import fields
from typing import Any

from gptloss import load_model
from gptloss.corpus import conventions, samples
from gptloss.corpus.job import Document, Job, texts_of
from gptloss.corpus.run import score_parts
from gptloss.corpus.tally import CorpusLoss, Tally
from gptloss.lessons import recorded
from gptloss.models import REGISTRY

MODELS = ("gpt2-untrained", "smollm2-135m")
# What the page has at first, see `views/visit/fields/dataset.py`.
CONVENTION, WINDOW, SPLIT = "book", 256, 0.9


def jobs() -> list[Job]:
    """What is recorded."""
    texts = [texts_of((Document(name, text),)) for name, text in samples.BY_NAME.items()]
    return [
        Job(name, text, conventions.plan(CONVENTION, REGISTRY[name].info, WINDOW), SPLIT)
        for name in MODELS
        for text in texts
    ]


def computed(job: Job, only: str = "") -> dict[str, CorpusLoss]:
    """The loss of each part of a job, or of one `only`, by the library alone."""
    tallies: dict[str, Tally] = {}
    parts = [part for part in job.parts if only in ("", part.name)]
    for scored in score_parts(load_model(job.model), parts, job.plan):
        for window in scored.windows:
            tallies.setdefault(scored.part, Tally(job.plan)).add(window)
    return {part: tally.snapshot() for part, tally in tallies.items()}


def _as_json(result: CorpusLoss) -> dict[str, Any]:
    values = {field.name: getattr(result, field.name) for field in fields(result) if field.name != "plan"}
    return {name: _rounded(value) for name, value in values.items()}


def _rounded(value: Any) -> Any:
    if isinstance(value, tuple):
        return [_rounded(each) for each in value]
    return round(value, 4) if isinstance(value, float) else value


if __name__ == "__main__":
    found = [
        {"key": recorded.key_of(job), "parts": {part: _as_json(result) for part, result in computed(job).items()}}
        for job in jobs()
    ]
    recorded.FILE.write_text("[\n" + ",\n".join(map(json.dumps, found)) + "\n]\n", "utf-8")
