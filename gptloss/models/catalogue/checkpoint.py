"""Any checkpoint in transformers' format: a folder, or one from the Hugging Face hub."""

from collections.abc import Callable
from functools import lru_cache, partial
from pathlib import Path
from typing import Any

from gptloss.errors import GptlossError, NotHereError
from gptloss.models.base import Entry, Files, LanguageModel, ModelInfo
from gptloss.models.checkpoints import weights
from gptloss.models.checkpoints.bounds import check_sizes
from gptloss.models.checkpoints.json_tokens import json_tokenizer
from gptloss.models.checkpoints.start_token import end_ids, start_id
from gptloss.models.checkpoints.state import State, state_of
from gptloss.models.downloads import hub
from gptloss.models.names import HUB, is_of_hub, is_run
from gptloss.tokens import GPT2_FILE, Tokenizer, gpt2_tokenizer

# What the architectures call the number of tokens that can be read at once.
CONTEXT = ("max_position_embeddings", "n_positions", "max_seq_len", "max_sequence_length", "seq_length", "n_ctx")
# Without such a number the architecture has no limit; this is one that a page can show.
NO_LIMIT = 2048
# What an adapter's folder holds instead of a model.
ADAPTER = ("adapter_config.json", "adapter_model.safetensors", "adapter_model.bin")
# They cut text as GPT-2 does, so that vocab.json and merges.txt are enough to make their tokenizer.
AS_GPT2 = ("gpt2", "gpt_neo", "gptj", "opt")
# OpenAI's four sizes: title, parameters, bytes on the disk.
OPENAI = {
    "gpt2": ("GPT-2 124M", 124_439_808, 548_000_000),
    "gpt2-medium": ("GPT-2 355M", 354_823_168, 1_520_000_000),
    "gpt2-large": ("GPT-2 774M", 774_030_080, 3_250_000_000),
    "gpt2-xl": ("GPT-2 1558M", 1_557_611_200, 6_430_000_000),
}


def folder_entry(name: str) -> Entry:
    """The checkpoint in the folder called `name`.

    Raises `GptlossError` for a folder that is not there or holds no such checkpoint.
    """
    try:
        folder = Path(name).expanduser()
        found = folder.is_dir()
    except (OSError, RuntimeError, ValueError):  # a name too long, an unknown user, a name no folder can have
        found = False
    if not found:
        raise GptlossError(f"There is no folder {name[:200]}; give the folder that holds config.json.")
    return _entry(name, folder)


def folder_entry_called(name: str, folder: Path) -> Entry:
    """The checkpoint of a folder under another name. Raises `GptlossError` if it holds none."""
    return _entry(name, folder)


def hub_entry(name: str) -> Entry:
    """`hf:owner/name`. Raises `NotHereError` until it has been pulled."""
    return _entry(name, hub.folder(name.removeprefix(HUB), name))


def _entry(name: str, folder: Path) -> Entry:
    info, tokenizer = _read(name, folder)
    return Entry(info, tokenizer, partial(_load, info, folder, tokenizer), files=partial(_files, info, folder))


def _files(info: ModelInfo, folder: Path) -> Files:
    tokenizer = _tokenizer_files(folder, info.architecture, info.vocab_size)
    return Files(weights.files(folder), tokenizer, (folder / "config.json",))


def openai_entry(name: str) -> Entry:
    """One of OpenAI's four GPT-2s, from the hub; all share the vocabulary that ships with gptloss."""
    title, parameters, size = OPENAI[name]
    repo = f"openai-community/{name}"
    info = ModelInfo(
        name=name,
        title=title,
        weights="pretrained by OpenAI",
        vocab_size=50_257,
        context_length=1024,
        parameters=parameters,
        size=size,
        architecture="gpt2",
        licence="MIT",
        source=f"{HUB}{repo}",
        bos_id=50_256,
        bos_source="<|endoftext|> separated the documents of WebText (Radford et al. 2019)",
        eos_ids=(50_256,),
    )
    return Entry(
        info,
        gpt2_tokenizer,
        lambda: _load(info, hub.folder(repo, name), gpt2_tokenizer),
        lambda: _is_here(repo, name),
        partial(hub.pull, repo, name),
        partial(hub.remove, repo),
        files=lambda: _openai_files(hub.folder(repo, name)),
    )


def _openai_files(folder: Path) -> Files:
    return Files(weights.files(folder), (GPT2_FILE,), (folder / "config.json",))


def _is_here(repo: str, name: str) -> bool:
    try:
        hub.folder(repo, name)
    except NotHereError:
        return False
    return True


def _read(name: str, folder: Path) -> tuple[ModelInfo, Callable[[], Tokenizer]]:
    """What a checkpoint says of itself, and how to make its tokenizer. Raises `GptlossError`.

    A page asks for this at every click, and the headers of large weights take milliseconds to parse, so what was
    read is remembered until a file of the folder changes.
    """
    try:
        return _read_files(name, folder.absolute(), state_of(folder))
    except OSError as error:
        raise GptlossError(f"{folder} cannot be read ({error.strerror}); choose another folder.") from error


@lru_cache(maxsize=64)
def _read_files(name: str, folder: Path, _state: State) -> tuple[ModelInfo, Callable[[], Tokenizer]]:
    _check_whole(folder)
    config = weights.read_json(folder / "config.json")
    architecture, v, text = _stated(config, folder)
    stored = weights.headers(folder)
    bos_id, bos_source = start_id(folder, text, v)
    info = ModelInfo(
        name=name,
        title=name if is_run(name) else name.removeprefix(HUB) if is_of_hub(name) else folder.resolve().name,
        weights="pretrained" if is_of_hub(name) else "trained here" if is_run(name) else "from a folder",
        vocab_size=v,
        context_length=_context_length(architecture, text),
        parameters=_parameters(stored, config.get("tie_word_embeddings", True)),
        size=sum(file.stat().st_size for file in weights.files(folder)),
        architecture=architecture,
        source=name,
        bos_id=bos_id,
        bos_source=bos_source,
        eos_ids=end_ids(folder, text, v),
    )
    return info, partial(_tokenizer, folder, architecture, v)


def _check_whole(folder: Path) -> None:
    """Raise `GptlossError` for what training with LoRA leaves: the changes to a model, without the model."""
    adapter = next((folder / name for name in ADAPTER if (folder / name).is_file()), None)
    parts = [(folder / name).is_file() for name in ("config.json", weights.SINGLE, weights.INDEX)]
    if adapter is None or (parts[0] and any(parts[1:])):
        return
    base = weights.read_json(adapter).get("base_model_name_or_path") if adapter.suffix == ".json" else None
    raise GptlossError(
        f"{folder} is an adapter ({adapter.name}) and no whole model; merge it into its base model"
        f"{f', {base}' if base else ''} (`merge_and_unload` of peft) and save that with its tokenizer."
    )


def _stated(config: dict[str, Any], folder: Path) -> tuple[str, int, dict[str, Any]]:
    """The architecture, V, and the part of a config.json that is about text. Raises `GptlossError`."""
    text = config.get("text_config", config)  # models that also see pictures keep theirs apart
    text = text if isinstance(text, dict) else {}
    for part in (config, text):
        check_sizes(part, folder / "config.json")
    architecture = config.get("model_type")
    v = text.get("vocab_size")
    if not isinstance(architecture, str) or not isinstance(v, int) or v < 1:
        missing = "vocab_size" if isinstance(architecture, str) else "model_type"
        raise GptlossError(f"{folder / 'config.json'} states no {missing}; is it a model saved by transformers?")
    return architecture, v, text


def check(name: str, folder: Path) -> None:
    """Raise `GptlossError` for a checkpoint whose config or tokenizer cannot be used."""
    config = weights.read_json(folder / "config.json")
    architecture, v, _ = _stated(config, folder)
    from gptloss.models.checkpoints import gpt2

    if gpt2.is_ours(config):
        gpt2.sizes(config)
    else:
        from gptloss.models.checkpoints import hf

        hf.check_config(config, name)
    _tokenizer(folder, architecture, v)


def _context_length(architecture: str, config: dict[str, Any]) -> int:
    stated = [config[name] for name in CONTEXT if isinstance(config.get(name), int) and config[name] > 0]
    return next(iter(stated), 1024 if architecture == "gpt2" else NO_LIMIT)


def _parameters(stored: dict[str, weights.Stored], tied: bool) -> int:
    """Files may also hold the causal masks, as OpenAI's do, and a tied head may be stored twice."""
    numbers = sum(tensor.numel for name, tensor in stored.items() if not name.endswith(weights.BUFFERS))
    return numbers - (stored[weights.HEAD].numel if tied and weights.stored_twice(stored, weights.HEAD) else 0)


def _tokenizer(folder: Path, architecture: str, v: int) -> Tokenizer:
    file = _tokenizer_files(folder, architecture, v)[0]
    return gpt2_tokenizer() if file == GPT2_FILE else json_tokenizer(file, v)


def _tokenizer_files(folder: Path, architecture: str, v: int) -> tuple[Path, ...]:
    """What the tokens are read from. Raises `GptlossError` if there is no such file."""
    if (folder / "tokenizer.json").exists():
        return (folder / "tokenizer.json",)
    parts = (folder / "vocab.json", folder / "merges.txt")
    if architecture in AS_GPT2 and all(part.exists() for part in parts):
        return parts
    if architecture == "gpt2" and v == gpt2_tokenizer().vocab_size:
        return (GPT2_FILE,)
    raise GptlossError(
        f"{folder} has no tokenizer.json, from which the tokens are read; save the model again with its fast"
        " tokenizer, or choose another."
    )


def _load(info: ModelInfo, folder: Path, tokenizer: Callable[[], Tokenizer]) -> LanguageModel:
    """GPT-2 through our own model, everything else through transformers. Raises `GptlossError`."""
    weights.check_memory(info.name, 4 * info.parameters)
    config = weights.read_json(folder / "config.json")
    from gptloss.models.checkpoints import gpt2

    if gpt2.is_ours(config):
        from gptloss.models.architectures.gpt2 import GPT2

        return GPT2(info, gpt2.from_folder(folder, config), tokenizer())
    from gptloss.models.checkpoints import hf

    return hf.load(info, folder, tokenizer())
