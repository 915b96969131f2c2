"""The worker's side: `python -m gptloss.serving.worker.process` computes what the pages ask for.

Requests come as pickles on standard input and are answered on standard output; the end of the input ends the process.
Each model has a thread for its short requests. Short requests that wait at the same time run in one pass: reading the
weights takes most of the time, and eight texts need that only once. Long requests have threads of their own, so
nobody waits for the end of a book.
"""

import logging
import os
import pickle
import signal
import sys
from collections import OrderedDict, deque
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from threading import Condition, Lock, Thread
from typing import Any, BinaryIO

import torch

from gptloss.corpus.head import log_probas
from gptloss.errors import GptlossError
from gptloss.hosting import in_force
from gptloss.models import LanguageModel, ModelInfo
from gptloss.models.base import Reader
from gptloss.models.fast.layers import kernels_of
from gptloss.scoring.score import measure
from gptloss.scoring.states import ROWS_AT_ONCE, hidden_together
from gptloss.serving.models import loaded_as
from gptloss.serving.worker.client import BUSY
from gptloss.serving.worker.model import SHORT

# Short requests that run together have so many tokens at most.
TOGETHER = 128
FULL = "{} needs more memory than this server gives it; choose a smaller model or a shorter text."
# When CROWD visitors wait, the reading of a short text waits until COMPANY requests are there, or for PAUSE seconds:
# eight take hardly longer together than one alone, and the page needs the processor, too.
CROWD, COMPANY, PAUSE = 8, 8, 0.15
# Readers that are kept; one holds up to 46 MB under SmolLM2.
MOST_READERS = 16
_log = logging.getLogger(__name__)


@dataclass(frozen=True, eq=False)
class Request:
    """What is asked of a model, and the number that the answer carries."""

    number: int
    what: str
    info: ModelInfo
    args: tuple[Any, ...]
    crowd: int = 0  # how many visitors waited when it was sent

    @property
    def size(self) -> int:
        """Tokens that are computed together; 0 where that is not known."""
        if self.what == "hidden":
            return int(self.args[0].size)
        return len(self.args[0]) if self.what in ("head", "measure", "log_probas") else 0

    @property
    def shared(self) -> bool:
        """Whether it is short and may run with others."""
        return self.what in ("hidden", "head", "measure") and self.size <= SHORT

    @property
    def patient(self) -> bool:
        """Whether it may wait for others. A text is written token by token, and a wait at each would add up."""
        return self.shared and self.what != "head" and self.crowd >= CROWD

    @property
    def long(self) -> bool:
        """Whether it takes long enough to be kept apart."""
        return self.size > SHORT


Answer = Callable[[int, Any, Exception | None], None]


class Bench(Thread):
    """A thread that does requests in the order they came, and short ones of a kind together."""

    def __init__(self, answer: Answer) -> None:
        super().__init__(daemon=True)
        self._answer, self._waiting, self._more = answer, deque[Request](), Condition()
        self.start()

    def add(self, request: Request) -> None:
        """Do this, too."""
        with self._more:
            self._waiting.append(request)
            self._more.notify()

    def run(self) -> None:
        while True:
            with self._more:
                while not self._waiting:
                    self._more.wait()
                self._more.wait_for(self._in_company, PAUSE)
                requests = self._next()
            self._do(requests)

    def _in_company(self) -> bool:
        """Whether there is nothing to wait for: enough are there, or one of them is in a hurry."""
        return len(self._waiting) >= COMPANY or not all(request.patient for request in self._waiting)

    def _do(self, requests: Sequence[Request]) -> None:
        """Answer them; if they fail together each is done alone, so that nobody reads of another's mistake."""
        values: list[Any] = [None] * len(requests)
        told: GptlossError | None = None
        try:
            with torch.no_grad():
                values = _done(requests)
        except Exception as error:
            if len(requests) > 1:
                for request in requests:
                    self._do([request])
                return
            told = _sentence(error, requests[0])
        for request, value in zip(requests, values, strict=True):
            self._answer(request.number, value, told)

    def _next(self) -> list[Request]:
        """The one that has waited longest, and those that run with it."""
        first = self._waiting.popleft()
        if not first.shared:
            return [first]
        chosen, size = [first], first.size
        for request in [*self._waiting]:
            fits = size + request.size <= TOGETHER and (first.what != "hidden" or len(chosen) < ROWS_AT_ONCE)
            if request.shared and request.what == first.what and fits:
                chosen.append(request)
                size += request.size
                self._waiting.remove(request)
        return chosen


def _sentence(error: Exception, request: Request) -> GptlossError:
    """What a visitor reads of an error; one of the program is logged."""
    if isinstance(error, GptlossError):
        return error.with_traceback(None)
    if isinstance(error, MemoryError) or "allocate memory" in str(error):  # the second is PyTorch's way to say so
        return GptlossError(FULL.format(request.info.name))
    _log.error("%s of %s has failed", request.what, request.info.name, exc_info=error)
    return GptlossError(BUSY)


def _done(requests: Sequence[Request]) -> list[Any]:
    """The answers to requests of a kind."""
    first = requests[0]
    model = loaded_as(first.info).model
    if first.what == "hidden":
        return _hidden(model, [torch.from_numpy(request.args[0]) for request in requests])
    if first.what == "head":
        states = [torch.from_numpy(request.args[0]) for request in requests]
        logits = model.head(torch.cat(states))
        return [part.numpy() for part in torch.split(logits, [len(part) for part in states])]
    if first.what == "measure":
        return _measured(model, requests)
    if first.what == "log_probas":
        return [log_probas(model, *map(torch.from_numpy, first.args)).numpy()]
    if first.what == "read":
        return [_readers.read(model, *first.args)]
    return [{"moves": getattr(model, "moves", False), "kernels": kernels_of(model)}]


def _hidden(model: LanguageModel, texts: Sequence[torch.Tensor]) -> list[Any]:
    """Rows of several visitors in one pass; padding on the right changes nothing before it."""
    if len(texts) == 1:
        return [model.hidden(texts[0]).numpy()]
    states = iter(hidden_together(model, [row for rows in texts for row in rows]))
    return [torch.stack([next(states) for _ in rows]).numpy() for rows in texts]


def _measured(model: LanguageModel, requests: Sequence[Request]) -> list[Any]:
    """The columns of each request, from the logits of all."""
    states, ids = (torch.cat([torch.from_numpy(request.args[n]) for request in requests]) for n in (0, 1))
    logits = model.head(states)
    lengths = [request.size for request in requests]
    columns = zip(*(torch.split(column, lengths) for column in (*measure(logits, ids), logits)), strict=True)
    return [
        tuple(column.numpy() for column in (own if request.args[2] else own[:-1]))
        for request, own in zip(requests, columns, strict=True)
    ]


class Readers:
    """Readers by their numbers, the last ones used."""

    def __init__(self) -> None:
        self._kept: OrderedDict[int, Reader] = OrderedDict()
        self._lock = Lock()

    def read(self, model: LanguageModel, number: int, before: Any, ids: Any, left: Sequence[int]) -> Any:
        """The states of `ids`, which follow `before`; a reader that is not kept reads those again."""
        with self._lock:
            for gone in left:
                self._kept.pop(gone, None)
            reader = self._kept.pop(number, None)
        if reader is None or reader.length != len(before):
            reader = model.reader()
            if len(before):
                reader.read(torch.from_numpy(before))
        states = reader.read(torch.from_numpy(ids)).numpy()
        with self._lock:
            self._kept[number] = reader
            while len(self._kept) > MOST_READERS:
                self._kept.popitem(last=False)
        return states


_readers = Readers()


class Office:
    """Gives each request to the bench that does it."""

    def __init__(self, answers: BinaryIO) -> None:
        self._answers, self._writing = answers, Lock()
        self._short: dict[str, Bench] = {}
        self._long = [Bench(self._send) for _ in range(max(1, (os.cpu_count() or 2) // 2))]

    def take(self, request: Request) -> None:
        """Have it done."""
        if request.long:
            self._long[request.number % len(self._long)].add(request)
        else:
            name = request.info.name
            if name not in self._short:
                self._short[name] = Bench(self._send)
            self._short[name].add(request)

    def _send(self, number: int, value: Any, error: Exception | None) -> None:
        message = pickle.dumps((number, value, error), 5)
        with self._writing:
            self._answers.write(message)
            self._answers.flush()


def _keep_within(megabytes: int) -> None:
    """Take no more memory than this: what does not fit fails, and the machine goes on. Linux only."""
    with suppress(ImportError, OSError, ValueError):
        import resource

        if megabytes and sys.platform == "linux":
            resource.setrlimit(resource.RLIMIT_DATA, (megabytes * 1_000_000, megabytes * 1_000_000))


def main() -> None:
    """Answer until nobody asks any more."""
    _keep_within(in_force().memory)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the server; when that ends, this does, too
    answers = os.fdopen(os.dup(sys.stdout.fileno()), "wb")
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())  # what a library prints is no answer
    office = Office(answers)
    while True:
        try:
            number, what, info, crowd, args = pickle.load(sys.stdin.buffer)
        except EOFError:
            os._exit(0)  # without waiting for what is under way
        office.take(Request(number, what, info, args, crowd))


if __name__ == "__main__":
    main()
