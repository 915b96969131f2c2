"""Finds tokens in a vocabulary by the text they spell, by how they look on the page, or by id."""

import heapq
import re
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import chain
from typing import AnyStr
from weakref import WeakKeyDictionary

from gptloss.tokens import Token, Tokenizer

# A label's way to write what cannot be seen: a blank, a newline, bytes, a character by its number.
_SPELT = {"·": b" ", "↵": b"\n", "⇥": b"\t", "␍": b"\r"}
_BYTES = re.compile("([·↵⇥␍]|<[0-9A-Fa-f]{2}(?: [0-9A-Fa-f]{2})*>|<U\\+[0-9A-Fa-f]{4,5}>)")
_ID = re.compile(r"(?:<id )?([0-9]{1,9})>?")

# No token is so long, in characters; 2 MB would be looked for in every one of them.
LONGEST = 1_000

# How near a token comes to the query, nearest first.
EXACT, BY_ID, AFTER_BLANK, STARTS, HOLDS = range(5)
# Whether only without regard to case, how near, which reading of the query, the token's id.
Match = tuple[int, int, int, int]


@dataclass(frozen=True)
class _Vocabulary:
    """The bytes of each token, and its text without regard to case."""

    raws: tuple[bytes, ...]
    folded: tuple[str, ...]


_vocabularies: WeakKeyDictionary[Tokenizer, _Vocabulary] = WeakKeyDictionary()


def find_tokens(tokenizer: Tokenizer, query: str, limit: int = 10) -> tuple[Token, ...]:
    """The tokens that `query` may mean, the likeliest meaning first.

    None for an empty query, and for one of more than `LONGEST` characters.

    First the token that spells exactly this, the one with this id, and the one with a blank before it; then those
    that start with it, those that hold it, and the same without regard to case. A label copied from the page,
    such as `·the`, `↵` or `<F0 9F>`, is read as what it stands for too, after the text as it is.
    """
    if not query or len(query) > LONGEST:
        return ()
    readings = _readings(tokenizer, query)
    best = heapq.nsmallest(limit * len(readings), chain(*readings))  # a token may match in several ways
    return tuple(map(tokenizer.token, list(dict.fromkeys(id for *_, id in best))[:limit]))


def _readings(tokenizer: Tokenizer, query: str) -> list[list[Match]]:
    words = _vocabulary(tokenizer)
    forms = dict.fromkeys([query.encode("utf-8", "surrogatepass"), _spelt(query)])
    number = _ID.fullmatch(query)
    id = int(number[1]) if number else len(words.raws)
    return [
        [(0, BY_ID, 0, id)] if id < len(words.raws) else [],
        *([(0, _nearness(words.raws[id], form, b" "), n, id) for id in _holding(words.raws, form)]
          for n, form in enumerate(forms)),
        [(1, _nearness(words.folded[id], query.casefold(), " "), 0, id)
         for id in _holding(words.folded, query.casefold())],
    ]  # fmt: skip


def _holding(texts: Sequence[AnyStr], form: AnyStr) -> list[int]:
    return [id for id, text in enumerate(texts) if form in text]


def _nearness(text: AnyStr, form: AnyStr, blank: AnyStr) -> int:
    """How near a text that holds `form` comes to being it."""
    if text == form:
        return EXACT
    if text == blank + form:
        return AFTER_BLANK
    return STARTS if text.startswith((form, blank + form)) else HOLDS


def _spelt(query: str) -> bytes:
    """The bytes that a label stands for."""
    return b"".join(
        _byte_part(part) if n % 2 else part.encode("utf-8", "surrogatepass")
        for n, part in enumerate(_BYTES.split(query))
    )


def _byte_part(part: str) -> bytes:
    if part in _SPELT:
        return _SPELT[part]
    if part.startswith("<U+"):
        return chr(int(part[3:-1], 16)).encode("utf-8", "surrogatepass")
    return bytes.fromhex(part[1:-1])


def _vocabulary(tokenizer: Tokenizer) -> _Vocabulary:
    """Made once for each tokenizer, and let go with it: about 8 MB for GPT-2."""
    if tokenizer not in _vocabularies:
        _vocabularies[tokenizer] = _read(tokenizer)
    return _vocabularies[tokenizer]


def _read(tokenizer: Tokenizer) -> _Vocabulary:
    tokens = [tokenizer.token(id) for id in range(tokenizer.vocab_size)]
    return _Vocabulary(
        tuple(token.raw for token in tokens),
        tuple(token.raw.decode("utf-8", "ignore").casefold() for token in tokens),
    )
