"""gptloss: how a language model turns text into one number, the loss.

    from gptloss import load_model, score
    batch = score(load_model("gpt2-untrained"), "every effort moves you")
    batch.target_probas, batch.loss, batch.perplexity

Each name is imported when it is first used, so `import gptloss` is quick and loads no torch.
"""

TYPE_CHECKING = False  # typing's own takes 3 ms to import, and nobody watches for Ctrl-C before this file is read

if TYPE_CHECKING:
    from gptloss.errors import GptlossError
    from gptloss.models import load_model
    from gptloss.prediction.sampling import Sampler, generate
    from gptloss.scoring.batch import ScoredBatch
    from gptloss.scoring.score import score
    from gptloss.tokens import Token

__version__ = "0.4.0"
__all__ = ["GptlossError", "Sampler", "ScoredBatch", "Token", "generate", "load_model", "score"]

_HOME = {
    "GptlossError": "gptloss.errors",
    "Sampler": "gptloss.prediction.sampling",
    "ScoredBatch": "gptloss.scoring.batch",
    "Token": "gptloss.tokens",
    "generate": "gptloss.prediction.sampling",
    "load_model": "gptloss.models",
    "score": "gptloss.scoring.score",
}


def __getattr__(name: str) -> object:
    if name not in _HOME:
        raise AttributeError(f"module 'gptloss' has no attribute {name!r}")
    from importlib import import_module

    return getattr(import_module(_HOME[name]), name)
