"""The log of a long run: what was scored is kept line by line, so that a run that was stopped goes on from there.

The first line says which run it is of. A line for each forward pass follows, with ln p of every target in float32,
so that all that is made of them is the same to the last digit.
"""

import base64
import hashlib
import json
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from time import perf_counter
from typing import IO, Any

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from gptloss.conventions import Plan, Window
from gptloss.corpus import TOKENS, ScoredWindow, batches, forward, score_batch, with_log_probas
from gptloss.corpus_stream import Read
from gptloss.errors import GptlossError
from gptloss.models.base import LanguageModel
from gptloss.models.fast import plan as kernel_plan
from gptloss.models.fast.layers import kernels_of

MARK = b'{"gptloss": "corpus", '
# No first line is longer, so that of another file no more is read.
HEADER = 1 << 24
# What weights are known by.
PROBE = "Every effort moves you."
# By so much, in nats, may ln p of the same model differ between two runs of it: threads add in different orders.
CLOSE = 0.01


class Log:
    """A log file, read first and then written to; `run` says what must be the same to go on with it.

    Raises `GptlossError` for a file that cannot be used, is no log, is damaged, or is the log of another run. A last
    line that is not whole is what a run was writing when it was stopped; it is taken off.
    """

    def __init__(self, path: Path, run: dict[str, Any]) -> None:
        self.path = path
        self.seconds = 0.0
        self._number = 1
        self._reading = True
        try:
            self._file: IO[bytes] = path.open("r+b" if path.exists() else "w+b")
        except OSError as error:
            raise self._unusable(error) from None
        try:
            self._begin(run)
        except GptlossError:
            self.__exit__()
            raise

    def _begin(self, run: dict[str, Any]) -> None:
        header = self._file.readline(HEADER)
        if header.endswith(b"\n") and header.startswith(MARK):
            self._check_run(self._known(header), run)
        elif header.endswith(b"\n") or header[: len(MARK)] != MARK[: len(header)]:
            raise GptlossError(f"{self.path} is no log of gptloss corpus, and stays as it is; name another file.")
        else:
            self._cut(0)
            self._write({"gptloss": "corpus", **run})

    def _known(self, header: bytes) -> dict[str, Any]:
        try:
            return dict(json.loads(header))
        except (ValueError, TypeError):
            raise GptlossError(f"{self.path} is damaged in line 1; delete it to begin anew.") from None

    def __enter__(self) -> "Log":
        return self

    def __exit__(self, *_: object) -> None:
        with suppress(OSError):  # every line is on its way already
            self._file.close()

    def read(self, text: int, batch: Sequence[Read]) -> Float[Tensor, " n"] | None:
        """ln p of the targets of the next forward pass, which is of this text; None if it is not in the log."""
        if not self._reading:
            return None
        place, line = self._file.tell(), self._file.readline()
        if not line.endswith(b"\n"):
            self._cut(place)
            return None
        self._number += 1
        try:
            entry = json.loads(line)
            log_probas = np.frombuffer(base64.b64decode(entry["log_probas"], validate=True), "<f4")
            self.seconds += entry["seconds"]
            expected = [text, batch[0].window.start, sum(read.window.scored for read in batch)]
            if [entry["text"], entry["start"], len(log_probas)] != expected:
                raise ValueError
        except (ValueError, KeyError, TypeError):
            raise GptlossError(f"{self.path} is damaged in line {self._number}; delete it to begin again.") from None
        return torch.from_numpy(log_probas.astype(np.float32))

    def add(self, text: int, scored: Sequence[ScoredWindow], seconds: float) -> None:
        """Keep a forward pass, and the seconds it took. Raises `GptlossError` if the disk does not take it."""
        log_probas = torch.cat([window.log_probas for window in scored]).numpy().astype("<f4")
        self._write(
            {
                "text": text,
                "start": scored[0].window.start,
                "seconds": seconds,
                "log_likelihoods": [window.log_probas.double().sum().item() for window in scored],
                "log_probas": base64.b64encode(log_probas.tobytes()).decode(),
            }
        )

    def _write(self, entry: dict[str, Any]) -> None:
        try:
            self._file.write(json.dumps(entry).encode() + b"\n")
            self._file.flush()
        except OSError as error:
            raise self._unusable(error) from None

    def _cut(self, place: int) -> None:
        """From here on the log is written."""
        self._reading = False
        self._file.seek(place)
        self._file.truncate()

    def _check_run(self, theirs: dict[str, Any], ours: dict[str, Any]) -> None:
        for key, value in ours.items():
            if not _same(theirs.get(key), value):
                told = isinstance(value, str | int | float)
                what = f"its {key} is {theirs.get(key)} and now it is {value}" if told else f"its {key} are others"
                raise GptlossError(f"{self.path} is the log of another run: {what}; name another file.")

    def _unusable(self, error: OSError) -> GptlossError:
        reason = error.strerror or error
        return GptlossError(f"The log {self.path} cannot be used ({reason}); make room, or name another file.")


def _same(one: Any, other: Any) -> bool:
    if isinstance(other, list) and other and isinstance(other[0], float):
        return len(one or []) == len(other) and bool(np.allclose(one, other, rtol=0, atol=CLOSE))
    return bool(one == other)


def passes(
    model: LanguageModel, pieces: Iterable[str], plan: Plan, text: int = 0, log: Log | None = None
) -> Iterator[list[ScoredWindow]]:
    """The windows of one text, scored, a list for each forward pass; what is in the log is not computed again.

    `text` is the number of the text in the run. Raises `GptlossError` as `scored_windows` and the log.
    """
    for batch in batches(model, pieces, plan):
        known = log.read(text, batch) if log else None
        if known is not None:
            yield with_log_probas(batch, known)
            continue
        before = perf_counter()
        scored = score_batch(model, batch)
        if log:
            log.add(text, scored, perf_counter() - before)
        yield scored


def run_of(
    model: LanguageModel, plan: Plan, precision: str, split: float | None, files: Sequence[Path]
) -> dict[str, Any]:
    """What two runs must have in common for one to go on with the log of the other; texts by their SHA-256."""
    return {
        "model": model.info.name,
        "weights": _probe(model),
        "precision": precision,
        "convention": plan.convention,
        "window": plan.window,
        "stride": plan.stride,
        "bos": plan.bos,
        "tokens_a_pass": TOKENS,
        "kernels": kernel_plan.kernels_as_json(kernels_of(model)),
        "threads": torch.get_num_threads(),
        "split": split or "none",
        "texts": [sha256(file) for file in files],
    }


def _probe(model: LanguageModel) -> list[float]:
    """ln p of a few tokens, which other weights would not give."""
    ids = np.array([token.id for token in model.tokenizer.encode(PROBE)][: model.info.context_length + 1])
    size = len(ids) - 1
    return forward(model, [Read(Window(0, size, 1), ids[:-1], ids[1:], 0, 0)]).tolist()


def sha256(file: Path) -> str:
    """The checksum of a file of any size. Raises `GptlossError` if it cannot be read."""
    try:
        with file.open("rb") as opened:
            return hashlib.file_digest(opened, "sha256").hexdigest()
    except OSError as error:
        raise GptlossError(f"{file} cannot be read ({error.strerror or error}); name another file.") from None
