"""`gptloss train`: train a small GPT on texts, with its losses on the way, and keep the model."""

import argparse
import json
import signal
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, replace
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, Any

from tqdm import tqdm

from gptloss.cli.options import use_compute
from gptloss.errors import GptlossError
from gptloss.training.recipe import PRECISIONS, PRESETS, Recipe, named, suited

if TYPE_CHECKING:
    from gptloss.training.loop import Trainer
    from gptloss.training.snapshot import Snapshot

# Seconds between two checkpoints, unless a number of steps is asked for.
SAVE_AFTER = 60.0
COLUMNS = f"{'step':>8}{'epoch':>8}{'tokens':>12}{'training':>11}{'validation':>12}{'seconds':>10}"


def add_parser(commands: Any) -> None:
    """Add `train FILE...` to the command line."""
    parser = commands.add_parser("train", help="train a small GPT on texts, and keep it as a model")
    parser.add_argument(
        "files", nargs="+", metavar="FILE", help="texts in UTF-8, read one after the other; - reads standard input"
    )
    parser.add_argument(
        "--preset",
        choices=PRESETS,
        metavar="NAME",
        help=f"{', '.join(PRESETS)} (GPT-2 124M, as in chapter 5.2); default: a small one that suits the text",
    )
    parser.add_argument("--steps", type=int, metavar="N", help="how many gradient steps; default: the preset's")
    parser.add_argument("--learning-rate", type=float, metavar="R", help="the largest one; default: the preset's")
    parser.add_argument("--seed", type=int, metavar="N", help="the same seed, the same curve; default: the preset's")
    parser.add_argument(
        "--precision", choices=PRECISIONS, help="bfloat16 is quicker where the processor has it; default: float32"
    )
    parser.add_argument("--threads", type=int, metavar="N", help="compute on N threads; default: PyTorch's choice")
    parser.add_argument(
        "--out", type=Path, metavar="DIR", help="where the model is kept; default: the first file's name and -model"
    )
    parser.add_argument("--resume", action="store_true", help="go on from the last checkpoint in --out")
    parser.add_argument(
        "--save-every", type=int, metavar="N", help="steps between two checkpoints; default: about once a minute"
    )
    parser.add_argument(
        "--watch", action="append", default=[], metavar="TEXT", help="follow ln p of this text's tokens, with --json"
    )
    parser.add_argument(
        "--json", action="store_true", help="a JSON object a line for each evaluation, then a summary"
    )
    parser.set_defaults(run=_train)


def _train(options: argparse.Namespace) -> Iterator[str]:
    if options.save_every is not None and options.save_every < 1:
        raise GptlossError(f"--save-every is {options.save_every}; save after 1 step or more.")
    use_compute(None, options.threads)
    text = _text(options.files)
    folder = options.out or Path(f"{Path(options.files[0]).stem}-model")
    trainer, snapshots = _trainer(options, text, folder)
    return _lines(options, trainer, snapshots, text, folder)


def _text(files: list[str]) -> str:
    """The texts, one after the other. Raises `GptlossError` for one that cannot be read."""
    from gptloss.corpus.text import decoded

    texts = []
    for name in files:
        try:
            raw = sys.stdin.buffer.read() if name == "-" else Path(name).read_bytes()
        except (OSError, ValueError) as error:
            reason = getattr(error, "strerror", None) or error
            raise GptlossError(f"{name} cannot be read ({reason}); give a text file in UTF-8.") from None
        texts.append(decoded(raw, "Standard input" if name == "-" else name))
    return "\n".join(texts)


def _trainer(options: argparse.Namespace, text: str, folder: Path) -> "tuple[Trainer, list[Snapshot]]":
    """A new run, or the one in the folder, whose recipe it keeps; only its number of steps may be another."""
    from gptloss.training import checkpoint

    if not options.resume:
        return checkpoint.start(_recipe(options, len(text)), text, folder, options.watch), []
    given = {"--preset": options.preset, "--learning-rate": options.learning_rate, "--seed": options.seed}
    given |= {"--precision": options.precision, "--watch": options.watch or None}
    for name, value in given.items():
        if value is not None:
            raise GptlossError(f"--resume goes on as the run began, so {name} has no place here; leave it out.")
    trainer, snapshots = checkpoint.resume(text, folder)
    if options.steps is not None:
        trainer.recipe = replace(trainer.recipe, steps=options.steps)
    return trainer, snapshots


def _recipe(options: argparse.Namespace, characters: int) -> Recipe:
    recipe = named(options.preset) if options.preset else suited(characters)
    names = ("steps", "learning_rate", "seed", "precision")
    given = {name: getattr(options, name) for name in names if getattr(options, name) is not None}
    return replace(recipe, **given)


def _lines(
    options: argparse.Namespace, trainer: "Trainer", snapshots: "list[Snapshot]", text: str, folder: Path
) -> Iterator[str]:
    """What is printed, as it comes: every evaluation, then the summary. The model is kept even if it is stopped."""
    from gptloss.training import checkpoint
    from gptloss.training.baselines import baselines

    parts, first = trainer.parts, trainer.step
    reached = baselines(parts.training_ids, parts.validation_ids, trainer.tokenizer.vocab_size)
    if not options.json:
        yield _head(trainer, reached, options.resume)
    with _stopping() as stop:
        for snapshot in _looks(options, trainer, snapshots, text, folder, stop):
            yield f"{json.dumps(snapshot.as_json(), allow_nan=False) if options.json else _row(snapshot)}\n"
    checkpoint.save(trainer, snapshots, text, folder)
    checkpoint.export(trainer, snapshots, text, folder)
    if stop:
        print(f"gptloss: stopped after step {trainer.step:,}; --resume goes on from there.", file=sys.stderr)
        raise KeyboardInterrupt
    summary = _summary(trainer, snapshots, text, folder, first) | {"baselines": asdict(reached)}
    yield json.dumps(summary, allow_nan=False) if options.json else _end(summary)


def _looks(
    options: argparse.Namespace,
    trainer: "Trainer",
    snapshots: "list[Snapshot]",
    text: str,
    folder: Path,
    stop: list[int],
) -> "Iterator[Snapshot]":
    """Train until the end or until `stop` says so; checkpoints are written on the way."""
    from gptloss.training import checkpoint

    saved = time.monotonic()
    with tqdm(
        total=trainer.recipe.steps,
        initial=trainer.step,
        desc="Training",
        unit=" steps",
        file=sys.stderr,
        disable=None,
    ) as bar:
        if trainer.step == 0:
            snapshots.append(trainer.look())
            yield snapshots[-1]
        while not trainer.done and not stop:
            trainer.advance()
            bar.update()
            if trainer.recipe.evaluates(trainer.step):
                snapshots.append(trainer.look())
                bar.clear()
                yield snapshots[-1]
            due = (
                trainer.step % options.save_every == 0
                if options.save_every
                else time.monotonic() - saved > SAVE_AFTER
            )
            if due:
                checkpoint.save(trainer, snapshots, text, folder)
                saved = time.monotonic()


@contextmanager
def _stopping() -> Iterator[list[int]]:
    """Ctrl-C or a signal to end lets the step that is under way come to its end; a second one does not wait."""
    stop: list[int] = []
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}

    def note(number: int, _frame: FrameType | None) -> None:
        stop.append(number)
        signal.signal(number, before[signal.Signals(number)])

    try:
        for number in before:
            signal.signal(number, note)
        yield stop
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _head(trainer: "Trainer", reached: Any, resumed: bool) -> str:
    recipe, v, parts = trainer.recipe, trainer.tokenizer.vocab_size, trainer.parts
    begins = f"from step {trainer.step:,}" if resumed else f"from random weights, seed {recipe.seed}"
    return (
        f"{recipe.n_layers} layers, {recipe.emb_dim} wide, {trainer.parameters:,} weights, {begins}\n"
        f"vocabulary {v:,} tokens, context {recipe.context_length},"
        f" {len(parts.training_ids):,} tokens to train on, {len(parts.validation_ids):,} to validate\n"
        f"losses in nats per token; counting reaches: ln V {reached.uniform:.4f}, unigram {reached.unigram:.4f},"
        f" bigram {reached.bigram:.4f}\n\n{COLUMNS}\n"
    )


def _row(snapshot: "Snapshot") -> str:
    return (
        f"{snapshot.step:>8,}{snapshot.epoch:>8.2f}{snapshot.tokens:>12,}{snapshot.train_loss:>11.4f}"
        f"{snapshot.val_loss:>12.4f}{snapshot.seconds:>10.1f}"
    )


def _summary(trainer: "Trainer", snapshots: "list[Snapshot]", text: str, folder: Path, first: int) -> dict[str, Any]:
    import platform

    import torch

    from gptloss.training.baselines import skill
    from gptloss.training.checkpoint import text_hash

    best = min(snapshots, key=lambda snapshot: snapshot.val_loss)
    v = trainer.tokenizer.vocab_size
    return {
        "command": "train",
        "out": str(folder),
        "recipe": trainer.recipe.as_json(),
        "vocab_size": v,
        "parameters": trainer.parameters,
        "text_sha256": text_hash(text),
        "characters": len(text),
        "first_step": first,
        "steps": trainer.step,
        "train_loss": snapshots[-1].train_loss,
        "val_loss": snapshots[-1].val_loss,
        "skill": skill(snapshots[-1].val_loss, v),
        "best_step": best.step,
        "best_val_loss": best.val_loss,
        "tokens_per_second": snapshots[-1].tokens / snapshots[-1].seconds,
        "torch": torch.__version__,
        "python": platform.python_version(),
        "threads": torch.get_num_threads(),
    }


def _end(summary: dict[str, Any]) -> str:
    turned = summary["best_step"] < summary["steps"]
    over = f"The validation loss was lowest at step {summary['best_step']:,}: over-fitting began there.\n" * turned
    model = summary["out"] if Path(summary["out"]).is_absolute() else f"./{summary['out']}"
    return (
        f"\n{over}skill {100 * summary['skill']:.1f} % of the way from ln V to 0,"
        f" {summary['tokens_per_second']:,.0f} tokens a second\n"
        f"The model is in {summary['out']}; use it with --model {model}"
    )
