"""Scored rows, shared by all visitors: the same question is computed once."""

from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import nullcontext
from dataclasses import dataclass, replace

from gptloss.errors import GptlossError, TooLongError
from gptloss.models import ModelInfo, find
from gptloss.scoring.batch import ScoredBatch
from gptloss.scoring.rows import Row, read_row
from gptloss.scoring.score import OnScored, score_rows
from gptloss.serving.make_once import MakeOnceCache
from gptloss.serving.models import ModelHandle, in_memory, loaded_as
from gptloss.serving.question import MOST_CHARACTERS, MOST_TOKENS, Question
from gptloss.serving.turns import TURNS

MOST_READINGS = 64  # 6 MB each at most under the lecture's model: 8 rows of a full context
# A text that is read by windows takes 33 MB under GPT-2.
MOST_LONG = 8
# Readings that are begun at once beside the threads that ask for them.
_ahead = ThreadPoolExecutor(32, thread_name_prefix="reading-ahead")


@dataclass(frozen=True)
class Reading:
    """The rows that can be scored, scored, and what is wrong with each of the others, by the number of the row."""

    batch: ScoredBatch | None
    errors: dict[int, GptlossError]


# What a reading depends on, with the model as it is now: a changed checkpoint is read anew.
Key = tuple[ModelInfo, tuple[str, ...], tuple[str, ...] | None, bool]
_readings, _long = MakeOnceCache[Reading](MOST_READINGS), MakeOnceCache[Reading](MOST_LONG)


def _ignore(done: int, total: int) -> None:
    """Nobody wants to hear how far the scoring is."""


def reading(question: Question, on_scored: OnScored = _ignore) -> Reading:
    """The rows read and scored.

    The start token counts only for a model that has one. `on_scored` hears how many tokens are done, if this call is
    the one that scores them; an error that it raises stops the scoring, and nothing is kept. Raises `GptlossError`
    if the model cannot be loaded.
    """
    key = _key(question)
    return _in_turn(_readings, key, None, on_scored)


def reading_if_known(question: Question) -> Reading | None:
    """The rows, if somebody has had them scored before. Raises `GptlossError` for a model that nobody knows."""
    return _readings.peek(_key(question))


def reading_ahead(question: Question, on_scored: OnScored = _ignore) -> Future[Reading] | None:
    """Begin to read the rows beside this thread, if the model is loaded; `reading` waits for it and gives them."""
    if not in_memory(question.model):
        return None
    return _ahead.submit(_read_first, question, on_scored)


def _read_first(question: Question, on_scored: OnScored) -> Reading:
    """For a visitor who is being served: before those who wait."""
    with TURNS.turn(first=True):
        return _in_turn(_readings, _key(question), None, on_scored, keep_logits=False)


def long_reading(question: Question, on_scored: OnScored = _ignore) -> Reading:
    """The same, but rows longer than the model's context are read too, by windows that move on by half of it."""
    short = reading(question, on_scored)
    if not any(isinstance(error, TooLongError) for error in short.errors.values()):
        return short
    key = _key(question)
    return _in_turn(_long, key, stride_of(key[0]), on_scored)


def batch_of(question: Question) -> ScoredBatch:
    """The scored rows, for a chart that is drawn only if there are some."""
    batch = long_reading(question).batch
    assert batch is not None, "only what was scored is drawn"
    return batch


def stride_of(info: ModelInfo) -> int:
    """How far windows move on in a text longer than the context: by half of it, so that half stands before."""
    return max(1, info.context_length // 2)


def _key(question: Question) -> Key:
    info = find(question.model).info
    return info, question.inputs, question.targets, question.bos and info.bos_id is not None


def _in_turn(
    cache: MakeOnceCache[Reading], key: Key, stride: int | None, on_scored: OnScored, keep_logits: bool = True
) -> Reading:
    """Give a known reading at once and make any other in turn; a long text lets others go first after each pass."""

    def report(done: int, total: int) -> None:
        on_scored(done, total)
        if done < total:
            TURNS.give_way()

    # The turn comes before the cache's lock: whoever makes a reading has a turn to do it.
    with nullcontext() if key in cache else TURNS.turn():
        return cache.get(key, lambda: _read(key, stride, report, keep_logits))


def _read(key: Key, stride: int | None, on_scored: OnScored, keep_logits: bool) -> Reading:
    info, inputs, targets, bos = key
    model = loaded_as(info).model
    rows: list[Row] = []
    errors: dict[int, GptlossError] = {}
    for number, given in enumerate(inputs, 1):
        target = None if targets is None else targets[number - 1]
        try:
            _check_characters(number, info, (given, target or ""), stride)
            row = read_row(model, number, given, target, bos, slide=stride is not None)
            _check_length(row)
            rows.append(row)
        except GptlossError as error:
            errors[number] = error.with_traceback(None)  # a traceback would keep the model in memory
    batch = score_rows(model, rows, stride, on_scored, keep_logits) if rows else None
    return Reading(replace(batch, model=ModelHandle(info, model.tokenizer)) if batch else None, errors)


def _check_characters(number: int, info: ModelInfo, texts: tuple[str, str], stride: int | None) -> None:
    """Raise `TooLongError` for a text that is surely too long, before it is cut into tokens."""
    longest = max(map(len, texts))
    if longest > MOST_CHARACTERS:
        raise TooLongError(
            f"Row {number} has {longest:,} characters, more than the {MOST_TOKENS:,} tokens that a page shows.",
            min(MOST_TOKENS, info.context_length) if stride is None else MOST_TOKENS,
        )


def _check_length(row: Row) -> None:
    if len(row.targets) > MOST_TOKENS:
        raise TooLongError(
            f"Row {row.number} has {len(row.targets):,} tokens to score and a page shows at most {MOST_TOKENS:,}.",
            MOST_TOKENS,
        )
