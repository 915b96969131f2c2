"""Any causal language model that transformers knows, read from a folder on the disk and run in float32."""

import copy
import re
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cached_property
from logging import CRITICAL
from pathlib import Path
from threading import Lock
from typing import Any

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn
from transformers import CONFIG_MAPPING, AutoModelForCausalLM, PreTrainedModel, __version__
from transformers.models.auto.modeling_auto import MODEL_FOR_CAUSAL_LM_MAPPING_NAMES
from transformers.utils import logging

from gptloss.errors import GptlossError
from gptloss.models.architectures.reader import Cached, Recomputed
from gptloss.models.base import ModelInfo, Reader
from gptloss.models.checkpoints import weights
from gptloss.tokens import Tokenizer

# from_pretrained changes global functions of torch while it runs, and _quiet global settings.
_ONE_AT_A_TIME = Lock()
# Rotary positions whose angles change with the length of the text, and so the keys already in a cache.
MOVING = ("dynamic", "longrope")


class Transformers:
    """A transformers model as a `LanguageModel`: in evaluation mode, its weights frozen.

    What an architecture does to the logits after the last layer (scaling, soft-capping) is a part of `head`:
    that is the model's own forward pass with the body taken out. Both halves share the weights.
    """

    def __init__(self, info: ModelInfo, network: PreTrainedModel, tokenizer: Tokenizer) -> None:
        self.info = info
        self.network = network.train(False).requires_grad_(False)
        self.tokenizer = tokenizer
        self._head = copy.copy(network)
        outputs = type(self._body(torch.zeros(1, 1, dtype=torch.long)))
        self._head._modules = network._modules | {network.base_model_prefix: _Given(outputs)}

    @torch.no_grad()
    def hidden(self, ids: Int[Tensor, "b t"]) -> Float[Tensor, "b t d"]:
        return self._body(ids).last_hidden_state

    @torch.no_grad()
    def head(self, hidden: Float[Tensor, "n d"]) -> Float[Tensor, "n v"]:
        return self._head(inputs_embeds=hidden[None], use_cache=False, return_dict=True).logits[0]

    def reader(self) -> Reader:
        return Cached(self.info, _Past(self.network.base_model)) if self._has_cache else Recomputed(self)

    @property
    def moves(self) -> bool:
        """Whether the angles of all positions change with the length of the longest row that is read."""
        return any(kind in str(getattr(self.network.config, "rope_parameters", "")) for kind in MOVING)

    @cached_property
    def _has_cache(self) -> bool:
        """Whether reading on the network's own cache gives the states of reading anew; tried on a few tokens."""
        if self.moves:
            return False
        ids = torch.arange(8) * 7919 % self.info.vocab_size
        reader = Cached(self.info, _Past(self.network.base_model))
        with _quiet():
            try:
                states = torch.cat([reader.read(piece) for piece in torch.split(ids, [4, 1, 3])])
            except Exception:  # an architecture may fail in any way
                return False
            return _close(states, self.hidden(ids[None])[0], 1e-5)

    def _body(self, ids: Int[Tensor, "b t"]) -> Any:
        return self.network.base_model(**_whole(ids))


class _Past:
    """A network's body and its cache of what it has read; each call reads on from there."""

    def __init__(self, body: nn.Module) -> None:
        self._body = body
        self._before = 0
        self._cache: Any = None

    @torch.no_grad()
    def __call__(self, ids: Int[Tensor, "1 t"]) -> Float[Tensor, "1 t d"]:
        self._before += ids.shape[1]
        mask = torch.ones(1, self._before, dtype=torch.long)
        given = _whole(ids) | {"attention_mask": mask, "use_cache": True, "past_key_values": self._cache}
        outputs = self._body(**given)
        self._cache = outputs.past_key_values
        return outputs.last_hidden_state


class _Given(nn.Module):
    """Stands in for a model's body and gives back the states that it was given."""

    def __init__(self, outputs: type[Any]) -> None:
        super().__init__()
        self.outputs = outputs

    @property
    def decoder(self) -> "_Given":
        """Some heads, like OPT's, call a part of the body."""
        return self

    def forward(self, *_: Any, inputs_embeds: Tensor, **__: Any) -> Any:
        return self.outputs(last_hidden_state=inputs_embeds)


def _whole(ids: Int[Tensor, "b t"]) -> dict[str, Any]:
    """The arguments of a plain forward pass. By the mask every token counts, even one that looks like padding."""
    return {"input_ids": ids, "attention_mask": torch.ones_like(ids), "use_cache": False, "return_dict": True}


def load(info: ModelInfo, folder: Path, tokenizer: Tokenizer) -> Transformers:
    """The model of a checkpoint folder, safetensors only; no code of the checkpoint is run.

    Raises `GptlossError` for a checkpoint that is damaged or not whole, and for a model that transformers does
    not know, that is not causal or that does not give the same logits in one piece and in two.
    """
    weights.headers(folder)
    check_config(weights.read_json(folder / "config.json"), f"The model in {folder}")
    weights.check_numbers(folder)
    with _quiet():
        network = _read(folder)
        try:
            model = Transformers(info, network, tokenizer)
            problem = _problem(model)
        except Exception as error:  # an architecture may fail in any way
            raise GptlossError(f"The model in {folder} cannot be run ({_reason(error)}); choose another.") from error
    if problem:
        raise GptlossError(f"The model in {folder} {problem}.")
    return model


def check_config(config: dict[str, Any], called: str) -> None:
    """Raise `GptlossError`, with what the model is called, unless transformers can run what a config.json states."""
    kind = str(config.get("model_type", ""))
    if config.get("quantization_config"):
        problem = "is quantised (quantization_config in config.json); fetch it in float32, float16 or bfloat16"
    elif isinstance(config.get("bos_token_id"), list):
        problem = (
            f"states several start tokens, bos_token_id {config['bos_token_id']}; write one into its config.json"
        )
    elif kind in MODEL_FOR_CAUSAL_LM_MAPPING_NAMES and not config.get("is_encoder_decoder"):
        return
    elif kind in CONFIG_MAPPING:
        problem = f"is no causal language model but {kind}; choose one that predicts the next token"
    elif config.get("auto_map"):
        problem = "needs its own code (auto_map in config.json), and such code is never run; choose another model"
    else:
        problem = f"is of the architecture {kind!r}, unknown to transformers {__version__}; try a newer transformers"
    raise GptlossError(f"{called} {problem}.")


def _read(folder: Path) -> PreTrainedModel:
    try:
        loaded: Any = AutoModelForCausalLM.from_pretrained(
            folder,
            local_files_only=True,
            use_safetensors=True,
            trust_remote_code=False,
            dtype=torch.float32,
            ignore_mismatched_sizes=True,  # they are told below, with their shapes
            output_loading_info=True,
        )
    except Exception as error:  # from_pretrained has no class of its own
        raise GptlossError(
            f"The model in {folder} cannot be loaded ({_reason(error)}); fetch or save it again."
        ) from error
    network, found = loaded
    _check_tensors(found, network, folder)
    return network


def _check_tensors(found: dict[str, Any], network: nn.Module, folder: Path) -> None:
    for name, stored, wanted in sorted(found["mismatched_keys"]):
        raise GptlossError(
            f"In {_file(folder, name)} the tensor {name} has shape {list(stored)}, and config.json asks for"
            f" {list(wanted)}; the two files do not belong together."
        )
    for name in sorted(found["missing_keys"]):
        raise GptlossError(
            f"{_file(folder, name)} has no tensor {name}, which config.json asks for; fetch or save the model again."
        )
    modules = {_like(name) for name, _ in network.named_modules()}
    for name in sorted(found["unexpected_keys"]):
        # A part that the network has not at all, like the eyes of one that also sees, changes no number.
        if _like(name).rpartition(".")[0] in modules - {""} and not name.endswith(weights.BUFFERS):
            raise GptlossError(
                f"{_file(folder, name)} has a tensor {name} that config.json does not ask for; the two files do not"
                " belong together."
            )


def _like(name: str) -> str:
    """The name of a tensor or module without its numbers, so that all layers have the same name."""
    return re.sub(r"\d+", "0", name)


def _file(folder: Path, tensor: str) -> Path:
    """The file that a tensor is in, or the one that would say where it is."""
    stored = weights.headers(folder).get(tensor)
    index = folder / weights.INDEX
    return stored.file if stored else index if index.exists() else folder / weights.SINGLE


def _problem(model: Transformers) -> str:
    """What is wrong with the model, found out on a few tokens; empty if nothing is."""
    ids = torch.arange(8)[None] * 7919 % model.info.vocab_size
    other = torch.cat([ids[:, :-1], ids[:, -1:] + 1], -1) % model.info.vocab_size
    hidden, logits = model.hidden(ids), model.network(**_whole(ids)).logits
    if logits.isnan().any():
        return "gives logits that are no numbers; fetch or save it again"
    if logits.shape[-1] != model.info.vocab_size:
        return f"has {logits.shape[-1]:,} logits and {model.info.vocab_size:,} tokens were expected"
    if not _close(hidden[:, :-1], model.hidden(other)[:, :-1], 1e-5):
        return "is not causal: a token changes the states before it; choose one that predicts the next token"
    if not _close(model.head(hidden[0]), logits[0], 1e-4):
        return "cannot be split into states and head: the logits of the parts differ from those of the whole"
    return ""


def _close(one: Tensor, other: Tensor, tolerance: float) -> bool:
    """Whether two tensors agree, measured by the largest number in them."""
    return one.shape == other.shape and bool((one - other).abs().max() <= tolerance * (1 + one.abs().max()))


def _reason(error: Exception) -> str:
    """The first line of an error, without its full stop; the next one too, if the first announces it."""
    first, *more = (str(error).strip() or type(error).__name__).splitlines()
    return " ".join([first, *more[: first.endswith(":")]]).rstrip(".")


@contextmanager
def _quiet() -> Iterator[None]:
    """No warning, log line or progress bar of transformers in the block, and one block at a time."""
    with _ONE_AT_A_TIME, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        level, bars = logging.get_verbosity(), logging.is_progress_bar_enabled()
        logging.set_verbosity(CRITICAL)
        logging.disable_progress_bar()  # type: ignore[no-untyped-call]
        try:
            yield
        finally:
            logging.set_verbosity(level)
            if bars:
                logging.enable_progress_bar()  # type: ignore[no-untyped-call]
