"""A long text in pieces: read from a file, cut in two, and turned into tokens exactly as the whole would be."""

import codecs
import re
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

from gptloss.errors import GptlossError
from gptloss.tokens import Token, Tokenizer

# Characters, or bytes of a file, that are looked at together.
PIECE = 1 << 14
# A place to cut is looked for here first, from the end of a piece.
TAIL = 256
BOM = "\ufeff"


def pieces_of(source: str | Path, name: str | None = None) -> Iterator[str]:
    """The text in pieces: `source` is the text itself, or the path of a file in UTF-8, called `name` in errors.

    Line ends stay as they are; the mark that some programs put in front of UTF-8 is left out. Raises `GptlossError`
    for a file that cannot be read, and for bytes that are not UTF-8, with the place of the first, from 0.
    """
    if isinstance(source, str):
        yield from (source[start : start + PIECE] for start in range(0, len(source), PIECE))
        return
    name = str(source) if name is None else name
    with readable(name):
        yield from _decoded(source, name)


@contextmanager
def readable(name: str) -> Iterator[None]:
    """Turn an error of reading the file called `name` into a `GptlossError`."""
    try:
        yield
    except IsADirectoryError:
        raise GptlossError(f"{name} is a folder; name a text file in it.") from None
    except FileNotFoundError:
        raise GptlossError(f"There is no file {name}; check the name, or use - for standard input.") from None
    except (OSError, ValueError) as error:
        raise GptlossError(f"{name} cannot be read ({error}); name another file.") from None


def _decoded(path: Path, name: str) -> Iterator[str]:
    decoder = codecs.getincrementaldecoder("utf-8")()
    with path.open("rb") as file:
        mark, read, raw = BOM, 0, b" "
        while raw:
            before = read - len(decoder.getstate()[0])
            raw = file.read(PIECE)
            read += len(raw)
            try:
                text = decoder.decode(raw, final=not raw)
            except UnicodeDecodeError as error:
                raise not_utf8(name, before + error.start, error.object[error.start]) from None
            if text:
                yield text.removeprefix(mark)
                mark = ""


def line_ends_sentence(pieces: Iterable[str], name: str) -> str:
    """A sentence on the CRLF line ends of a text that comes in pieces; empty if it has none."""
    count, before = 0, ""
    for piece in pieces:
        count += piece.count("\r\n") + (before == "\r" and piece[:1] == "\n")
        before = piece[-1:]
    ends = "1 line" if count == 1 else f"{count:,} lines"
    told = f"{name} ends {ends} with CRLF, which counts as it stands, as two characters and two bytes;"
    return f"{told} convert the file to LF to count one." if count else ""


def not_utf8(name: str, at: int, byte: int) -> GptlossError:
    """The error for a text whose byte `at`, from 0, is this one."""
    return GptlossError(
        f"{name} is not UTF-8: byte {at:,} is 0x{byte:02X}, which no character has there; save the file as UTF-8."
    )


def split(source: str | Path, fraction: float, name: str | None = None) -> tuple[Iterator[str], Iterator[str]]:
    """(training, validation): the first int(fraction * characters) characters, and the rest, each in pieces.

    A file is read once to count its characters, and again for each part. Raises `GptlossError` as `pieces_of`, and
    for a fraction that is not between 0 and 1.

    Source: chapter 5.1.3 of *Build a Large Language Model (From Scratch)*, S. Raschka, 2024.
    """
    check_fraction(fraction)
    at = int(fraction * sum(map(len, pieces_of(source, name))))
    return _until(pieces_of(source, name), at), _from(pieces_of(source, name), at)


def check_fraction(fraction: float) -> None:
    """Raise `GptlossError` for a split that is not between 0 and 1."""
    if not 0 < fraction < 1:
        raise GptlossError(f"A split at {fraction:g} leaves one part empty; use a number between 0 and 1, as 0.9.")


def _until(pieces: Iterator[str], at: int) -> Iterator[str]:
    for piece in pieces:
        if at <= len(piece):
            yield piece[:at]
            return
        yield piece
        at -= len(piece)


def _from(pieces: Iterator[str], at: int) -> Iterator[str]:
    for piece in pieces:
        if at < len(piece):
            yield piece[at:]
        at = max(0, at - len(piece))


def encoded(tokenizer: Tokenizer, pieces: Iterable[str]) -> Iterator[tuple[Token, ...]]:
    """The tokens of the text that the pieces make, piece by piece; the same as if it were encoded whole.

    The text is cut only where the tokenizer's `breaks` allow; until such a place comes, the text is held in memory. A
    tokenizer without `breaks` gets it whole. Raises `GptlossError` as the tokenizer does.
    """
    breaks: re.Pattern[str] | None = getattr(tokenizer, "breaks", None)
    held: list[str] = []
    for piece in _small(pieces):
        before = held[-1][-1:] if held else ""
        at = _last_break(breaks, before + piece) - len(before) if breaks else -1
        if at < 0:
            held.append(piece)
            continue
        yield tokenizer.encode("".join([*held, piece[:at]]))
        held = [piece[at:]]
    yield tokenizer.encode("".join(held))


def _small(pieces: Iterable[str]) -> Iterator[str]:
    for piece in pieces:
        yield from pieces_of(piece)


def _last_break(breaks: re.Pattern[str], text: str) -> int:
    """The last place of `text`, after its first character, before which it may be cut; -1 if there is none."""
    for start in (max(1, len(text) - TAIL), 1):
        places = [match.start() for match in breaks.finditer(text, start)]
        if places:
            return places[-1]
    return -1


def decoded(raw: bytes, name: str) -> str:
    """The text of a file, without the mark that some programs put in front of UTF-8.

    Raises `GptlossError` for other bytes, with the place of the first, from 0.
    """
    start = len(codecs.BOM_UTF8) if raw.startswith(codecs.BOM_UTF8) else 0
    try:
        return raw[start:].decode("utf-8")
    except UnicodeDecodeError as error:
        at = start + error.start
        raise not_utf8(name, at, raw[at]) from None
