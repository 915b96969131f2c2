"""A run in a process of its own, told what to do line by line: `python -m gptloss.training.worker`.

The first line names the folder of the run. It holds request.json with the recipe, the texts to follow and the seconds
that the run may take, and text.txt. The process prints a JSON object a line: `start`, a `look` for each evaluation,
and at last `end` or `error`. It reads `pause`, `go`, `step` and `stop`, a line each, and stops when nobody can tell
it anything any more. What it has learned lies in the folder as a model.
"""

import json
import os
import queue
import signal
import sys
import threading
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from gptloss.errors import GptlossError
from gptloss.training.recipe import Recipe
from gptloss.training.recipe import from_json as recipe_from_json
from gptloss.training.snapshot import Snapshot

REQUEST, TEXT = "request.json", "text.txt"
COMMANDS = ("pause", "go", "step", "stop")


@dataclass(frozen=True)
class Request:
    """What is trained: the recipe, the text, the texts to follow as far as it can, and the seconds of work."""

    recipe: Recipe
    text: str
    watched: tuple[str, ...] = ()
    seconds: float = 60.0


def write(request: Request, folder: Path) -> None:
    """Lay a request into a folder, which is made. Raises `OSError` for a full disk."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / TEXT).write_text(request.text, "utf-8", newline="")
    rest = {"recipe": request.recipe.as_json(), "watched": request.watched, "seconds": request.seconds}
    (folder / REQUEST).write_text(json.dumps(rest), "utf-8")


def read(folder: Path) -> Request:
    """The request of a folder."""
    rest: dict[str, Any] = json.loads((folder / REQUEST).read_text("utf-8"))
    with (folder / TEXT).open(encoding="utf-8", newline="") as stream:
        text = stream.read()
    return Request(recipe_from_json(rest["recipe"]), text, tuple(rest["watched"]), rest["seconds"])


def train(request: Request, folder: Path, say: Callable[[dict[str, Any]], None], told: "queue.Queue[str]") -> None:
    """Train as the request says and as `told` on the way; `say` hears what happens."""
    from gptloss.training import checkpoint
    from gptloss.training.baselines import baselines

    trainer = checkpoint.start(request.recipe, request.text, folder)
    parts, v, longest = trainer.parts, trainer.tokenizer.vocab_size, request.recipe.context_length + 1
    # A word may be a single token: nothing of it is predicted.
    trainer.watched = tuple(text for text in request.watched if 2 <= len(trainer.tokenizer.encode(text)) <= longest)
    say(
        {
            "kind": "start",
            "baselines": asdict(baselines(parts.training_ids, parts.validation_ids, v)),
            "vocab_size": v,
            "parameters": trainer.parameters,
            "batches": parts.batches,
            "watched": trainer.watched,
        }
    )
    snapshots: list[Snapshot] = []

    def look() -> None:
        snapshots.append(trainer.look())
        say({"kind": "look", **snapshots[-1].as_json()})

    look()
    paused, ended = False, "done"
    while not trainer.done:
        command = _next(told, wait=paused)
        if command == "stop":
            ended = "stopped"
            break
        if command in ("pause", "go"):
            paused = command == "pause"
            continue
        trainer.advance()
        if paused or trainer.recipe.evaluates(trainer.step):
            look()
        if trainer.seconds > request.seconds:
            ended = "out of time"
            break
    if snapshots[-1].step < trainer.step:
        look()
    checkpoint.export(trainer, snapshots, request.text, folder)
    say({"kind": "end", "state": ended, "step": trainer.step})


def _next(told: "queue.Queue[str]", wait: bool) -> str:
    """The next command; an empty one if there is none and nobody waits for one."""
    try:
        return told.get(block=wait)
    except queue.Empty:
        return ""


def _listen(told: "queue.Queue[str]") -> None:
    for line in sys.stdin:
        if line.strip() in COMMANDS:
            told.put(line.strip())
    told.put("stop")


def _say(message: dict[str, Any]) -> None:
    print(json.dumps(message, allow_nan=False), flush=True)


def _warm_up() -> None:
    """Import what a run needs; the first optimiser takes PyTorch seconds more."""
    import torch

    from gptloss.training import checkpoint  # noqa: F401

    torch.optim.AdamW([torch.nn.Parameter(torch.zeros(1))], fused=True).zero_grad()


def main() -> int:
    """Wait for the folder of a run, and train it; returns the exit status."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the server; when that ends, this does, too
    _warm_up()
    line = sys.stdin.readline().rstrip("\n")
    if not line:
        return 0
    folder = Path(line)
    told: queue.Queue[str] = queue.Queue()
    threading.Thread(target=_listen, args=(told,), daemon=True).start()
    if hasattr(os, "nice"):
        os.nice(5)  # a click comes before a step
    try:
        train(read(folder), folder, _say, told)
    except GptlossError as error:
        _say({"kind": "error", "sentence": str(error)})
    except BrokenPipeError:
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
