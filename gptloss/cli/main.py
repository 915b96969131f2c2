"""The command line: `gptloss loss`, `gptloss text`, `gptloss corpus`, `gptloss generate`, `gptloss models`."""

import argparse
import json
import sys
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any, NoReturn

from gptloss.cli import corpus, doctor, generate, models, stdout, text
from gptloss.cli.compute import add_compute, load
from gptloss.cli.models import add_model
from gptloss.errors import GptlossError
from gptloss.numbers import odds_text, perplexity_text, position_name, proba_text
from gptloss.provenance import provenance, weights_line
from gptloss.tokens import Token

if TYPE_CHECKING:
    from gptloss.scoring.score import ScoredBatch


class _Parser(argparse.ArgumentParser):
    """One sentence on standard error, and exit status 2."""

    def error(self, message: str) -> NoReturn:
        self.exit(2, f"{self.prog}: {message}\n")

    def print_help(self, file: Any = None) -> None:
        """As ever, but a full disk is told."""
        stdout.write(self.format_help())


def main(argv: Sequence[str] | None = None) -> int:
    """Run a command. Returns the exit status: 0, 2 after a mistake of the user's, 130 after Ctrl-C."""
    try:
        stdout.check()
        options = _parser().parse_args(argv)
        _print(options.run(options))
    except GptlossError as error:
        print(f"gptloss: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("gptloss: stopped.", file=sys.stderr)
        return 130
    except BrokenPipeError:
        return 0  # the reader, `head` for one, has seen enough
    return 0


def _print(output: str | Iterator[str]) -> None:
    """Write a text, or its pieces as they come. A line that is stopped in the middle is ended too."""
    try:
        for piece in [output] if isinstance(output, str) else output:
            stdout.write(piece)
    except KeyboardInterrupt:
        stdout.write("\n")
        raise
    stdout.write("\n")


def _parser() -> argparse.ArgumentParser:
    parser = _Parser(prog="gptloss", description="The cross-entropy loss of a language model, step by step.")
    parser.add_argument("--version", action="version", version=doctor.version_text())
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    loss = commands.add_parser("loss", help="the loss of input and target texts, token by token")
    loss.add_argument("--input", action="append", required=True, metavar="TEXT", help="a row; may be repeated")
    loss.add_argument(
        "--target",
        action="append",
        metavar="TEXT",
        help="the row's target, one for each input; without any, inputs are shifted by one token",
    )
    add_model(loss)
    add_compute(loss)
    loss.add_argument("--bos", action="store_true", help="put the model's start token in front of every row")
    loss.add_argument("--json", action="store_true", help="one JSON object at full precision; logs in nats")
    loss.set_defaults(run=_loss)
    text.add_parser(commands)
    corpus.add_parser(commands)
    generate.add_parser(commands)
    models.add_parser(commands)
    doctor.add_parser(commands)
    return parser


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


def aligned(lines: Sequence[Sequence[str]], left: set[int]) -> list[str]:
    """Lines of cells as text with straight columns; those in `left` are flush left, the others right."""
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    return [
        "  ".join(
            cell.ljust(width) if k in left else cell.rjust(width)
            for k, (cell, width) in enumerate(zip(line, widths, strict=True))
        ).rstrip()
        for line in lines
    ]
