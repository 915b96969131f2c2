"""A run on the disk: the model as transformers has it, and the checkpoint from which the run goes on.

In the folder of a run lie model.safetensors, config.json and tokenizer.json, which any tool opens, run.json with the
recipe and all snapshots, and a folder `checkpoint-STEP`. That one is made under another name and renamed when it is
whole, so that a run that is killed finds either the new one or the one before.
"""

import hashlib
import json
import os
import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from gptloss.errors import GptlossError
from gptloss.models.checkpoints import gpt2, weights
from gptloss.models.checkpoints.json_tokens import JsonTokenizer, json_tokenizer
from gptloss.models.downloads.store import FULL
from gptloss.training.loop import Trainer
from gptloss.training.recipe import Recipe
from gptloss.training.recipe import from_json as recipe_from_json
from gptloss.training.snapshot import Snapshot
from gptloss.training.snapshot import from_json as snapshot_from_json
from gptloss.training.vocabulary import write_tokenizer

RUN, STATE = "run.json", "state.json"
PREFIX = "checkpoint-"
MOMENTS = ("exp_avg", "exp_avg_sq")
# What state.json states.
FIELDS = {
    *("recipe", "text_sha256", "vocab_size", "watched", "step", "seconds", "looked_at", "step_loss", "gradient_norm"),
    *("random", "epoch_random", "snapshots"),
}
# What AutoTokenizer asks for.
TOKENIZER_CONFIG = {"tokenizer_class": "PreTrainedTokenizerFast", "clean_up_tokenization_spaces": False}


def text_hash(text: str) -> str:
    """SHA-256 of a text's UTF-8."""
    return hashlib.sha256(text.encode()).hexdigest()


def start(recipe: Recipe, text: str, folder: Path, watched: Sequence[str] = ()) -> Trainer:
    """A new run in a folder of its own, which is made.

    Raises `GptlossError` for a folder that holds a run or a model, for one that cannot be written, and as `Trainer`
    does.
    """
    if (folder / "tokenizer.json").exists():
        raise GptlossError(f"{folder} holds a run or a model already; name another folder, or go on with --resume.")
    with _writing(folder):
        folder.mkdir(parents=True, exist_ok=True)
        size = write_tokenizer(text, recipe.vocab_size, folder)
        (folder / "tokenizer_config.json").write_text(
            json.dumps(TOKENIZER_CONFIG | {"model_max_length": recipe.context_length}), "utf-8"
        )
    try:
        return Trainer(recipe, text, _tokenizer(folder, size), watched)
    except GptlossError:
        for name in ("tokenizer.json", "tokenizer_config.json"):
            (folder / name).unlink()
        raise


def resume(text: str, folder: Path) -> tuple[Trainer, list[Snapshot]]:
    """The run of a folder where its checkpoint left it, and its snapshots so far.

    Raises `GptlossError` for a folder without a checkpoint, a damaged one and another text.
    """
    last = newest(folder)
    state = weights.read_json(last / STATE)
    if missing := FIELDS - state.keys():
        raise GptlossError(f"{last / STATE} states no {min(missing)}; start the run again without --resume.")
    if state["text_sha256"] != text_hash(text):
        raise GptlossError(f"{folder} was trained on another text; give the same files in the same order.")
    recipe = recipe_from_json(state["recipe"])
    trainer = Trainer(recipe, text, _tokenizer(folder, state["vocab_size"]), state["watched"])
    _put_back(trainer, state["step"], last)
    trainer.random, trainer.epoch_random = (_random(state[name]) for name in ("random", "epoch_random"))
    trainer.seconds, trainer.looked_at = state["seconds"], state["looked_at"]
    trainer.step_loss, trainer.gradient_norm = state["step_loss"], state["gradient_norm"]
    trainer.skip_to(state["step"])
    return trainer, [snapshot_from_json(entry) for entry in state["snapshots"]]


def newest(folder: Path) -> Path:
    """The last checkpoint of a run. Raises `GptlossError` if there is none."""
    found = sorted(folder.glob(f"{PREFIX}*"))
    if not found:
        raise GptlossError(f"{folder} has no checkpoint to go on from; start the run without --resume.")
    return found[-1]


def save(trainer: Trainer, snapshots: Sequence[Snapshot], text: str, folder: Path) -> None:
    """Write a checkpoint, then take the one before away. Raises `GptlossError` for a full disk.

    Nothing happens if this step has one: to replace it would leave a moment without any.
    """
    whole = folder / f"{PREFIX}{trainer.step:09}"
    if whole.exists():
        return
    state: dict[str, Any] = {
        "recipe": trainer.recipe.as_json(),
        "text_sha256": text_hash(text),
        "vocab_size": trainer.tokenizer.vocab_size,
        "watched": trainer.watched,
        "step": trainer.step,
        "seconds": trainer.seconds,
        "looked_at": trainer.looked_at,
        "step_loss": trainer.step_loss,
        "gradient_norm": trainer.gradient_norm,
        "random": _bytes(trainer.random),
        "epoch_random": _bytes(trainer.epoch_random),
        "snapshots": [snapshot.as_json() for snapshot in snapshots],
    }
    with _writing(folder), _part(folder) as part:
        weights.save(_tensors(trainer), part / weights.SINGLE)
        (part / STATE).write_text(json.dumps(state), "utf-8")
        os.replace(part, whole)
        for older in set(folder.glob(f"{PREFIX}*")) - {whole}:
            shutil.rmtree(older)


def export(trainer: Trainer, snapshots: Sequence[Snapshot], text: str, folder: Path) -> None:
    """Write the model as it is now, and run.json. Raises `GptlossError` for a full disk."""
    facts = {
        "recipe": trainer.recipe.as_json(),
        "text_sha256": text_hash(text),
        "characters": len(text),
        "step": trainer.step,
        "torch": torch.__version__,
        "threads": torch.get_num_threads(),
        "snapshots": [snapshot.as_json() for snapshot in snapshots],
    }
    with _writing(folder), _part(folder) as part:
        gpt2.save(trainer.network, part)
        (part / RUN).write_text(json.dumps(facts), "utf-8")
        for file in sorted(part.iterdir()):
            os.replace(file, folder / file.name)


def _tokenizer(folder: Path, size: int) -> JsonTokenizer:
    return json_tokenizer(folder / "tokenizer.json", size)


@contextmanager
def _writing(folder: Path) -> Iterator[None]:
    """Say what is wrong with the disk, and the way out, instead of an `OSError`."""
    try:
        yield
    except OSError as error:
        if error.errno in FULL:
            raise GptlossError(
                f"The disk is full: the run cannot be written to {folder}, which keeps its last checkpoint; make room"
                " and go on with --resume, or name a folder on another disk."
            ) from error
        raise GptlossError(f"{folder} cannot be written ({error.strerror}); name another folder.") from error


@contextmanager
def _part(folder: Path) -> Iterator[Path]:
    """A folder to write into, which is gone afterwards unless it was renamed."""
    part = folder / ".part"
    shutil.rmtree(part, ignore_errors=True)
    part.mkdir(parents=True)
    try:
        yield part
    finally:
        shutil.rmtree(part, ignore_errors=True)


def _tensors(trainer: Trainer) -> Iterator[tuple[str, Tensor]]:
    state = trainer.optimizer.state
    for name, parameter in trainer.network.named_parameters():
        yield name, parameter.detach()
        for moment in MOMENTS if parameter in state else ():
            yield f"{moment}.{name}", state[parameter][moment]


def _put_back(trainer: Trainer, step: int, folder: Path) -> None:
    """The weights and moments after so many steps into a run that has just been made.

    Raises `GptlossError` for those of another run.
    """
    stored = weights.read(folder)
    parameters = dict(trainer.network.named_parameters())
    missing = sorted(parameters.keys() - stored.keys())
    if missing or any(stored[name].shape != parameter.shape for name, parameter in parameters.items()):
        raise GptlossError(f"{folder} does not hold the weights of this run; start it again without --resume.")
    with torch.no_grad():
        for name, parameter in parameters.items():
            parameter.copy_(stored[name])
            moments = {
                moment: stored[f"{moment}.{name}"].clone() for moment in MOMENTS if f"{moment}.{name}" in stored
            }
            if moments:
                trainer.optimizer.state[parameter] = {"step": torch.tensor(float(step)), **moments}


def _bytes(random: Tensor) -> str:
    return random.numpy().tobytes().hex()


def _random(state: str) -> Any:
    return torch.frombuffer(bytearray.fromhex(state), dtype=torch.uint8)
