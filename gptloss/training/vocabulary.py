"""The vocabulary of a run: GPT-2's byte-pair encoding, or a part of it that still spells every text.

A part holds the 256 bytes and, with each longer entry, the two that it was merged from (Sennrich et al. 2016). So it
is a byte-pair encoding of its own, which transformers reads from a tokenizer.json.
"""

import itertools
from collections import Counter
from collections.abc import Iterable
from functools import cache
from pathlib import Path

from tokenizers import AddedToken, Tokenizer, decoders, pre_tokenizers
from tokenizers.models import BPE

from gptloss.models.checkpoints.json_tokens import ALPHABET
from gptloss.tokens import END_OF_TEXT, gpt2_tokenizer
from gptloss.training.recipe import BYTES, GPT2

Pair = tuple[bytes, bytes]


def write_tokenizer(text: str, vocab_size: int, folder: Path) -> int:
    """Write the tokenizer.json of a vocabulary for this text, of at most `vocab_size` entries; returns how many.

    Fewer if the text has fewer tokens. Raises `OSError` for a full disk.
    """
    ranks = _ranks()
    kept = set(ranks) if vocab_size == GPT2 else commonest(text, vocab_size)
    letters = {byte: letter for letter, byte in ALPHABET.items()}

    def spelt(raw: bytes) -> str:
        return "".join(map(letters.__getitem__, raw))

    in_order = sorted(kept, key=ranks.__getitem__)
    vocabulary = {spelt(raw): id for id, raw in enumerate(in_order)}
    pairs = (parts(raw) for raw in in_order if len(raw) > 1)
    merges = [(spelt(first), spelt(second)) for first, second in pairs]
    tokenizer = Tokenizer(BPE(vocabulary, merges))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    if vocab_size == GPT2:
        tokenizer.add_special_tokens([AddedToken(END_OF_TEXT, special=True)])
    (folder / "tokenizer.json").write_text(tokenizer.to_str(), "utf-8")
    return tokenizer.get_vocab_size()


def commonest(text: str, vocab_size: int) -> set[bytes]:
    """The bytes, the commonest tokens of the text and what these were merged from, at most `vocab_size` in all."""
    kept = {bytes([byte]) for byte in range(BYTES)}
    for token, _ in Counter(gpt2_tokenizer().encode(text)).most_common():
        needed = set(_with_parts(token.raw)) - kept
        if len(kept) + len(needed) <= vocab_size:
            kept |= needed
        if len(kept) == vocab_size:
            break
    return kept


def _with_parts(raw: bytes) -> Iterable[bytes]:
    yield raw
    if len(raw) > 1:
        for part in parts(raw):
            yield from _with_parts(part)


@cache
def parts(raw: bytes) -> Pair:
    """The two entries that this one of GPT-2's was merged from: the last two that are left below its own rank."""
    ranks = _ranks()
    left = [raw[i : i + 1] for i in range(len(raw))]
    while len(left) > 2:
        pairs = [(ranks.get(a + b, GPT2), i) for i, (a, b) in enumerate(itertools.pairwise(left))]
        _, i = min(pairs)
        left[i : i + 2] = [left[i] + left[i + 1]]
    return left[0], left[1]


@cache
def _ranks() -> dict[bytes, int]:
    """GPT-2's entries without the special one, and the order in which they were merged, which is their id."""
    tokenizer = gpt2_tokenizer()
    return {tokenizer.token(id).raw: id for id in range(GPT2 - 1)}
