"""The chosen position: its distribution, and the tokens and positions that are pointed out there."""

from dataclasses import dataclass
from functools import cached_property

from gptloss.charts.colours import MODEL, RUNS, TARGET
from gptloss.charts.probabilities import Mark
from gptloss.charts.ranks import Other
from gptloss.errors import GptlossError
from gptloss.numbers import position_name
from gptloss.prediction.distribution import Distribution
from gptloss.scoring.batch import ScoredBatch
from gptloss.scoring.predictions import Prediction
from gptloss.tokens import Token
from views.shared.scored_text import scored
from views.visit import session
from views.visit.fields.kinds import Pin
from views.visit.settings import Settings

# The target, what was searched for, the pins: told apart by their signs, not by their colours alone.
TARGET_SIGN, FOUND_SIGN, FIRST_SIGN, PIN_SIGNS = "▸", "◆", "●", "①②③"
FOUND = RUNS[3]


@dataclass(frozen=True, eq=False)
class ChosenPosition:
    """Position `at` of the scored rows, and what the settings point out there."""

    batch: ScoredBatch
    settings: Settings

    @property
    def at(self) -> tuple[int, int]:
        return self.settings.at

    @property
    def name(self) -> str:
        """`p12`."""
        return position_name(*self.at)

    @property
    def v(self) -> int:
        return self.batch.model.info.vocab_size

    @property
    def target(self) -> Token:
        return self.target_at(self.at)

    @property
    def found(self) -> Token | None:
        """The token that was searched for."""
        return None if self.settings.token is None else self.token(self.settings.token)

    @property
    def subject(self) -> Token:
        """The token that is looked at most closely: the one that was searched for, or the target."""
        return self.found or self.target

    @cached_property
    def distribution(self) -> Distribution:
        return self.distribution_at(self.at)

    def distribution_at(self, at: tuple[int, int]) -> Distribution:
        """The distribution at another position."""
        return Distribution(self.batch.logits_at(*at))

    def target_at(self, at: tuple[int, int]) -> Token:
        return self.batch.targets[self.batch.index(*at)]

    def token(self, id: int) -> Token:
        return self.batch.model.tokenizer.token(id)

    @property
    def marks(self) -> tuple[Mark, ...]:
        """The target first, then what was searched for, then the pinned tokens."""
        marks = [Mark(self.target, TARGET_SIGN, TARGET)]
        marks += [Mark(self.found, FOUND_SIGN, FOUND)] if self.found else []
        pins = enumerate(self.settings.pins)
        return *marks, *(Mark(self.token(pin), PIN_SIGNS[n], RUNS[n]) for n, pin in pins if isinstance(pin, int))

    @property
    def index_marks(self) -> tuple[Mark, ...]:
        """The same with the model's first choice, for the chart by index."""
        first = self.first(1)[0].token
        known = {mark.token.id for mark in self.marks}
        return self.marks if first.id in known else (*self.marks, Mark(first, FIRST_SIGN, MODEL))

    def first(self, k: int) -> tuple[Prediction, ...]:
        """The k likeliest tokens."""
        return self.batch.top(*self.at, k)

    def marked(self, first: tuple[Prediction, ...]) -> tuple[Prediction, ...]:
        """What the marks stand for, if it is not among the first."""
        shown = {found.token.id for found in first}
        missing = dict.fromkeys(mark.token.id for mark in self.marks if mark.token.id not in shown)
        return tuple(self.batch.prediction(*self.at, id) for id in missing)

    @cached_property
    def others(self) -> tuple[Other, ...]:
        """The pinned positions, without the chosen one."""
        return tuple(
            Other(f"{PIN_SIGNS[n]} {position_name(*pin)}", RUNS[n], self.distribution_at(pin))
            for n, pin in enumerate(self.settings.pins)
            if not isinstance(pin, int) and pin != self.at
        )


def chosen_position(settings: Settings) -> ChosenPosition | None:
    """The chosen position; None if no row can be scored."""
    batch = scored(settings)
    return ChosenPosition(batch, settings) if batch else None


def drop_missing_pins(batch: ScoredBatch, settings: Settings) -> None:
    """Take out the pins and the searched token that this text or model does not have; say so if a link named them."""
    wrong = {pin: reason for pin in settings.pins if (reason := _missing(batch, pin))}
    token = settings.token
    lost = None if token is None else _missing(batch, token)
    if wrong or lost:
        said = [f"{reason} It is not pinned." for reason in wrong.values()] + ([lost] if lost else [])
        pins = tuple(pin for pin in settings.pins if pin not in wrong)
        session.correct(" ".join(said), pins=pins, token=None if lost else token)


def _missing(batch: ScoredBatch, pin: Pin) -> str:
    """Why there is no such token or position; empty if there is."""
    try:
        if isinstance(pin, int):
            batch.model.tokenizer.token(pin)
        else:
            batch.index(*pin)
    except GptlossError as error:
        return str(error)
    return ""
