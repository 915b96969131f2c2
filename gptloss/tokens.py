"""Text to tokens and back. A token is an id and the bytes it stands for, never a `str`."""

import hashlib
import re
from base64 import b64decode
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Protocol, runtime_checkable

import tiktoken

from gptloss.errors import GptlossError

GPT2_FILE = Path(__file__).parent / "data" / "gpt2.tiktoken"
GPT2_SHA256 = "306cd27f03c1a714eca7108e03d66b7dc042abe8c258b44c199a7ed9838dd930"
END_OF_TEXT = "<|endoftext|>"
# How GPT-2 cuts text before merging: contractions, letters, digits, the rest, blanks (Radford et al. 2019).
GPT2_PATTERN = r"'(?:[sdmt]|ll|ve|re)| ?\p{L}++| ?\p{N}++| ?[^\s\p{L}\p{N}]++|\s++$|\s+(?!\S)|\s"
# GPT-2 cuts before every match of this, whatever stands around it: before a blank that follows something else, and
# between a letter and a mark. Only letters and marks that every version of Unicode has as such.
GPT2_BREAKS = re.compile(
    r"(?<=\S)[ \t\n\r]|(?<=[A-Za-z\u3041-\u3094\u30a1-\u30fa\u4e00-\u9fa5])[!-/:-@\[-`{-~、。「」！，：；？]"
)

BYTES = 256
# What the byte bigram is counted in.
SAMPLE = GPT2_FILE.with_name("sample.txt")

_MARKS = {" ": "·", "\n": "↵", "\t": "⇥", "\r": "␍"}


@dataclass(frozen=True, slots=True)
class Token:
    """One entry of a vocabulary: its id and its bytes."""

    id: int
    raw: bytes

    @property
    def text(self) -> str:
        """The bytes as UTF-8; bytes that are no character become U+FFFD. Lossy: for exact work use `raw`."""
        return self.raw.decode("utf-8", "replace")

    @property
    def label(self) -> str:
        """The token for the eye: `·` a space, `↵` a newline, `<F0 9F>` bytes that are no whole character.

        An id that the tokenizer never gives, which fills a vocabulary up to a round number, is shown as `<id 50300>`.
        """
        if not self.raw:
            return f"<id {self.id}>"
        try:
            text = self.raw.decode("utf-8")
        except UnicodeDecodeError:
            return f"<{self.raw.hex(' ').upper()}>"
        return "".join(_visible(character) for character in text)


def _visible(character: str) -> str:
    if character in _MARKS:
        return _MARKS[character]
    return character if character.isprintable() else f"<U+{ord(character):04X}>"


def text_of(tokens: Iterable[Token]) -> str:
    """The text that the tokens spell; half a character becomes U+FFFD."""
    return b"".join(token.raw for token in tokens).decode("utf-8", "replace")


@runtime_checkable
class Tokenizer(Protocol):
    """What gptloss asks of a tokenizer.

    It may have an attribute `breaks`, a pattern: before every match a text may be cut in two, and the tokens of the
    parts are those of the whole. Without it a long text is encoded whole.
    """

    @property
    def vocab_size(self) -> int:
        """Number of entries V; ids run from 0 to V - 1."""

    def encode(self, text: str) -> tuple[Token, ...]:
        """The tokens of a text, whose bytes join to exactly the text's UTF-8."""

    def token(self, id: int) -> Token:
        """The token with this id. Raises `GptlossError` for an id outside the vocabulary."""


class GPT2Tokenizer:
    """GPT-2's byte-pair encoding, offline, from the vocabulary that ships with gptloss.

    `<|endoftext|>` in a text is plain text (seven tokens) unless `special=True` asks for token 50256.
    Raises `GptlossError` if the vocabulary file is missing or damaged.
    """

    breaks = GPT2_BREAKS

    def __init__(self, path: Path = GPT2_FILE) -> None:
        self._bpe = tiktoken.Encoding(
            "gpt2", pat_str=GPT2_PATTERN, mergeable_ranks=_read_ranks(path), special_tokens={END_OF_TEXT: 50256}
        )

    @property
    def vocab_size(self) -> int:
        return self._bpe.n_vocab

    def encode(self, text: str, *, special: bool = False) -> tuple[Token, ...]:
        """The tokens of `text`. Raises `GptlossError` for half a surrogate pair, which no UTF-8 can hold."""
        check_unicode(text)
        try:
            ids = self._bpe.encode(text, allowed_special="all") if special else self._bpe.encode_ordinary(text)
        except BaseException as error:  # tiktoken's own, for a million blanks in a row, is no Exception
            if type(error).__name__ != "PanicException":
                raise
            raise GptlossError("The text has too many blanks in a row for the tokenizer; remove some.") from None
        return tuple(map(self.token, ids))

    def token(self, id: int) -> Token:
        check_id(id, self.vocab_size)
        return Token(id, self._bpe.decode_single_token_bytes(id))


class ByteTokenizer:
    """Each byte is a token, its own id: V = 256, any text, nothing to learn."""

    breaks = re.compile(".", re.DOTALL)

    @property
    def vocab_size(self) -> int:
        return BYTES

    def encode(self, text: str) -> tuple[Token, ...]:
        """The bytes of `text`. Raises `GptlossError` for half a surrogate pair."""
        check_unicode(text)
        return tuple(map(self.token, text.encode("utf-8")))

    def token(self, id: int) -> Token:
        check_id(id, BYTES)
        return Token(id, bytes([id]))


def _read_ranks(path: Path) -> dict[bytes, int]:
    """Bytes to rank from tiktoken's file format: a line each, base64 and number."""
    try:
        data = path.read_bytes()
    except OSError as error:
        raise GptlossError(f"The vocabulary {path.name} cannot be read ({error}); install gptloss again.") from error
    if hashlib.sha256(data).hexdigest() != GPT2_SHA256:
        raise GptlossError(f"The vocabulary {path.name} is damaged: its checksum is wrong; install gptloss again.")
    return {b64decode(word): int(rank) for word, rank in (line.split() for line in data.splitlines())}


@cache
def gpt2_tokenizer() -> GPT2Tokenizer:
    """The one GPT-2 tokenizer of this process (it takes 0.1 s to make)."""
    return GPT2Tokenizer()


def check_id(id: int, vocab_size: int) -> None:
    """Raise `GptlossError` for an id outside the vocabulary."""
    if not 0 <= id < vocab_size:
        raise GptlossError(f"There is no token {id}; ids run from 0 to {vocab_size - 1:,}.")


def check_unicode(text: str) -> None:
    """Raise `GptlossError` if `text` holds a lone surrogate (half a character, or bytes that were not UTF-8)."""
    try:
        text.encode("utf-8")
    except UnicodeEncodeError as error:
        raise GptlossError(
            f"Character {error.start + 1} of the text, U+{ord(text[error.start]):04X}, is half a character;"
            " remove it or type the whole one."
        ) from error
