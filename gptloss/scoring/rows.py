"""Texts or token ids to rows with as many targets as inputs, or a sentence that says what is wrong."""

import operator
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, SupportsIndex, cast, runtime_checkable

from gptloss.errors import GptlossError, TooLongError, UnequalLengthsError
from gptloss.models.base import LanguageModel
from gptloss.numbers import counted
from gptloss.tokens import Token, Tokenizer


@runtime_checkable
class Ids(Protocol):
    """Token ids: a list, an array or a tensor of them."""

    def __len__(self) -> int: ...

    def __iter__(self) -> Iterator[SupportsIndex]: ...

    def __getitem__(self, index: int, /) -> Any: ...


TextOrIds = str | Ids


@dataclass(frozen=True)
class Row:
    """One row of the batch: as many target tokens as input tokens, and its number i, from 1.

    `before` is read in front of the inputs and predicts nothing: a start token, or nothing. `starts` says that
    the first input is the start token, which stands for no text.
    """

    number: int
    inputs: tuple[Token, ...]
    targets: tuple[Token, ...]
    before: tuple[Token, ...] = ()
    starts: bool = False


def read_row(
    model: LanguageModel,
    number: int,
    given: TextOrIds,
    target: TextOrIds | None,
    bos: bool = False,
    slide: bool = False,
) -> Row:
    """Turn one input and its target into tokens; `target=None` shifts the input by one, after the start token.

    `slide` lets the row be longer than the context. Raises `UnequalLengthsError`, `TooLongError` or plain
    `GptlossError` with the row's number and the way out.
    """
    tokenizer = model.tokenizer
    before = (start_token(model),) if bos else ()
    inputs = tokens_of(tokenizer, given, f"Row {number}'s input")
    if target is None:
        if len(inputs) == 1 and not bos:
            raise GptlossError(
                f"Row {number} is one token, {inputs[0].label!r}, so there is no next token to predict;"
                " write at least two."
            )
        sequence, before = before + inputs, ()
        inputs, targets = sequence[:-1], sequence[1:]
    else:
        targets = tokens_of(tokenizer, target, f"Row {number}'s target")
    limit = model.info.context_length - len(before)
    if len(inputs) > limit and not slide:
        raise TooLongError(
            f"Row {number}'s input has {len(inputs):,} tokens and {model.info.name} reads at most {limit:,} at once.",
            limit,
        )
    if len(inputs) != len(targets):
        raise UnequalLengthsError(
            f"Row {number} has {counted(len(inputs), 'token')} in its input and"
            f" {counted(len(targets), 'token')} in its target; each input token needs one target token."
        )
    return Row(number, inputs, targets, before, starts=bos and target is None)


def start_token(model: LanguageModel) -> Token:
    """The token that a text may start with. Raises `GptlossError` if the model knows none."""
    if model.info.bos_id is None:
        raise GptlossError(f"{model.info.name} has no start token; score without one.")
    return model.tokenizer.token(model.info.bos_id)


def as_rows(rows: TextOrIds | Sequence[TextOrIds]) -> list[TextOrIds]:
    """One row or several, as several."""
    single = isinstance(rows, str) or (len(rows) > 0 and _is_id(rows[0]))
    return [cast(TextOrIds, rows)] if single else list(cast(Sequence[TextOrIds], rows))


def _is_id(value: object) -> bool:
    """Whether this is a whole number, of Python's, numpy's or torch's."""
    try:
        operator.index(value)  # type: ignore[arg-type]
    except TypeError:
        return False
    return True


def tokens_of(tokenizer: Tokenizer, row: TextOrIds, what: str) -> tuple[Token, ...]:
    try:
        tokens = (
            tokenizer.encode(row)
            if isinstance(row, str)
            else tuple(tokenizer.token(operator.index(id)) for id in row)
        )
    except TypeError as error:
        raise GptlossError(f"{what} is neither a text nor whole numbers: {error}.") from error
    except GptlossError as error:
        raise GptlossError(f"{what}: {error}") from error
    if not tokens:
        raise GptlossError(f"{what} is empty; type some text or remove the row.")
    return tokens
