"""`gptloss compress` and `gptloss decompress`: a text in as many bits as it costs a model, and back."""

import argparse
import os
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tqdm import tqdm

from gptloss.cli.options import add_model, use_compute
from gptloss.cli.table import aligned
from gptloss.corpus.outputs import check_apart
from gptloss.errors import GptlossError
from gptloss.models import find

if TYPE_CHECKING:
    from gptloss.compression.coder import Encoder

# Bytes of a text or a file; a token takes some hundredths of a second, so this would take days.
MOST = 64 << 20


def add_parsers(commands: Any) -> None:
    """Add both to the command line."""
    parser = commands.add_parser("compress", help="a text in as many bits as it costs a model")
    parser.add_argument("file", metavar="FILE", help="a text file in UTF-8; - reads standard input")
    _add_output(parser)
    add_model(parser)
    parser.set_defaults(run=_compress)
    parser = commands.add_parser("decompress", help="the text of a compressed file, byte for byte")
    parser.add_argument("file", metavar="FILE", help="a file that `gptloss compress` wrote")
    _add_output(parser)
    parser.set_defaults(run=_decompress)


def _add_output(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("-o", "--out", required=True, type=Path, metavar="OUT", help="the file to write")
    parser.add_argument("--force", action="store_true", help="write over OUT if it is there")


def _compress(options: argparse.Namespace) -> str:
    raw = _read(options.file)
    text = _text(raw, options.file)
    _check_output(options)
    entry = find(options.model)
    entry.tokenizer()  # says at once if the model is not here
    use_compute("torch", None)
    from gptloss.compression.file import pack
    from gptloss.compression.run import encode
    from gptloss.models import load_model

    model = load_model(options.model)
    with _bar("Compressing", len(model.tokenizer.encode(text))) as bar:
        header, encoder = encode(model, text, lambda done: bar.update())
    packed = pack(header, encoder.code())
    _write(options.out, packed)
    return _told(raw, packed, encoder, options)


def _decompress(options: argparse.Namespace) -> str:
    raw = _read(options.file)
    from gptloss.compression.file import unpack

    header, code = unpack(raw, options.file)
    _check_output(options)
    from gptloss.compression.run import decode, model_for

    model = model_for(header)
    with _bar("Decompressing", header.tokens) as bar:
        text = decode(model, header, code, lambda done: bar.update())
    _write(options.out, text.encode())
    return f"{header.tokens:,} tokens, {header.bytes:,} bytes in {options.out}; the checksum is right."


def _read(file: str) -> bytes:
    """The bytes of a file, or of standard input."""
    try:
        if file == "-":
            raw = sys.stdin.buffer.read(MOST + 1)
        else:
            with open(file, "rb") as source:
                raw = source.read(MOST + 1)
    except (OSError, ValueError) as error:
        raise GptlossError(f"{file} cannot be read ({getattr(error, 'strerror', None) or error}).") from None
    if len(raw) > MOST:
        raise GptlossError(f"{file} has more than {MOST >> 20} MB, which would take days; cut it into parts.")
    return raw


def _text(raw: bytes, file: str) -> str:
    """The text, with each of its bytes: a mark in front of it and its line ends belong to it."""
    from gptloss.corpus.text import not_utf8

    try:
        return raw.decode("utf-8")
    except UnicodeDecodeError as error:
        raise not_utf8("Standard input" if file == "-" else file, error.start, raw[error.start]) from None


def _check_output(options: argparse.Namespace) -> None:
    """Raise `GptlossError` for a file that would be written over, before a model is loaded."""
    if options.file != "-":
        check_apart([Path(options.file)], [("-o", options.out)])
    if options.out.is_dir():
        raise GptlossError(f"{options.out} is a folder; name a file.")
    if options.out.exists() and not options.force:
        raise GptlossError(f"{options.out} is there already; name another file, or write over it with --force.")
    if not options.out.parent.is_dir():
        raise GptlossError(f"There is no folder {options.out.parent}; make it, or name another file.")


def _write(path: Path, raw: bytes) -> None:
    """Whole or not at all."""
    part = None
    try:
        with tempfile.NamedTemporaryFile(dir=path.parent, prefix=".part-", delete=False) as file:
            part = Path(file.name)
            file.write(raw)
        part.chmod(0o666 & ~_umask())
        part.replace(path)
    except OSError as error:
        raise GptlossError(f"{path} cannot be written ({error.strerror or error}); name another file.") from None
    finally:
        if part is not None:
            part.unlink(missing_ok=True)


def _umask() -> int:
    """Which rights a new file does not get; Python can read it only by setting it."""
    mask = os.umask(0)
    os.umask(mask)
    return mask


@contextmanager
def _bar(doing: str, tokens: int) -> Iterator[Any]:
    """Progress on standard error, where somebody watches it."""
    with tqdm(total=tokens, desc=doing, unit=" tokens", file=sys.stderr, disable=None) as bar:
        yield bar


def _told(raw: bytes, packed: bytes, encoder: "Encoder", options: argparse.Namespace) -> str:
    """The sizes, and those of others, in a table."""
    from gptloss.compression.peers import sizes

    info, bits, code = find(options.model).info, sum(encoder.bits), len(encoder.code())
    lines = [
        ("text", f"{len(raw):,} bytes", f"{len(encoder.tokens):,} tokens"),
        ("sum of -log2 p", f"{bits / 8:,.1f} bytes", f"{bits:,.1f} bits under {info.name}"),
        ("code", f"{code:,} bytes", "the coder's whole words"),
        ("file", f"{len(packed):,} bytes", "with its header and checksums"),
        *((name, f"{size:,} bytes", "the same text") for name, size in sizes(raw).items()),
        ("model", f"{4 * info.parameters:,} bytes", "of weights, which the reader of the file needs too"),
    ]
    with suppress(ZeroDivisionError):
        lines[3] = (*lines[3][:2], f"{8 * len(packed) / len(raw):.2f} bits a byte, with its header and checksums")
    return "\n".join(aligned(lines, left={0, 2}))
