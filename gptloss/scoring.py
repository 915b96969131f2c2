"""score(): rows of text in, the loss of every target token out. The centre of everything.

Position (i, j) predicts target (i, j): after reading the row's input tokens 1 to j, the model's distribution
is asked for target token j. Both count from 1, as in the book's p_ij.
"""

import operator
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import groupby
from typing import SupportsIndex, cast

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from torch import Tensor

from gptloss import measures
from gptloss.errors import GptlossError, TooLongError, UnequalLengthsError
from gptloss.models.base import LanguageModel
from gptloss.numbers import position_name
from gptloss.tokens import Token, Tokenizer

TextOrIds = str | Sequence[SupportsIndex]

# Logits are made 128 tokens at a time: 26 MB for GPT-2, whatever the length of the text.
CHUNK = 128
# 201 kB each for GPT-2.
LINES_KEPT = 8
# Rows that run together are padded to the longest; 16 short rows fill the machine.
ROWS_AT_ONCE = 16


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


@dataclass(frozen=True)
class Prediction:
    """One entry of a distribution: the token, its probability, its natural log, its rank (1 = first choice)."""

    token: Token
    proba: float
    log_proba: float
    rank: int


@dataclass(frozen=True, eq=False)
class ScoredBatch:
    """The targets of all rows as one list of n, with what the model gave each. Logs are in nats.

    `hidden` is the model's final state at each position, [n, d]; the distribution at a position is made from
    it on demand, because keeping all of them would take 201 kB a token.
    """

    model: LanguageModel
    rows: tuple[Row, ...]
    hidden: Float[Tensor, "n d"]
    logits: Float[Tensor, " n"]
    log_probas: Float[Tensor, " n"]
    ranks: Int[Tensor, " n"]
    entropies: Float[Tensor, " n"]
    argmax_ids: Int[Tensor, " n"]

    @cached_property
    def positions(self) -> tuple[tuple[int, int], ...]:
        """(i, j) of each target, in the order of the flattened list."""
        return tuple((row.number, j) for row in self.rows for j in range(1, len(row.targets) + 1))

    @cached_property
    def inputs(self) -> tuple[Token, ...]:
        """The input tokens of all rows, as one list."""
        return tuple(token for row in self.rows for token in row.inputs)

    @cached_property
    def targets(self) -> tuple[Token, ...]:
        """The target tokens of all rows, as one list."""
        return tuple(token for row in self.rows for token in row.targets)

    @cached_property
    def argmax(self) -> tuple[Token, ...]:
        """The model's first choice at each position."""
        return tuple(self.model.tokenizer.token(id) for id in self.argmax_ids.tolist())

    def __len__(self) -> int:
        return len(self.positions)

    def index(self, i: int, j: int) -> int:
        """Where p_ij stands in the flattened list, from 0. Raises `GptlossError` if there is no such position."""
        try:
            return self.positions.index((i, j))
        except ValueError:
            lengths = ", ".join(str(len(row.targets)) for row in self.rows)
            raise GptlossError(f"There is no {position_name(i, j)}: the rows have {lengths} targets.") from None

    @property
    def target_probas(self) -> Float[Tensor, " n"]:
        """p_ij, the probability the model gave each target."""
        return self.log_probas.exp()

    @property
    def avg_log_proba(self) -> float:
        """The mean of the logs over all n targets: weighted by tokens, not by rows."""
        return self.log_probas.double().mean().item()

    @property
    def neg_avg_log_proba(self) -> float:
        """The cross-entropy loss, in nats per token."""
        return -self.avg_log_proba

    loss = neg_avg_log_proba

    @property
    def perplexity(self) -> float:
        """e^loss."""
        return measures.perplexity(self.loss)

    @property
    def target_bytes(self) -> int:
        """How many bytes of text the targets stand for."""
        return sum(len(token.raw) for token in self.targets)

    @property
    def bits_per_byte(self) -> float:
        """The loss in bits, spread over the bytes of the targets: fair between models with different tokens."""
        return measures.bits_per_byte(self.loss * len(self), self.target_bytes)

    @cached_property
    def cross_entropy(self) -> float:
        """The loss once more, by `torch.nn.functional.cross_entropy` on the flattened logits and targets.

        An independent route, to compare `loss` with: they agree within 1e-5.
        """
        ids = _ids(self.targets)
        sums = [
            F.cross_entropy(logits, ids[start : start + CHUNK], reduction="sum").double()
            for start, logits in _logits(self.model, self.hidden)
        ]
        return (torch.stack(sums).sum() / len(self)).item()

    def logits_at(self, i: int, j: int) -> Float[Tensor, " v"]:
        """All V logits at (i, j)."""
        k = self.index(i, j)
        line = self._lines.get(k)
        if line is None:
            line = self.model.head(self.hidden[k : k + 1])[0]
            self._lines[k] = line
            while len(self._lines) > LINES_KEPT:
                self._lines.pop(next(iter(self._lines)), None)
        return line

    @cached_property
    def _lines(self) -> dict[int, Tensor]:
        """The logits of the positions last asked for: a page asks for the same ones several times."""
        return {}

    def distribution(self, i: int, j: int) -> Float[Tensor, " v"]:
        """All V probabilities at (i, j), the softmax of the logits; they sum to 1."""
        return self.logits_at(i, j).softmax(-1)

    def top(self, i: int, j: int, k: int) -> tuple[Prediction, ...]:
        """The k likeliest tokens at (i, j), likeliest first. Equal logits share a rank."""
        logits = self.logits_at(i, j)
        best = logits.topk(min(k, len(logits)))
        log_probas = (best.values - logits.logsumexp(-1)).tolist()
        ranks = (1 + (logits > best.values[:, None]).sum(-1)).tolist()
        return tuple(
            Prediction(self.model.tokenizer.token(id), proba, log_proba, rank)
            for id, proba, log_proba, rank in zip(
                best.indices.tolist(), torch.tensor(log_probas).exp().tolist(), log_probas, ranks, strict=True
            )
        )


def score(
    model: LanguageModel,
    inputs: TextOrIds | Sequence[TextOrIds],
    targets: TextOrIds | Sequence[TextOrIds] | None = None,
    *,
    bos: bool = False,
) -> ScoredBatch:
    """Score rows of text or of token ids: the loss of every target token.

    `inputs` is one row or several, each a text or a list of ids. `targets` has a row for each, of the same
    number of tokens; left out, the targets are the inputs shifted by one, so that a row of t tokens has
    t - 1 positions. Rows may differ in length. `bos=True` puts the model's start token in front of every row;
    without targets that lets the first token be predicted too, so a row of t tokens has t positions. Raises
    `GptlossError` for a row that is empty, too long or unequal to its target, and for a start token that the
    model does not have, with the way out.

    Source: chapter 5.1 of *Build a Large Language Model (From Scratch)*, S. Raschka, 2024.
    """
    input_rows = _as_rows(inputs)
    target_rows = [None] * len(input_rows) if targets is None else _as_rows(targets)
    if len(input_rows) != len(target_rows):
        raise GptlossError(
            f"There are {len(input_rows)} inputs and {len(target_rows)} targets; give one target for each input."
        )
    pairs = zip(input_rows, target_rows, strict=True)
    return score_rows(model, [read_row(model, i, given, target, bos) for i, (given, target) in enumerate(pairs, 1)])


def read_row(model: LanguageModel, number: int, given: TextOrIds, target: TextOrIds | None, bos: bool = False) -> Row:
    """Turn one input and its target into tokens; `target=None` shifts the input by one, after the start token.

    Raises `UnequalLengthsError`, `TooLongError` or plain `GptlossError` with the row's number and the way out.
    """
    tokenizer = model.tokenizer
    before = (start_token(model),) if bos else ()
    inputs = _tokens(tokenizer, given, f"Row {number}'s input")
    if target is None:
        if len(inputs) == 1 and not bos:
            raise GptlossError(
                f"Row {number} is one token, {inputs[0].label!r}, so there is no next token to predict;"
                " write at least two."
            )
        sequence, before = before + inputs, ()
        inputs, targets = sequence[:-1], sequence[1:]
    else:
        targets = _tokens(tokenizer, target, f"Row {number}'s target")
    limit = model.info.context_length - len(before)
    if len(inputs) > limit:
        raise TooLongError(
            f"Row {number}'s input has {len(inputs):,} tokens and {model.info.name} reads at most {limit:,} at once.",
            limit,
        )
    if len(inputs) != len(targets):
        raise UnequalLengthsError(
            f"Row {number} has {_count(inputs)} in its input and {_count(targets)} in its target;"
            " each input token needs one target token."
        )
    return Row(number, inputs, targets, before, starts=bos and target is None)


def start_token(model: LanguageModel) -> Token:
    """The token that a text may start with. Raises `GptlossError` if the model knows none."""
    if model.info.bos_id is None:
        raise GptlossError(f"{model.info.name} has no start token; score without one.")
    return model.tokenizer.token(model.info.bos_id)


def score_rows(model: LanguageModel, rows: Sequence[Row]) -> ScoredBatch:
    """Score rows that `read_row` made. Raises `GptlossError` if there is none."""
    if not rows:
        raise GptlossError("There is no row to score; give at least one input.")
    hidden = _hidden(model, rows)
    ids = _ids(token for row in rows for token in row.targets)
    parts = [_measure(logits, ids[start : start + CHUNK]) for start, logits in _logits(model, hidden)]
    return ScoredBatch(model, tuple(rows), hidden, *(torch.cat(column) for column in zip(*parts, strict=True)))


def _measure(logits: Float[Tensor, "n v"], ids: Int[Tensor, " n"]) -> tuple[Tensor, ...]:
    return (
        measures.target_logits(logits, ids),
        measures.target_log_probas(logits, ids),
        measures.target_ranks(logits, ids),
        measures.entropies(logits),
        logits.argmax(-1),
    )


def _logits(model: LanguageModel, hidden: Float[Tensor, "n d"]) -> Iterator[tuple[int, Float[Tensor, "c v"]]]:
    for start in range(0, len(hidden), CHUNK):
        yield start, model.head(hidden[start : start + CHUNK])


def _hidden(model: LanguageModel, rows: Sequence[Row]) -> Float[Tensor, "n d"]:
    """Final states of all rows, one after the other; rows of like length run together."""

    def size(i: int) -> int:
        return len(rows[i].before + rows[i].inputs).bit_length()

    states: dict[int, Tensor] = {}
    for _, group in groupby(sorted(range(len(rows)), key=size), key=size):
        members = list(group)
        for start in range(0, len(members), ROWS_AT_ONCE):
            together = members[start : start + ROWS_AT_ONCE]
            states |= zip(together, _run(model, [rows[i] for i in together]), strict=True)
    return torch.cat([states[i] for i in range(len(rows))])


def _run(model: LanguageModel, rows: Sequence[Row]) -> list[Float[Tensor, "t d"]]:
    """One forward pass. Padding on the right changes nothing before it: the model is causal."""
    padded = torch.nn.utils.rnn.pad_sequence([_ids(row.before + row.inputs) for row in rows], batch_first=True)
    return [
        state[len(row.before) : len(row.before) + len(row.inputs)]
        for row, state in zip(rows, model.hidden(padded), strict=True)
    ]


def _ids(tokens: Iterable[Token]) -> Int[Tensor, " n"]:
    return torch.tensor([token.id for token in tokens])


def _as_rows(rows: TextOrIds | Sequence[TextOrIds]) -> list[TextOrIds]:
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


def _tokens(tokenizer: Tokenizer, row: TextOrIds, what: str) -> tuple[Token, ...]:
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


def _count(tokens: Sequence[Token]) -> str:
    return f"{len(tokens):,} token{'' if len(tokens) == 1 else 's'}"
