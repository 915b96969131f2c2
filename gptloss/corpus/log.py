"""The log of a long run. It keeps line by line what was scored, so that a stopped run can go on from there.

The first line says which run it is of, and how it computes: a run that goes on computes likewise. A line for each
forward pass follows, with ln p of every target in the run's precision, so that all that is made of them is the same
to the last digit.
"""

import base64
import json
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from time import perf_counter
from typing import IO, Any

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from gptloss.corpus.conventions import Plan
from gptloss.corpus.scoring import TOKENS, ScoredWindow, batches, score_batch, with_log_probas
from gptloss.corpus.stream import Read
from gptloss.errors import GptlossError
from gptloss.models.base import LanguageModel
from gptloss.models.fast import plan as kernel_plan
from gptloss.models.fast import record
from gptloss.models.fast.layers import kernels_of
from gptloss.models.fast.plan import Kernels
from gptloss.models.hashes import sha256
from gptloss.provenance import checksums

MARK = b'{"gptloss": "corpus", '
# No first line of a log is longer, so no more is read of what may be another file.
HEADER = 1 << 24


@dataclass(frozen=True)
class Computed:
    """How the run of a log computes. A resumed run has to do the same."""

    kernels: Kernels
    threads: int


def computed(path: Path) -> Computed | None:
    """How the run of this log computes; None if there is no log yet.

    Raises `GptlossError` for a kernel that this machine does not have.
    """
    with suppress(OSError, ValueError, KeyError, TypeError, AttributeError), path.open("rb") as file:
        header = file.readline(HEADER)
        if header.startswith(MARK) and header.endswith(b"\n"):
            run = json.loads(header)
            return Computed(kernel_plan.kernels_from_json(run["kernels"]), int(run["threads"]))
    return None


class Log:
    """A log file, read first and then written to; `run` says what must be the same to go on with it.

    Raises `GptlossError` for a file that cannot be used, is no log, is damaged, or is the log of another run. A last
    line that is not whole is what a run was writing when it was stopped; it is taken off.
    """

    def __init__(self, path: Path, run: dict[str, Any]) -> None:
        self.path = path
        self.seconds = 0.0
        self._kind = "<f8" if run.get("precision") == "float64" else "<f4"
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
            log_probas = np.frombuffer(base64.b64decode(entry["log_probas"], validate=True), self._kind)
            self.seconds += entry["seconds"]
            expected = [text, batch[0].window.start, sum(read.window.scored for read in batch)]
            if [entry["text"], entry["start"], len(log_probas)] != expected:
                raise ValueError
        except (ValueError, KeyError, TypeError):
            raise GptlossError(f"{self.path} is damaged in line {self._number}; delete it to begin again.") from None
        return torch.from_numpy(log_probas.astype(log_probas.dtype.newbyteorder("=")))

    def add(self, text: int, scored: Sequence[ScoredWindow], seconds: float) -> None:
        """Keep a forward pass, and the seconds it took. Raises `GptlossError` if the disk does not take it."""
        log_probas = torch.cat([window.log_probas for window in scored]).numpy().astype(self._kind)
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
        """Stop reading the log and begin to write it."""
        self._reading = False
        self._file.seek(place)
        self._file.truncate()

    def _check_run(self, theirs: dict[str, Any], ours: dict[str, Any]) -> None:
        for key, value in ours.items():
            if theirs.get(key) != value and key != "name":  # one folder has many names
                raise GptlossError(
                    f"{self.path} is the log of another run: {_told(key, theirs, ours)} name another file."
                )

    def _unusable(self, error: OSError) -> GptlossError:
        reason = error.strerror or error
        return GptlossError(f"The log {self.path} cannot be used ({reason}); make room, or name another file.")


def _told(key: str, theirs: dict[str, Any], ours: dict[str, Any]) -> str:
    """How a run differs from that of the log, and what to do."""
    before, now = theirs.get(key), ours[key]
    if key == "kernels":
        return f"it was computed with other kernels; leave --kernel and {kernel_plan.VARIABLE} out, or"
    if key == "threads":
        return f"it was computed on {before} threads and now there are {now}; leave --threads out, or"
    if key == "model":
        same = theirs.get("name") == ours["name"]
        named = f"its model is {theirs.get('name')} and now it is {ours['name']}"
        return f"the files of {ours['name']} were others, by their SHA-256;" if same else f"{named};"
    told = isinstance(now, str | int | float)
    return f"its {key} is {before} and now it is {now};" if told else f"its {key} are others;"


def passes(
    model: LanguageModel,
    pieces: Iterable[str],
    plan: Plan,
    text: int = 0,
    log: Log | None = None,
    skip: int = 0,
) -> Iterator[list[ScoredWindow]]:
    """The windows of one text, scored, a list for each forward pass; what is in the log is not computed again.

    `text` is the number of the text in the run. The first `skip` windows are neither computed nor given. Raises
    `GptlossError` as `scored_windows` and the log do.
    """
    for batch in batches(model, pieces, plan):
        done, skip = min(skip, len(batch)), max(0, skip - len(batch))
        if done == len(batch):
            continue
        known = log.read(text, batch) if log else None
        if known is not None:
            yield with_log_probas(batch, known)[done:]
            continue
        before = perf_counter()
        scored = score_batch(model, batch)
        if log:
            log.add(text, scored, perf_counter() - before)
        yield scored[done:]


def run_of(
    model: LanguageModel, plan: Plan, precision: str, split: float | None, files: Sequence[Path]
) -> dict[str, Any]:
    """What two runs must have in common for one to go on with the log of the other; files by their SHA-256."""
    machine = record.machine()
    return {
        "name": model.info.name,
        "model": checksums(model),
        "precision": precision,
        "convention": plan.convention,
        "window": plan.window,
        "stride": plan.stride,
        "bos": plan.bos,
        "start_token": model.info.bos_id if plan.bos else None,
        "tokens_a_pass": TOKENS,
        "kernels": kernel_plan.kernels_as_json(kernels_of(model)),
        "threads": torch.get_num_threads(),
        **{name: machine[name] for name in ("processor", "capability", "torch")},
        "split": split or "none",
        "texts": [sha256(file) for file in files],
    }
