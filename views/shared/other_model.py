"""The other model beside the chosen one: what the trained one gives the same tokens, or the untrained one."""

from collections.abc import Iterator
from concurrent.futures import wait
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from itertools import accumulate

from gptloss.errors import GptlossError
from gptloss.models import DEFAULT_MODEL
from gptloss.scoring.batch import ScoredBatch
from gptloss.serving.question import Question
from gptloss.serving.readings import reading, reading_ahead, reading_if_known
from gptloss.serving.turns import TURNS
from views.visit import access
from views.visit.settings import Settings
from views.visit.visitor import stop_without, visitor

# Seconds that a page waits for the other model, after its own numbers are there.
MOMENT = 0.5

# Where a token stands: the row, the byte of the input at which it is predicted, and its own bytes.
Place = tuple[int, int, bytes]


@dataclass(frozen=True)
class OtherModel:
    """What the other model gave the same texts: its name in a word, its loss, and ln p of each token, in nats.

    None stands for a token that is not one of its own, because it cuts the text in another way.
    """

    word: str
    loss: float
    log_probas: tuple[float | None, ...]


def other_question(settings: Settings) -> tuple[str, Question] | None:
    """The same rows for the other model, and what it is in a word; None if there is no other one here."""
    trained = access.pretrained_here()
    if settings.model != DEFAULT_MODEL:
        return "untrained", settings.question._replace(model=DEFAULT_MODEL)
    return ("trained", settings.question._replace(model=trained)) if trained else None


def other_model(batch: ScoredBatch, settings: Settings) -> OtherModel | None:
    """What is known of the other model without computing anything."""
    asked = other_question(settings)
    known = reading_if_known(asked[1]) if asked else None
    if asked is None or known is None or known.batch is None:
        return None
    logs = dict(zip(_places(known.batch), known.batch.log_probas.tolist(), strict=True))
    return OtherModel(asked[0], known.batch.loss, tuple(map(logs.get, _places(batch))))


@contextmanager
def other_beside(settings: Settings) -> Iterator[None]:
    """Let the other model read the rows while this thread does something, and then wait a moment for it."""
    asked = other_question(settings)
    begun = None
    with suppress(GptlossError):
        if asked and not reading_if_known(asked[1]):
            begun = reading_ahead(asked[1], stop_without(visitor()))
    yield
    if begun:
        with TURNS.away():
            wait([begun], MOMENT)


def read_other(settings: Settings) -> bool:
    """Let the other model read the rows, if it has not; gives whether there is something new to show."""
    asked = other_question(settings)
    try:
        if asked is None or not access.is_here(asked[1].model) or reading_if_known(asked[1]):
            return False
        return reading(asked[1]).batch is not None
    except GptlossError:  # it cannot be loaded: the switch says so when it is chosen
        return False


def _places(batch: ScoredBatch) -> list[Place]:
    places: list[Place] = []
    for row in batch.rows:
        read = (b"" if row.starts and k == 0 else token.raw for k, token in enumerate(row.inputs))
        ends = accumulate(map(len, read))
        places += [(row.number, end, token.raw) for end, token in zip(ends, row.targets, strict=True)]
    return places
