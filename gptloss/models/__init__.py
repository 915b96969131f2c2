"""The models by name. A backend, and torch with it, is imported when it is asked for."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from gptloss.errors import GptlossError

if TYPE_CHECKING:
    from gptloss.models.base import LanguageModel

DEFAULT_MODEL = "gpt2-untrained"


@dataclass(frozen=True)
class Entry:
    """A model that can be asked for by name: its title for people, and how to make it."""

    title: str
    load: "Callable[[], LanguageModel]"


def _gpt2_untrained() -> "LanguageModel":
    from gptloss.models.gpt2 import GPT2, untrained

    return GPT2(untrained(), DEFAULT_MODEL)


REGISTRY: dict[str, Entry] = {DEFAULT_MODEL: Entry("GPT-2 124M, untrained", _gpt2_untrained)}


def load_model(name: str = DEFAULT_MODEL) -> "LanguageModel":
    """The model called `name`, ready to score. Raises `GptlossError` for a name nobody knows."""
    if name not in REGISTRY:
        raise GptlossError(f"There is no model called {name!r}. Models: {', '.join(REGISTRY)}.")
    return REGISTRY[name].load()
