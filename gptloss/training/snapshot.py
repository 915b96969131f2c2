"""What is seen of a run, as plain data: looks at it while it trains, texts through it, and what it has to beat."""

from dataclasses import asdict, dataclass
from typing import Any


@dataclass(frozen=True)
class Watched:
    """A text whose tokens are followed: ln p of each but the first, in nats, given those before it."""

    tokens: tuple[str, ...]
    log_probas: tuple[float, ...]


@dataclass(frozen=True)
class Followed:
    """A text through a run: ln p of each of its tokens but the first, in nats, one list for each look."""

    text: str
    tokens: tuple[str, ...]
    log_probas: tuple[tuple[float, ...], ...]


@dataclass(frozen=True)
class Snapshot:
    """What a run has come to after `step` steps.

    `epoch` counts passes over the training part, `tokens` those read so far. The losses are in nats per token, on
    some batches of each part; `step_loss` is that of the step's own batch, and it and `gradient_norm` (before it is
    clipped) are None before the first step. `seconds` counts only the time in which the run was at work.
    """

    step: int
    epoch: float
    tokens: int
    train_loss: float
    val_loss: float
    seconds: float
    learning_rate: float
    step_loss: float | None = None
    gradient_norm: float | None = None
    sample: str = ""
    watched: tuple[Watched, ...] = ()

    @property
    def sample_line(self) -> str:
        """The sample in one line: a new line as ↵, and � for what nobody can see, as it comes of random bytes."""
        return "".join(letter if letter.isprintable() else "↵" if letter == "\n" else "�" for letter in self.sample)

    def as_json(self) -> dict[str, Any]:
        """The snapshot as plain data."""
        return asdict(self)


@dataclass(frozen=True)
class Baselines:
    """Losses of three models that count, on the validation part, in nats per token.

    `uniform` = ln V knows nothing. `unigram` knows how common each token is in the training part, `bigram` also which
    token follows which.
    """

    uniform: float
    unigram: float
    bigram: float


def from_json(data: dict[str, Any]) -> Snapshot:
    """A snapshot from plain data."""
    watched = tuple(Watched(tuple(text["tokens"]), tuple(text["log_probas"])) for text in data.get("watched", ()))
    return Snapshot(**{**data, "watched": watched})
