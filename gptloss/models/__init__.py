"""The models by name. A backend, and torch with it, is imported when it is asked for."""

from collections.abc import Callable
from dataclasses import dataclass

from gptloss.errors import GptlossError
from gptloss.models.base import LanguageModel, ModelInfo
from gptloss.tokens import Tokenizer, gpt2_tokenizer

__all__ = ["DEFAULT_MODEL", "REGISTRY", "Entry", "LanguageModel", "ModelInfo", "load_model"]

DEFAULT_MODEL = "gpt2-untrained"


@dataclass(frozen=True)
class Entry:
    """A model that can be asked for by name: its tokenizer, which is quick to make, and the model itself."""

    info: ModelInfo
    tokenizer: Callable[[], Tokenizer]
    load: Callable[[ModelInfo], LanguageModel]


def _gpt2_untrained(info: ModelInfo) -> LanguageModel:
    from gptloss.models.gpt2 import GPT2, GPTConfig, untrained

    config = GPTConfig(vocab_size=info.vocab_size, context_length=info.context_length)
    return GPT2(info, untrained(config, seed=123))


REGISTRY: dict[str, Entry] = {
    DEFAULT_MODEL: Entry(
        ModelInfo(
            name=DEFAULT_MODEL,
            title="GPT-2 124M, untrained",
            weights="random weights, seed 123",
            vocab_size=50_257,
            context_length=256,
            parameters=162_419_712,
        ),
        gpt2_tokenizer,
        _gpt2_untrained,
    )
}


def load_model(name: str = DEFAULT_MODEL) -> LanguageModel:
    """The model called `name`, ready to score. Raises `GptlossError` for a name nobody knows."""
    if name not in REGISTRY:
        raise GptlossError(f"There is no model called {name!r}. Models: {', '.join(REGISTRY)}.")
    entry = REGISTRY[name]
    return entry.load(entry.info)
