"""Training runs that were recorded: their curves, samples and probabilities, and of one also its weights on the way.

`python -m tests.helpers.record_runs` makes the files anew; tests run the first steps again. Nothing is trained here,
so a run looks the same on every machine.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gptloss.errors import GptlossError
from gptloss.models.base import LanguageModel
from gptloss.tokens import ByteTokenizer
from gptloss.training.recipe import Recipe
from gptloss.training.recipe import from_json as recipe_from_json
from gptloss.training.snapshot import Baselines, Followed, Snapshot
from gptloss.training.snapshot import from_json as snapshot_from_json

if TYPE_CHECKING:
    from torch import Tensor

FOLDER = Path(__file__).parent.parent / "data" / "runs"
# In the order in which they teach; the first one has its weights.
NAMES = ("small", "rate", "dropout", "book")
# It is over-fitting if in the end the validation loss has risen and the training loss has fallen by so many nats.
TURNED = 0.05
# Steps whose weights are kept, in 16 bits.
KEPT = (0, 20, 40, 80, 120, 180, 260, 360, 480, 640, 800, 1000, 1200, 1400)
# Of a text at most so many tokens are followed.
MOST_TOKENS = 48


@dataclass(frozen=True)
class RecordedRun:
    """A run as it was: what it was made from, and every look at it.

    `batches` is the number of steps in an epoch, `watched` are the texts whose tokens were followed, `kept` the steps
    whose weights are here, and `versions` what computed it.
    """

    name: str
    title: str
    text: str
    text_sha256: str
    recipe: Recipe
    batches: int
    vocab_size: int
    parameters: int
    baselines: Baselines
    watched: tuple[str, ...]
    kept: tuple[int, ...]
    versions: dict[str, str]
    snapshots: tuple[Snapshot, ...]

    @cached_property
    def turn(self) -> Snapshot | None:
        """Where the validation loss was lowest, if it rose again after that: over-fitting began there."""
        return turning_point(self.snapshots)


def turning_point(snapshots: Sequence[Snapshot]) -> Snapshot | None:
    """The look with the lowest validation loss, if the training loss fell on after it and the other one rose."""
    best = min(snapshots, key=lambda snapshot: snapshot.val_loss, default=None)
    if best is None:
        return None
    rose = snapshots[-1].val_loss - best.val_loss
    fell = best.train_loss - snapshots[-1].train_loss
    return best if min(rose, fell) > TURNED else None


@lru_cache(maxsize=len(NAMES))
def recorded_run(name: str) -> RecordedRun:
    """The run called `name`. Raises `GptlossError` for a name that there is not."""
    if name not in NAMES:
        raise GptlossError(f"There is no recorded run called {name!r}. Recorded runs: {', '.join(NAMES)}.")
    data: dict[str, Any] = json.loads((FOLDER / f"{name}.json").read_text("utf-8"))
    data["recipe"] = recipe_from_json(data["recipe"])
    data["baselines"] = Baselines(**data["baselines"])
    data["snapshots"] = tuple(map(snapshot_from_json, data["snapshots"]))
    return RecordedRun(**data | {"watched": tuple(data["watched"]), "kept": tuple(data["kept"])})


@lru_cache(maxsize=len(KEPT))
def model_at(name: str, step: int) -> LanguageModel:
    """The model of a run as it was after `step` steps, which must be one of the run's `kept`."""
    from gptloss.models.architectures.gpt2 import GPTModel
    from gptloss.training.loop import as_model, config_of

    run = recorded_run(name)
    network = GPTModel(config_of(run.recipe, run.vocab_size))
    prefix = f"{step}."
    network.load_state_dict(
        {key.removeprefix(prefix): weights for key, weights in _kept(name).items() if key.startswith(prefix)}
    )
    return as_model(network, ByteTokenizer(), f"{name}-{step}", run.title, step)


@lru_cache(maxsize=64)
def followed(name: str, text: str) -> Followed:
    """The first tokens of a text under each of the models that a run has kept.

    A text longer than the context is read by windows that move on by half of it. Raises `GptlossError` for a text of
    fewer than two tokens.
    """
    from gptloss.scoring.rows import read_row
    from gptloss.scoring.score import score_rows

    run = recorded_run(name)
    ids = [token.id for token in ByteTokenizer().encode(text[:MOST_TOKENS])[:MOST_TOKENS]]
    if len(ids) < 2:
        raise GptlossError(f"The text {text!r} has no second letter whose probability could be followed; write more.")
    rows = []
    for step in run.kept:
        model = model_at(name, step)
        batch = score_rows(model, [read_row(model, 1, ids, None, slide=True)], run.recipe.context_length // 2)
        rows.append(tuple(batch.log_probas.tolist()))
        labels = (*batch.inputs[:1], *batch.targets)
    return Followed(text, tuple(token.label for token in labels), tuple(rows))


@lru_cache(maxsize=1)
def _kept(name: str) -> "dict[str, Tensor]":
    from gptloss.models.checkpoints import weights

    return weights.read(FOLDER / name)
