"""What the texts that ship with gptloss cost under the lecture's two models, recorded: a page shows it at once.

`python -m tests.helpers.recorded` writes the file anew; a test computes a part of it again.
"""

import json
from dataclasses import asdict
from functools import lru_cache
from pathlib import Path
from typing import Any

from gptloss.corpus.conventions import Plan
from gptloss.corpus.job import Job
from gptloss.corpus.tally import CorpusLoss

FILE = Path(__file__).parent.parent / "data" / "recorded_losses.json"
# So many nats per token a loss that is computed here may lie from the recorded one: another processor adds in another
# order.
CLOSE = 1e-3


def recorded(job: Job) -> dict[str, CorpusLoss]:
    """The loss of each part, if exactly this was recorded; else nothing."""
    return next((parts for key, parts in _all() if key == key_of(job)), {})


def key_of(job: Job) -> dict[str, Any]:
    """What a recorded result belongs to: the model, the text by its checksum, the split and the convention."""
    return {"model": job.model, "texts": job.texts.digest, "split": job.split, "plan": asdict(job.plan)}


@lru_cache(maxsize=1)
def _all() -> tuple[tuple[dict[str, Any], dict[str, CorpusLoss]], ...]:
    return tuple(
        (entry["key"], {part: _loss(entry["key"]["plan"], values) for part, values in entry["parts"].items()})
        for entry in json.loads(FILE.read_text("utf-8"))
    )


def _loss(plan: dict[str, Any], values: dict[str, Any]) -> CorpusLoss:
    lists: dict[str, Any] = {name: tuple(each) if isinstance(each, list) else each for name, each in values.items()}
    return CorpusLoss(plan=Plan(**plan), **lists)
