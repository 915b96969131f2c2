"""The lecture's GPT-2: random weights from seed 123, made once, kept in a file and mapped from it."""

from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from gptloss.errors import GptlossError
from gptloss.models.base import Entry, Files, ModelInfo
from gptloss.models.checkpoints import weights
from gptloss.models.downloads import store
from gptloss.tokens import GPT2_FILE, gpt2_tokenizer

if TYPE_CHECKING:
    from gptloss.models.architectures.gpt2 import GPT2, GPTConfig, GPTModel

NAME = "gpt2-untrained"
SEED = 123
INFO = ModelInfo(
    name=NAME,
    title="GPT-2, untrained",
    weights=f"random weights, seed {SEED}",
    vocab_size=50_257,
    context_length=256,
    parameters=162_419_712,
    size=649_700_000,
    architecture="gpt2",
    licence="MIT",
    source="made on this machine",
    bos_id=50_256,
    bos_source="<|endoftext|> separated the documents of WebText (Radford et al. 2019)",
    eos_ids=(50_256,),
)


def entry() -> Entry:
    """The lecture's model in the registry."""
    return Entry(INFO, gpt2_tokenizer, load, remove=lambda: store.remove(NAME), files=files)


def files() -> Files:
    """The kept weights; none if they could not be kept or are damaged, because then they are made anew."""
    kept = store.folder(NAME)
    try:
        weights.headers(kept)
    except GptlossError:
        return Files(tokenizer=(GPT2_FILE,))
    return Files(weights.files(kept), (GPT2_FILE,))


def load() -> "GPT2":
    """The model, from the kept weights if they are there and whole."""
    from gptloss.models.architectures.gpt2 import GPT2, GPTConfig, untrained

    config = GPTConfig(vocab_size=INFO.vocab_size, context_length=INFO.context_length)
    kept = store.folder(NAME)
    if kept.is_dir():
        with suppress(GptlossError):  # damaged: made again
            return GPT2(INFO, _read(kept, config))
    network = untrained(config, SEED)
    with (
        suppress(GptlossError),
        store.making(NAME, INFO.size) as folder,
    ):  # a full disk only costs the next start time
        weights.save(network.state_dict().items(), folder / weights.SINGLE)
    return GPT2(INFO, network)


def _read(folder: Path, config: "GPTConfig") -> "GPTModel":
    from gptloss.models.architectures.gpt2 import GPTModel
    from gptloss.models.checkpoints import skeleton

    with skeleton.unfilled():
        network = GPTModel(config)
    skeleton.fill(network, folder)
    return network
