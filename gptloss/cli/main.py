"""The command line: reads the arguments, runs the command, and turns errors into a sentence and a status."""

import argparse
import sys
from collections.abc import Iterator, Sequence
from typing import Any, NoReturn

from gptloss.cli import compress, corpus, doctor, generate, loss, models, serve, stdout, text, train
from gptloss.errors import GptlossError


class _Parser(argparse.ArgumentParser):
    """One sentence on standard error, and exit status 2."""

    def error(self, message: str) -> NoReturn:
        self.exit(2, f"{self.prog}: {message}\n")

    def print_help(self, file: Any = None) -> None:
        """Print the help as argparse does, and report a full disk."""
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
    loss.add_parser(commands)
    text.add_parser(commands)
    corpus.add_parser(commands)
    generate.add_parser(commands)
    train.add_parser(commands)
    compress.add_parsers(commands)
    models.add_parser(commands)
    serve.add_parser(commands)
    doctor.add_parser(commands)
    return parser
