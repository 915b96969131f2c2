"""The settings of "Training"."""

from dataclasses import dataclass
from typing import Literal

from gptloss.training.recorded import NAMES
from views.visit.fields.kinds import Decimal, OneOf, Whole, setting

LAST = 1_400
Mode = Literal["replay", "live"]
Schedule = Literal["constant", "cosine"]
# What the controls of a live run offer.
WIDTHS, LAYERS, HEADS = (32, 64, 96, 128, 192, 256), (1, 2, 3, 4, 6), (1, 2, 4, 8)
CONTEXTS, BATCHES = (16, 32, 64, 128), (4, 8, 16, 32)
VOCABULARIES = (256, 512, 1_024, 2_048)
RATES = (1e-4, 2e-4, 5e-4, 1e-3, 2e-3, 5e-3, 1e-2, 2e-2, 5e-2)
BUDGETS = (15, 30, 60, 120, 300)


@dataclass(frozen=True)
class TrainingFields:
    """Which recorded run is shown and how far it has come, and what a live run is made from."""

    mode: Mode = setting("replay", OneOf("mode", Mode), "recorded runs, or one that trains now")
    run: str = setting("small", OneOf("run", NAMES), "the recorded training run")
    beside: str = setting("none", OneOf("beside", ("none", *NAMES)), "a second run whose losses are drawn dotted")
    moment: int = setting(800, Whole("moment", 0, LAST), "the step of the run that is shown")
    vocabulary: int = setting(256, OneOf("vocabulary", VOCABULARIES), "tokens of a live run; 256 are single bytes")
    width: int = setting(128, OneOf("width", WIDTHS), "numbers in a hidden state of a live run")
    layers: int = setting(3, OneOf("layers", LAYERS), "layers of a live run")
    heads: int = setting(4, OneOf("heads", HEADS), "attention heads of a layer of a live run")
    context: int = setting(64, OneOf("context", CONTEXTS), "tokens that a live run reads at once")
    windows: int = setting(16, OneOf("windows", BATCHES), "windows in a batch of a live run")
    step_rate: float = setting(2e-3, Decimal("steprate", RATES[0], RATES[-1]), "learning rate of a live run")
    schedule: Schedule = setting("cosine", OneOf("schedule", Schedule), "how that rate changes in a live run")
    train_seed: int = setting(123, Whole("trainseed", 0, 2**31 - 1), "seed of a live run")
    steps: int = setting(400, Whole("steps", 10, 5_000), "steps of a live run")
    budget: int = setting(60, OneOf("budget", BUDGETS), "seconds that a live run may take")
