"""Shapes in the library's types are checked while tests run; models and servers are made once."""

import os
import re
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from jaxtyping import install_import_hook

install_import_hook(
    [
        "gptloss.measures",
        "gptloss.scoring.score",
        "gptloss.corpus.scoring",
        "gptloss.corpus.log",
        "gptloss.scoring.states",
        "gptloss.models.architectures.gpt2",
        "gptloss.models.architectures.llama",
        "gptloss.models.fast.kernels",
        "gptloss.models.fast.layers",
        "gptloss.models.fast.measure",
        "gptloss.models.architectures.tied",
        "gptloss.models.architectures.toy",
        "gptloss.models.architectures.reader",
        "gptloss.prediction.distribution",
    ],
    "beartype.beartype",
)

from hypothesis import settings  # noqa: E402
from playwright.sync_api import Browser, BrowserContext, ConsoleMessage, Page, expect  # noqa: E402
from tokenizers import Tokenizer  # noqa: E402
from tokenizers.decoders import ByteLevel as ByteLevelDecoder  # noqa: E402
from tokenizers.models import BPE  # noqa: E402
from tokenizers.pre_tokenizers import ByteLevel  # noqa: E402

from gptloss import ScoredBatch, load_model, score  # noqa: E402
from gptloss.models import LanguageModel, ModelInfo  # noqa: E402
from gptloss.models.architectures.gpt2 import GPT2, GPTConfig, untrained  # noqa: E402
from tests.browser import driver as browsing  # noqa: E402

# What is started in the background ignores Ctrl-C, and so would every program that a test starts and interrupts.
signal.signal(signal.SIGINT, signal.default_int_handler)

# As in the app: the same numbers to the last digit in every test, and no threads that wait for each other.
torch.set_num_threads(1)
# No test hangs on what was quick on this machine; those of the choice itself say otherwise.
os.environ["GPTLOSS_KERNEL"] = "torch"

# Machines differ; a timed test is a test of the machine. The gate tries the same cases each time.
settings.register_profile("untimed", deadline=None, derandomize="CI" in os.environ)
settings.load_profile("untimed")

TIMEOUT = 15_000
expect.set_options(timeout=TIMEOUT)
OURS = ("http://127.0.0.1:", "blob:", "data:")
LECTURE = (["every effort moves", "I really like"], [" effort moves you", " really like chocolate"])


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


def byte_tokenizer_json(v: int) -> str:
    """A tokenizer.json with v entries: one a byte, as GPT-2 spells bytes, and words that no text has."""
    alphabet = sorted(ByteLevel.alphabet())
    words = [*alphabet, *(f"word{n}" for n in range(v - len(alphabet)))]
    tokenizer = Tokenizer(BPE({word: id for id, word in enumerate(words)}, []))
    tokenizer.pre_tokenizer = ByteLevel(add_prefix_space=False)
    tokenizer.decoder = ByteLevelDecoder()
    return str(tokenizer.to_str())


@pytest.fixture(scope="session")
def chromium() -> Iterator[Browser]:
    """A headless Chromium; tests that use it are skipped where there is none."""
    if browsing.chromium_path() is None:
        pytest.skip("no Chromium found: install chromium or google-chrome to run the browser tests")
    with browsing.chromium() as browser:
        yield browser


@pytest.fixture(scope="session")
def app(tmp_path_factory: pytest.TempPathFactory) -> Iterator[browsing.Server]:
    """One running app for all browser tests that do not need a fresh one."""
    with browsing.server(tmp_path_factory.mktemp("app") / "server.log") as server:
        yield server


@pytest.fixture
def log_file(tmp_path: Path) -> Path:
    """Where a fresh server may log."""
    return tmp_path / "server.log"


@pytest.fixture(scope="session")
def window(chromium: Browser) -> Iterator[BrowserContext]:
    """Where pages are opened: Streamlit's 7.7 MB are fetched once."""
    with chromium.new_context(viewport={"width": 1280, "height": 720}) as context:
        yield context


@pytest.fixture
def page(window: BrowserContext) -> Iterator[Page]:
    """A page whose console must stay silent and that must ask nobody but the server."""
    complaints: list[str] = []
    page = window.new_page()
    page.set_default_timeout(TIMEOUT)

    def on_console(message: ConsoleMessage) -> None:
        url = message.location.get("url", "")
        # Streamlit's own search for its server, on a page that is opened directly.
        probe = re.search(r":\d+/\w+/_stcore/(health|host-config)$", url)
        if message.type in {"error", "warning"} and not probe:
            complaints.append(f"{message.text} {url}")

    page.on("console", on_console)
    page.on("pageerror", lambda error: complaints.append(str(error)))
    page.on("request", lambda r: None if r.url.startswith(OURS) else complaints.append(r.url))
    yield page
    found = list(complaints)  # a server that the test had started has gone by now, and the page complains of that
    page.close()
    assert found == []
