"""Mistakes in what is scored: the wrong targets, the wrong start, too little context, the model's own words."""

from collections.abc import Sequence
from itertools import islice
from statistics import fmean

import torch
from jaxtyping import Float
from torch import Tensor

from gptloss import measures
from gptloss.errors import GptlossError
from gptloss.lessons.pitfalls.case import Comparison, Lab, Outcome, loss
from gptloss.lessons.pitfalls.means import LOSS, losses_of
from gptloss.numbers import counted
from gptloss.prediction.sampling import Sampler, generate
from gptloss.scoring.batch import CHUNK, ScoredBatch, ids_of, logits_by_chunks
from gptloss.scoring.rows import Row, start_token
from gptloss.scoring.score import score_rows
from gptloss.tokens import Token

# Tokens that a model writes for itself.
OWN = 8
# With a context that moves on by one token each target is a row of its own; of a longer text the first ones.
MOST = 256


def not_shifted(lab: Lab) -> Comparison:
    """The target is the token that was just read; or the one after the next."""
    batch = lab.batch
    right = loss("shifted by one", "F.cross_entropy(logits[:-1], ids[1:])", batch.loss)
    same = _loss_of(batch, batch.hidden, batch.inputs)
    wrong = [loss("not shifted", "F.cross_entropy(logits, ids)", same)]
    later = [token for row in batch.rows for token in row.targets[1:]]
    if later:
        before = [states[:-1] for states in torch.split(batch.hidden, [len(row.targets) for row in batch.rows])]
        twice = _loss_of(batch, torch.cat(before), later)
        wrong.append(loss("shifted twice", "model(ids[:-1], labels=ids[1:]).loss", twice))
    return Comparison(LOSS, right, tuple(wrong))


def _loss_of(batch: ScoredBatch, hidden: Float[Tensor, "n d"], targets: Sequence[Token]) -> float:
    """The mean loss of other targets at these states, in nats."""
    ids = ids_of(targets)
    logs = [
        measures.target_log_probas(logits, ids[start : start + CHUNK])
        for start, logits in logits_by_chunks(batch.model, hidden)
    ]
    return -torch.cat(logs).double().mean().item()


def start_tokens(lab: Lab) -> Comparison:
    """The start token left out, or there twice. Raises `GptlossError` for a model that knows none."""
    model, start = lab.batch.model, start_token(lab.batch.model)
    bare = [_bare(row) for row in lab.batch.rows if len(row.inputs) > row.starts]
    if not bare:
        raise GptlossError("Only one token would be left without the start token; write a longer text.")

    def outcome(name: str, code: str, times: int) -> Outcome:
        rows = [Row(row.number, row.inputs, row.targets, (start,) * times) for row in bare]
        return loss(name, code, score_rows(model, rows).loss)

    return Comparison(
        LOSS,
        outcome(f"{start.label} once", "ids = [bos, *encode(text)]", 1),
        (
            outcome("there twice", "ids = [bos, *encode_with_bos(text)]", 2),
            outcome("left out", "ids = encode(text)", 0),
        ),
    )


def _bare(row: Row) -> Row:
    """The row without its start token, and without the target that only the start token predicts."""
    return (
        Row(row.number, row.inputs[1:], row.targets[1:]) if row.starts else Row(row.number, row.inputs, row.targets)
    )


def short_context(lab: Lab) -> Comparison:
    """The same targets, each with fewer tokens before it. Raises `GptlossError` where there is nothing to cut."""
    batch = lab.batch
    longest = max(len(row.inputs) for row in batch.rows)
    if longest < 2:
        raise GptlossError("Each row has one input token, so there is no context to cut; write a longer text.")
    context = (longest + 1) // 2
    apart = [
        Row(row.number, row.inputs[at : at + context], row.targets[at : at + context], row.before)
        for row in batch.rows
        for at in range(0, len(row.inputs), context)
    ]
    right = loss("all tokens before it", f"model(ids)  # context {longest}, all at once", batch.loss)
    cut = loss(
        f"context {context}, stride {context}",
        f"[model(ids[at:at + {context}]) for at in range(0, n, {context})]",
        score_rows(batch.model, apart).loss,
    )
    if len(batch) > MOST:
        return Comparison(LOSS, right, (cut,))
    sliding = [
        Row(row.number, row.inputs[at : at + 1], row.targets[at : at + 1], row.before + _before(row, at, context))
        for row in batch.rows
        for at in range(len(row.inputs))
    ]
    slid = loss(
        f"context {context}, stride 1",
        f"[model(ids[at - {context}:at])[-1] for at in range(n)]",
        score_rows(batch.model, sliding).loss,
    )
    return Comparison(LOSS, right, (cut, slid))


def _before(row: Row, at: int, context: int) -> tuple[Token, ...]:
    """The tokens of the row that a context has in front of token `at`, from 0."""
    return row.inputs[max(0, at + 1 - context) : at]


def own_output(lab: Lab) -> Comparison:
    """The model scored on what it writes itself, always its first choice."""
    batch = lab.batch
    row = batch.rows[0]
    prompt = [token.id for token in row.before + row.inputs][-batch.model.info.context_length // 2 :]
    made = list(islice(generate(batch.model, prompt, Sampler(temperature=0)), OWN))
    right = loss("on your text", "loss = score(model, text)", fmean(losses_of(batch)))
    wrong = loss(
        f"on {counted(len(made), 'token')} of its own",
        "loss = score(model, model.generate(prompt))",
        fmean(-step.log_proba for step in made),
    )
    return Comparison(LOSS, right, (wrong,))
