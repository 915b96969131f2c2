"""The loop over texts and their parts, which the command line and the page share; and the run of the command line."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from time import perf_counter

from gptloss.corpus.conventions import Plan
from gptloss.corpus.files import TRAINING, VALIDATION, WHOLE, Skipped, Sums, Text
from gptloss.corpus.log import Log, passes
from gptloss.corpus.parquet import PerToken
from gptloss.corpus.precision import sample_loss
from gptloss.corpus.scoring import ScoredWindow, TooShortError
from gptloss.corpus.tally import Tally
from gptloss.errors import GptlossError
from gptloss.models.base import LanguageModel


@dataclass(frozen=True, eq=False)
class Part:
    """A part of one text, which is scored by itself: the number of the text, the part's name, its text in pieces."""

    text: int
    name: str
    pieces: Iterator[str]


@dataclass(frozen=True, eq=False)
class ScoredPass:
    """What one forward pass scored of a part; or no window, and the `reason` why nothing of the part is scored."""

    text: int
    part: str
    windows: list[ScoredWindow]
    reason: str = ""


def score_parts(
    model: LanguageModel,
    parts: Iterable[Part],
    plan: Plan,
    *,
    log: Log | None = None,
    skip: Callable[[Part], int] = lambda part: 0,
) -> Iterator[ScoredPass]:
    """Score parts of texts, one forward pass after the other: the loop that the command line and the page drive.

    What is in the `log` is not computed again; of each part the first `skip(part)` windows are neither computed nor
    given. A part that is too short under the convention gives one pass without windows. Raises `GptlossError` as
    `scored_windows` and the log do.
    """
    for number, part in enumerate(parts):
        try:
            for windows in passes(model, part.pieces, plan, number, log, skip(part)):
                yield ScoredPass(part.text, part.name, windows)
        except TooShortError as error:
            yield ScoredPass(part.text, part.name, [], str(error))


class CorpusRun:
    """Files under a convention: of the whole, and of each part if there are two, a tally and the seconds it took.

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

        Raises `GptlossError` as `score_parts` and `pieces_of` do, and if nothing is scored of all texts.
        """
        self.files = [(text, {part: Sums() for part in self.apart}) for text in texts]
        parts = (Part(n, name, pieces) for n, text in enumerate(texts) for name, pieces in text.parts(self.fraction))
        before = self._clock()
        for scored in score_parts(self.model, parts, self.plan, log=self._log):
            if scored.reason:
                self.skipped.append(Skipped(texts[scored.text].name, scored.part, scored.reason))
                continue
            self._add(scored)
            now = self._clock()
            for name in {WHOLE, scored.part}:
                self.seconds[name] += now - before
            before = now
            yield sum(window.bytes for window in scored.windows)
        if not self.tallies[WHOLE].tokens:
            raise GptlossError(self.skipped[-1].sentence)

    def _add(self, scored: ScoredPass) -> None:
        text, sums = self.files[scored.text]
        for window in scored.windows:
            number = sums[scored.part].windows
            sums[scored.part].add(window)
            for name in {WHOLE, scored.part}:
                self.tallies[name].add(window)
            if self._per_token:
                self._per_token.add(text.name, scored.part, number, window, self.plan.bos, self.model.tokenizer)

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
