"""`ScoredBatch`: the targets of all rows, with what the model gave each.

Position (i, j) predicts target (i, j): after reading the row's input tokens 1 to j, the model's distribution
is asked for target token j. Both count from 1, as in the book's p_ij.
"""

from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass, fields
from functools import cached_property
from itertools import accumulate
from typing import Any

import torch
from jaxtyping import Float, Int
from torch import Tensor

from gptloss import measures
from gptloss.errors import GptlossError
from gptloss.models import LanguageModel, find, load_model
from gptloss.numbers import position_name
from gptloss.scoring import recent
from gptloss.scoring.agreement import cross_entropies, differ_by_rounding
from gptloss.scoring.predictions import Prediction, one_prediction, predictions
from gptloss.scoring.rows import Row
from gptloss.tokens import Token

# Logits are made 128 tokens at a time: 26 MB for GPT-2, whatever the length of the text.
CHUNK = 128
# The same weights give a logit again within this, whatever kernel multiplies.
CLOSE = 1e-4
# 201 kB each for GPT-2.
LINES_KEPT = 8


@dataclass(frozen=True, eq=False)
class ScoredBatch:
    """The targets of all rows as one list of n, with what the model gave each. Logs are in nats.

    `normalisers` are the logsumexp of all logits at each position, in float64: what is taken off a logit to get ln p.
    `hidden` is the model's final state at each position, [n, d]; the distribution at a position is made from it on
    demand, because keeping all of them would take 201 kB a token. Of each distribution the ten likeliest tokens are
    kept, likeliest first.
    """

    model: LanguageModel
    rows: tuple[Row, ...]
    hidden: Float[Tensor, "n d"]
    logits: Float[Tensor, " n"]
    normalisers: Float[Tensor, " n"]
    ranks: Int[Tensor, " n"]
    entropies: Float[Tensor, " n"]
    argmax_ids: Int[Tensor, " n"]
    top_ids: Int[Tensor, "n k"]
    top_logits: Float[Tensor, "n k"]

    def __repr__(self) -> str:
        count = f"{len(self)} target{'' if len(self) == 1 else 's'}"
        return f"ScoredBatch({self.model.info.name!r}, {count}, loss={self.loss:.4f})"

    def __getstate__(self) -> dict[str, Any]:
        """What is pickled: instead of a model that can be loaded by name its name, for its weights are large."""
        state = {field.name: getattr(self, field.name) for field in fields(self)}
        with suppress(GptlossError):
            state["model"] = find(self.model.info.name).info.name
        return state

    def __setstate__(self, state: dict[str, Any]) -> None:
        """Raises `GptlossError` if the model is not here, or has other weights than were pickled."""
        model = state["model"]
        if isinstance(model, str):
            model = load_model(model, dtype="float64" if state["hidden"].dtype == torch.float64 else "float32")
        for name, value in {**state, "model": model}.items():
            object.__setattr__(self, name, value)
        i, j = self.positions[0]
        if abs(self.logits_at(i, j)[self.targets[0].id] - self.logits[0]) > CLOSE * (1 + self.logits[0].abs()):
            raise GptlossError(
                f"{model.info.name} has other weights than when this was pickled; score the text again with it."
            )

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
        before, length = self._places.get(i, (0, 0))
        if not 1 <= j <= length:
            lengths = ", ".join(str(len(row.targets)) for row in self.rows)
            raise GptlossError(f"There is no {position_name(i, j)}: the rows have {lengths} targets.")
        return before + j - 1

    @cached_property
    def _places(self) -> dict[int, tuple[int, int]]:
        """Row number -> how many targets stand before the row, and how many it has."""
        lengths = [len(row.targets) for row in self.rows]
        starts = accumulate(lengths, initial=0)
        return {row.number: place for row, place in zip(self.rows, zip(starts, lengths, strict=False), strict=True)}

    @cached_property
    def log_probas(self) -> Float[Tensor, " n"]:
        """ln p_ij of each target."""
        return self._less_normaliser(self.logits, self.normalisers)

    @property
    def top_log_probas(self) -> Float[Tensor, "n k"]:
        """ln p of the likeliest tokens at each position."""
        return self._less_normaliser(self.top_logits, self.normalisers[:, None])

    @staticmethod
    def _less_normaliser(logits: Tensor, normalisers: Tensor) -> Tensor:
        """ln p: two numbers that are nearly equal where p is near 1, so they are subtracted in float64."""
        return (logits.double() - normalisers).to(logits.dtype)

    @property
    def target_probas(self) -> Float[Tensor, " n"]:
        """p_ij, the probability the model gave each target."""
        return self.log_probas.exp()

    @cached_property  # a page asks a dozen times
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
    def precision(self) -> str:
        """`float32` or `float64`: what the model computed in."""
        return str(self.logits.dtype).removeprefix("torch.")

    @property
    def target_bytes(self) -> int:
        """How many bytes of text the targets stand for."""
        return sum(len(token.raw) for token in self.targets)

    @property
    def bits_per_byte(self) -> float:
        """The loss in bits, spread over the bytes of the targets: fair between models with different tokens."""
        return measures.bits_per_byte(self.loss * len(self), self.target_bytes)

    @property
    def cross_entropy(self) -> float:
        """The loss once more, by `torch.nn.functional.cross_entropy` in float64 on the logits and targets.

        An independent route, to compare `loss` with: they differ by what float32 rounds off a logit. In float32 it
        would not do: see `cross_entropy_float32`.
        """
        return self._cross_entropies[0]

    @property
    def cross_entropy_float32(self) -> float:
        """The same in float32, as it is usually called: too low by up to 4e-5.

        On a CPU, PyTorch 2.13 adds up the V exponentials of a row one after the other in a few lanes. Beside one
        large term the small ones are lost, so every ln p comes out too high: by 3e-6 at V = 32,000, 4e-5 at 262,000.
        """
        return self._cross_entropies[1]

    @cached_property
    def _cross_entropies(self) -> tuple[float, float]:
        """In float64, and in the logits' own precision."""
        return cross_entropies(self._chunks(), ids_of(self.targets))

    @property
    def agrees(self) -> bool:
        """Whether `loss` and `cross_entropy` are the same but for what float32 rounds off a logit and a logsumexp."""
        return differ_by_rounding(self.loss, self.cross_entropy, self.normalisers)

    def _chunks(self) -> Iterator[tuple[int, Float[Tensor, "c v"]]]:
        """All logits, some at a time, each with the place of its first position."""
        whole = recent.kept(self.hidden)
        return logits_by_chunks(self.model, self.hidden) if whole is None else iter([(0, whole)])

    def logits_of(self, positions: range) -> Float[Tensor, "n v"]:
        """All V logits at these positions of the flattened list, counted from 0."""
        whole = recent.kept(self.hidden)
        if whole is not None:
            return whole[positions.start : positions.stop]
        return self.model.head(self.hidden[positions.start : positions.stop])

    def logits_at(self, i: int, j: int) -> Float[Tensor, " v"]:
        """All V logits at (i, j)."""
        k = self.index(i, j)
        if (whole := recent.kept(self.hidden)) is not None:
            return whole[k]
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
        """All V probabilities at (i, j), e^(logit - normaliser) as those of targets; they sum to 1 within 1e-6."""
        return self._less_normaliser(self.logits_at(i, j), self.normalisers[self.index(i, j)]).exp()

    def top(self, i: int, j: int, k: int) -> tuple[Prediction, ...]:
        """The k likeliest tokens at (i, j), likeliest first. Equal logits share a rank."""
        at = self.index(i, j)
        ids, logits = self.top_ids[at], self.top_logits[at]
        if k > len(ids):
            logits, ids = self.logits_at(i, j).sort(descending=True, stable=True)
        return predictions(self.model.tokenizer, ids[:k], logits[:k], self.normalisers[at])

    def prediction(self, i: int, j: int, id: int) -> Prediction:
        """What the model gave one token at (i, j); of the target that is known without all V logits."""
        at = self.index(i, j)
        token, normaliser = self.model.tokenizer.token(id), self.normalisers[at]
        if token == self.targets[at]:
            return one_prediction(token, self.logits[at], normaliser, int(self.ranks[at]))
        line = self.logits_at(i, j)
        return one_prediction(token, line[id], normaliser, 1 + int((line > line[id]).sum()))


def logits_by_chunks(
    model: LanguageModel, hidden: Float[Tensor, "n d"]
) -> Iterator[tuple[int, Float[Tensor, "c v"]]]:
    for start in range(0, len(hidden), CHUNK):
        yield start, model.head(hidden[start : start + CHUNK])


def ids_of(tokens: Iterable[Token]) -> Int[Tensor, " n"]:
    return torch.tensor([token.id for token in tokens])
