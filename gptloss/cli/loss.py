"""`gptloss loss`: the loss of input and target texts, token by token."""

import argparse
import json
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from gptloss.cli.options import add_compute, add_model, add_start_token, load
from gptloss.cli.table import aligned
from gptloss.numbers import odds_text, perplexity_text, position_name, proba_text
from gptloss.provenance import provenance, weights_line
from gptloss.tokens import Token

if TYPE_CHECKING:
    from gptloss.scoring.batch import ScoredBatch


def add_parser(commands: Any) -> None:
    """Add `loss` to the command line."""
    parser = commands.add_parser("loss", help="the loss of input and target texts, token by token")
    parser.add_argument("--input", action="append", required=True, metavar="TEXT", help="a row; may be repeated")
    parser.add_argument(
        "--target",
        action="append",
        metavar="TEXT",
        help="the row's target, one for each input; without any, inputs are shifted by one token",
    )
    add_model(parser)
    add_compute(parser)
    add_start_token(parser, "put the model's start token in front of every row")
    parser.add_argument("--json", action="store_true", help="one JSON object at full precision; logs in nats")
    parser.set_defaults(run=_loss)


def _loss(options: argparse.Namespace) -> str:
    model = load(options)
    from gptloss.scoring.score import score

    batch = score(model, options.input, options.target, bos=options.bos)
    return json.dumps(loss_as_json(batch)) if options.json else loss_as_text(batch)


def loss_as_json(batch: "ScoredBatch") -> dict[str, Any]:
    """The ladder as plain data, at full precision; logs and entropies in nats."""
    from gptloss.measures import uniform_loss

    info = batch.model.info
    return {
        "command": "loss",
        "model": info.as_json(),
        "rows": _rows_as_json(batch),
        "count": len(batch),
        "avg_log_proba": batch.avg_log_proba,
        "loss": batch.loss,
        "perplexity": batch.perplexity,
        "cross_entropy": batch.cross_entropy,
        "uniform_loss": uniform_loss(info.vocab_size),
        "provenance": _provenance(batch),
    }


def _provenance(batch: "ScoredBatch") -> dict[str, Any]:
    bos = any(row.before or row.starts for row in batch.rows)
    return provenance(batch.model, bos=bos, precision=batch.precision)


def _rows_as_json(batch: "ScoredBatch") -> list[dict[str, Any]]:
    rows, start = [], 0
    for row in batch.rows:
        part = slice(start, start := start + len(row.targets))
        rows.append(
            {
                "input": _tokens_as_json(row.inputs),
                "target": _tokens_as_json(row.targets),
                "argmax": _tokens_as_json(batch.argmax[part]),
                "logits": batch.logits[part].tolist(),
                "probas": batch.log_probas[part].double().exp().tolist(),
                "log_probas": batch.log_probas[part].tolist(),
                "ranks": batch.ranks[part].tolist(),
                "entropies": batch.entropies[part].tolist(),
            }
        )
    return rows


def _tokens_as_json(tokens: Sequence[Token]) -> list[dict[str, Any]]:
    return [{"id": token.id, "text": token.text} for token in tokens]


def loss_as_text(batch: "ScoredBatch") -> str:
    """The ladder as a table to read: a line for each p_ij, then the mean, the loss and the perplexity."""
    from gptloss.measures import uniform_loss

    info = batch.model.info
    head = ("p", "input", "target", "id", "logit", "rank", "probability", "odds", "ln p")
    lines = [
        (
            position_name(i, j),
            given.label,
            target.label,
            str(target.id),
            f"{logit:+.4f}",
            f"{rank:,}",
            proba_text(log_proba),
            odds_text(log_proba),
            f"{log_proba:.4f}",
        )
        for (i, j), given, target, logit, rank, log_proba in zip(
            batch.positions,
            batch.inputs,
            batch.targets,
            batch.logits.tolist(),
            batch.ranks.tolist(),
            batch.log_probas.tolist(),
            strict=True,
        )
    ]
    totals = [
        ("avg_log_proba", f"{batch.avg_log_proba:.4f}", f"the mean of {len(batch)} logs"),
        ("loss", f"{batch.loss:.4f}", "minus the mean, nats per token"),
        ("perplexity", perplexity_text(batch.loss), "e^loss"),
        ("cross_entropy", f"{batch.cross_entropy:.4f}", "torch.nn.functional.cross_entropy, to compare"),
        ("uniform_loss", f"{uniform_loss(info.vocab_size):.4f}", f"ln {info.vocab_size:,}, a blind guess"),
    ]
    title = f"{info.name}: {info.parameters:,} parameters, context {info.context_length:,}"
    origin = weights_line(_provenance(batch))
    return "\n".join([title, origin, "", *aligned([head, *lines], left={0, 1, 2}), "", *aligned(totals, left={0, 2})])
