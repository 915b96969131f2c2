"""A run over several texts, each by itself, and each in a training and a validation part if that is asked for."""

from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from time import perf_counter

from gptloss.corpus.conventions import Plan
from gptloss.corpus.files import TRAINING, VALIDATION, WHOLE, Skipped, Sums, Text
from gptloss.corpus.log import Log, passes
from gptloss.corpus.parquet import PerToken
from gptloss.corpus.precision import sample_loss
from gptloss.corpus.scoring import ScoredWindow, Tally, TooShortError
from gptloss.errors import GptlossError
from gptloss.models.base import LanguageModel


class Run:
    """Texts under a convention: of the whole, and of each part if there are two, a tally and the seconds it took.

    `files` has each text with the sums of its parts, and `skipped` the parts of which the convention scores nothing.
    """

    def __init__(
        self,
        model: LanguageModel,
        plan: Plan,
        fraction: float | None = None,
        log: Log | None = None,
        per_token: PerToken | None = None,
    ) -> None:
        self.model, self.plan, self.fraction = model, plan, fraction
        self.parts = (WHOLE,) if fraction is None else (WHOLE, TRAINING, VALIDATION)
        self.tallies = {part: Tally(plan) for part in self.parts}
        self.seconds = dict.fromkeys(self.parts, 0.0)
        self.files: list[tuple[Text, dict[str, Sums]]] = []
        self.skipped: list[Skipped] = []
        self._log, self._per_token = log, per_token

    @property
    def apart(self) -> tuple[str, ...]:
        """The parts that each text is scored in."""
        return self.parts[-2:]

    @property
    def loss(self) -> float:
        """The mean loss of all so far, in nats per token; there must be a scored token."""
        return -self.tallies[WHOLE].log_likelihood / self.tallies[WHOLE].tokens

    def score(self, texts: Sequence[Text]) -> Iterator[int]:
        """Score the texts; after each forward pass gives the bytes of text that were scored in it.

        Raises `GptlossError` as `scored_windows` and `pieces_of` do, and if nothing is scored of all texts.
        """
        self.files = [(text, {part: Sums() for part in self.apart}) for text in texts]
        parts = ((text, sums, *part) for text, sums in self.files for part in text.parts(self.fraction))
        for number, (text, sums, part, pieces) in enumerate(parts):
            try:
                yield from self._score(number, text, sums[part], part, pieces)
            except TooShortError as error:
                self.skipped.append(Skipped(text.name, part, str(error)))
        if not self.tallies[WHOLE].tokens:
            raise GptlossError(self.skipped[-1].sentence)

    def _score(self, number: int, text: Text, sums: Sums, part: str, pieces: Iterator[str]) -> Iterator[int]:
        windows, before = 0, self._clock()
        for scored in passes(self.model, pieces, self.plan, number, self._log):
            for window in scored:
                self._add(text, part, windows, window)
                sums.add(window)
                windows += 1
            now = self._clock()
            for name in {WHOLE, part}:
                self.seconds[name] += now - before
            before = now
            yield sum(window.bytes for window in scored)

    def _add(self, text: Text, part: str, number: int, window: ScoredWindow) -> None:
        for name in {WHOLE, part}:
            self.tallies[name].add(window)
        if self._per_token:
            self._per_token.add(text.name, part, number, window, self.plan.bos, self.model.tokenizer)

    def _clock(self) -> float:
        """Seconds of this process, and of those before it that are in the log."""
        return perf_counter() + (self._log.seconds if self._log else 0.0)


@dataclass(frozen=True)
class Deviation:
    """By how much a lower precision moves the loss, in nats per token, and on how many tokens that was measured."""

    loss: float
    tokens: int


def deviation(
    exact: LanguageModel, lower: LanguageModel, texts: Sequence[Text], plan: Plan, fraction: float | None = None
) -> Deviation | None:
    """The loss of `lower` minus that of `exact`, on the first windows of the first text that is long enough."""
    for text in texts:
        with suppress(TooShortError):
            (_, pieces), (_, again) = next(text.parts(fraction)), next(text.parts(fraction))
            sample = sample_loss(exact, pieces, plan)
            return Deviation(sample_loss(lower, again, plan).loss - sample.loss, sample.tokens_scored)
    return None
