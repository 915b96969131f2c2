"""Shapes in the library's types are checked while tests run; models and servers are made once."""

import os
import signal

# Programs that a test starts compute in threads, beside other tests: a thread that waits sleeps, and does not spin.
os.environ.setdefault("OMP_WAIT_POLICY", "passive")

import pytest
import torch
from jaxtyping import install_import_hook

import tests.helpers.typechecker  # noqa: F401  # the hook takes it by its name

install_import_hook("gptloss", "tests.helpers.typechecker.checked")

from hypothesis import settings  # noqa: E402

from gptloss import ScoredBatch, load_model, score  # noqa: E402
from gptloss.models import LanguageModel, ModelInfo  # noqa: E402
from gptloss.models.architectures.gpt2 import GPT2, GPTConfig, untrained  # noqa: E402
from tests.helpers.scoring import LECTURE  # noqa: E402

# What is started in the background ignores Ctrl-C, and so would every program that a test starts and interrupts.
signal.signal(signal.SIGINT, signal.default_int_handler)

# As in the app: the same numbers to the last digit in every test, and no threads that wait for each other.
torch.set_num_threads(1)
# No test hangs on what was quick on this machine; those of the choice itself say otherwise.
os.environ["GPTLOSS_KERNEL"] = "torch"

# Machines differ; a timed test is a test of the machine. The gate tries the same cases each time.
settings.register_profile("untimed", deadline=None, derandomize="CI" in os.environ)
settings.load_profile("untimed")


@pytest.fixture(scope="session")
def gpt2() -> LanguageModel:
    """The lecture's model, all 162 million weights."""
    return load_model("gpt2-untrained")


@pytest.fixture(scope="session")
def lecture(gpt2: LanguageModel) -> ScoredBatch:
    """The lecture's two rows, scored."""
    return score(gpt2, *LECTURE)


@pytest.fixture(scope="session")
def tiny() -> LanguageModel:
    """The same architecture, small and quick; context 16."""
    config = GPTConfig(context_length=16, emb_dim=32, n_heads=2, n_layers=2)
    return GPT2(ModelInfo("tiny", "Tiny", "random weights", 50257, 16, 0), untrained(config))
