"""Records the training runs of the page "Training", or runs the first steps of one again beside its record.

    python -m tests.helpers.record_runs                        all of them, about ten minutes on two cores
    python -m tests.helpers.record_runs small                  this one
    python -m tests.helpers.record_runs --check book --steps 20

GPT-2 124M needs 5 GB of memory.
"""

import argparse
import json
import platform
from collections.abc import Iterator
from dataclasses import asdict, replace
from importlib.metadata import version
from typing import Any

import torch
from torch import Tensor

from gptloss.corpus import samples
from gptloss.models.checkpoints import weights
from gptloss.tokens import ByteTokenizer, Tokenizer, gpt2_tokenizer
from gptloss.training.baselines import baselines
from gptloss.training.checkpoint import text_hash
from gptloss.training.loop import Trainer
from gptloss.training.recipe import BOOK, GPT2, Recipe
from gptloss.training.recorded import FOLDER, KEPT, recorded_run
from gptloss.training.snapshot import Snapshot

TEXT = "The Verdict"
# A sentence of the training part, one of the validation part, and the lecture's rows. A context holds each.
SEEN, UNSEEN = "I HAD always thought Jack Gisburn", "The Strouds stand alone"
LECTURE = ("Every effort moves you", "I really like chocolate")
# Letter by letter, and long enough to know the text by heart.
SMALL = Recipe(
    context_length=32,
    emb_dim=64,
    n_heads=4,
    n_layers=2,
    batch_size=16,
    learning_rate=5e-3,
    schedule="constant",
    warmup=0,
    weight_decay=0.0,
    steps=1_400,
    eval_every=20,
    eval_batches=10,
    prompt="I HAD always ",
    sample_tokens=60,
)
RECIPES = {
    "small": SMALL,
    "rate": replace(SMALL, learning_rate=10 * SMALL.learning_rate),
    "dropout": replace(SMALL, drop_rate=0.2),
    "book": BOOK,
}
TITLES = {
    "small": "A small model, over-fitting",
    "rate": "A learning rate ten times too large",
    "dropout": "Dropout delays over-fitting",
    "book": "GPT-2 124M, the book’s run",
}


def trainer_of(name: str, bare: bool = False) -> Trainer:
    """The run called `name`, before its first step; a `bare` one writes no samples and follows no texts."""
    recipe = replace(RECIPES[name], sample_tokens=0) if bare else RECIPES[name]
    tokenizer: Tokenizer = gpt2_tokenizer() if recipe.vocab_size == GPT2 else ByteTokenizer()
    return Trainer(recipe, samples.BY_NAME[TEXT], tokenizer, () if bare else (SEEN, UNSEEN, *LECTURE))


def looks(trainer: Trainer, steps: int) -> Iterator[Snapshot]:
    """The looks at the first `steps` steps."""
    yield trainer.look()
    while trainer.step < steps:
        trainer.advance()
        if trainer.recipe.evaluates(trainer.step):
            yield trainer.look()


def record(name: str) -> None:
    """Train the run called `name` to its end, and write its files."""
    trainer, kept, snapshots = trainer_of(name), {}, []
    for snapshot in looks(trainer, trainer.recipe.steps):
        print(f"{name} {snapshot.step:>5} {snapshot.train_loss:.4f} {snapshot.val_loss:.4f} {snapshot.sample[:70]!r}")
        snapshots.append(snapshot)
        if name == "small" and snapshot.step in KEPT:
            kept |= {f"{snapshot.step}.{key}": value for key, value in _half(trainer).items()}
    v, parts = trainer.tokenizer.vocab_size, trainer.parts
    data = {
        "name": name,
        "title": TITLES[name],
        "text": TEXT,
        "text_sha256": text_hash(samples.BY_NAME[TEXT]),
        "recipe": trainer.recipe.as_json(),
        "batches": parts.batches,
        "vocab_size": v,
        "parameters": trainer.parameters,
        "baselines": asdict(baselines(parts.training_ids, parts.validation_ids, v)),
        "watched": trainer.watched,
        "kept": KEPT if kept else (),
        "versions": {"python": platform.python_version(), "torch": version("torch"), "threads": _threads()},
        "snapshots": [_rounded(snapshot.as_json()) for snapshot in snapshots],
    }
    FOLDER.mkdir(exist_ok=True)
    (FOLDER / f"{name}.json").write_text(_a_look_a_line(data), "utf-8")
    if kept:
        (FOLDER / name).mkdir(exist_ok=True)
        weights.save(iter(kept.items()), FOLDER / name / weights.SINGLE)


def differences(name: str, steps: int) -> list[tuple[int, float]]:
    """How far the losses of the first steps lie from the record now: step, and the largest difference in nats."""
    before = {snapshot.step: snapshot for snapshot in recorded_run(name).snapshots}
    return [
        (now.step, max(abs(now.train_loss - then.train_loss), abs(now.val_loss - then.val_loss)))
        for now in looks(trainer_of(name, bare=True), steps)
        if (then := before.get(now.step))
    ]


def _a_look_a_line(data: dict[str, Any]) -> str:
    """JSON with a line for each field and each look."""
    fields = {key: json.dumps(value, ensure_ascii=False) for key, value in data.items() if key != "snapshots"}
    looks = ",\n".join(json.dumps(look, ensure_ascii=False) for look in data["snapshots"])
    lines = [f'"{key}": {value},' for key, value in fields.items()]
    return "\n".join(["{", *lines, f'"snapshots": [\n{looks}\n]', "}"]) + "\n"


def _half(trainer: Trainer) -> dict[str, Tensor]:
    return {key: value.to(torch.float16) for key, value in trainer.network.state_dict().items()}


def _threads() -> str:
    return str(torch.get_num_threads())


def _rounded(value: Any) -> Any:
    """Without digits that another processor would not repeat."""
    if isinstance(value, dict):
        return {key: _rounded(each) for key, each in value.items() if key != "seconds"} | (
            {"seconds": round(value["seconds"], 1)} if "seconds" in value else {}
        )
    if isinstance(value, list | tuple):
        return [_rounded(each) for each in value]
    return round(value, 5) if isinstance(value, float) else value


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", metavar="NAME", help=", ".join(RECIPES))
    parser.add_argument("--check", choices=RECIPES, metavar="NAME")
    parser.add_argument("--steps", type=int, default=20)
    options = parser.parse_args()
    if unknown := set(options.names) - RECIPES.keys():
        parser.error(f"there is no run called {min(unknown)!r}; runs: {', '.join(RECIPES)}")
    if options.check:
        for step, difference in differences(options.check, options.steps):
            print(f"step {step:>4}: {difference:.1e} nats")
    for name in options.names or ([] if options.check else RECIPES):
        record(name)


if __name__ == "__main__":
    main()
