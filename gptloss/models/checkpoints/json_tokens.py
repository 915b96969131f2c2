"""The tokenizer of a checkpoint, from its tokenizer.json: text to ids, and every id to its bytes.

Two families spell bytes. In byte-level BPE (GPT-2, Llama 3, Qwen2) each character of a vocabulary entry stands for
a byte. In the sentencepiece kind (Llama 2, Mistral, Gemma) an entry is text, with `▁` for a blank and `<0x0A>` for
a byte of a character that has no entry of its own.
"""

import json
import re
from functools import lru_cache
from pathlib import Path
from typing import Any

from tokenizers import Tokenizer, decoders
from tokenizers.models import BPE, Unigram
from tokenizers.pre_tokenizers import ByteLevel

from gptloss.errors import GptlossError
from gptloss.models.checkpoints.bounds import MOST_TOKENIZER, check_file
from gptloss.tokens import GPT2_BREAKS, Token, check_id, check_unicode

BLANK = "▁"
BYTE = re.compile(r"<0x[0-9A-F]{2}>")
# A checkpoint's table is often padded to a round number; the largest paddings in use are 2 %.
PADDING = 0.05


class JsonTokenizer:
    """A tokenizer.json as a `Tokenizer`; `vocab_size` is V, the number of the model's logits.

    The file may also be a vocab.json with its merges.txt beside it, which is read as GPT-2's kind of byte-level BPE.
    Special tokens in a text are plain text, and nothing is cut, padded or added. Ids that the file does not know
    have no bytes. Raises `GptlossError` for a file that is missing or damaged, spells no bytes or does not fit V.
    """

    def __init__(self, file: Path, vocab_size: int) -> None:
        self._file = file
        self._tokenizer = _read(file)
        spec = json.loads(self._tokenizer.to_str())
        raws = _raws(self._tokenizer, _is_byte_level(spec, file))
        _check_size(file, max(raws, default=-1) + 1, vocab_size)
        self._tokens = tuple(Token(id, raws.get(id, b"")) for id in range(vocab_size))
        self._prepends = "Prepend" in _kinds(spec["normalizer"])
        self.breaks = GPT2_BREAKS if _cuts_as_gpt2(spec) else None
        _settle(self._tokenizer, spec["model"])

    @property
    def vocab_size(self) -> int:
        return len(self._tokens)

    def encode(self, text: str) -> tuple[Token, ...]:
        """The tokens of `text`, whose bytes join to its UTF-8, or to that of the text as the file normalises it.

        The blank that some tokenizers put before a text is no part of the first token's bytes. Raises
        `GptlossError` for half a surrogate pair and for a character that the vocabulary cannot spell.
        """
        check_unicode(text)
        tokens = [self._tokens[id] for id in self._ids(text)]
        spelt = b"".join(token.raw for token in tokens)
        if spelt != text.encode() and spelt != (wanted := self._normalised(text)):
            if spelt != b" " + wanted or not tokens[0].raw:
                raise self._lost(spelt, wanted)
            tokens[0] = Token(tokens[0].id, tokens[0].raw[1:])
        return tuple(tokens)

    def _ids(self, text: str) -> list[int]:
        """The ids of a text. The file's own pattern may give up on it, which is no `Exception` in Python."""
        try:
            ids: list[int] = self._tokenizer.encode(text, add_special_tokens=False).ids
        except BaseException as error:
            if type(error).__name__ != "PanicException" and not isinstance(error, Exception):
                raise
            raise GptlossError(
                f"The pattern in {self._file} gives up on this text; choose a shorter text or another model."
            ) from None
        return ids

    def token(self, id: int) -> Token:
        check_id(id, self.vocab_size)
        return self._tokens[id]

    def _normalised(self, text: str) -> bytes:
        """The text as the tokenizer sees it, without the blank put before it."""
        if self._tokenizer.normalizer is not None:
            text = self._tokenizer.normalizer.normalize_str(text)
        return (text.removeprefix(BLANK) if self._prepends else text).replace(BLANK, " ").encode()

    def _lost(self, spelt: bytes, wanted: bytes) -> GptlossError:
        if not wanted.startswith(b" "):
            spelt = spelt.removeprefix(b" ")
        pairs = zip(spelt, wanted, strict=False)
        same = next((i for i, (one, other) in enumerate(pairs) if one != other), min(len(spelt), len(wanted)))
        place = len(wanted[:same].decode("utf-8", "ignore"))
        return GptlossError(
            f"Character {place + 1} of the text, {wanted.decode()[place : place + 1]!r}, cannot be spelt with the"
            f" tokens of {self._file}; remove it or choose another model."
        )


def json_tokenizer(file: Path, vocab_size: int) -> JsonTokenizer:
    """The tokenizer of a file, made once (large ones take a second) for as long as the file stays as it is."""
    return _made(file, vocab_size, file.stat().st_mtime_ns if file.is_file() else 0)


@lru_cache(maxsize=4)
def _made(file: Path, vocab_size: int, changed: int) -> JsonTokenizer:
    return JsonTokenizer(file, vocab_size)


def _read(file: Path) -> Tokenizer:
    if not file.is_file():
        raise GptlossError(f"{file.name} is missing in {file.parent}; fetch or save the model again.")
    try:
        check_file(file, MOST_TOKENIZER)
        if file.name == "vocab.json":
            check_file(file.with_name("merges.txt"), MOST_TOKENIZER)
            return _from_parts(file)
        return Tokenizer.from_str(file.read_text("utf-8"))
    except GptlossError:
        raise
    except Exception as error:  # tokenizers raises no narrower class
        raise GptlossError(f"{file} is no tokenizer or is damaged ({error}); fetch or save it again.") from error


def _from_parts(vocab: Path) -> Tokenizer:
    """GPT-2's kind of byte-level BPE from the two files that were in use before tokenizer.json."""
    made = Tokenizer(BPE.from_file(str(vocab), str(vocab.with_name("merges.txt"))))
    made.pre_tokenizer = ByteLevel(add_prefix_space=False)
    made.decoder = decoders.ByteLevel()
    return made


def _settle(tokenizer: Tokenizer, model: dict[str, Any]) -> None:
    """Switch off what a file may ask for and a loss must not have: cuts, padding, chance, hidden special tokens."""
    tokenizer.no_truncation()
    tokenizer.no_padding()
    tokenizer.encode_special_tokens = True
    if model["type"] == "BPE":
        tokenizer.model.dropout = None
    else:  # the model itself would find special tokens in the text, so they get names that no text has
        special = {token.content for token in tokenizer.get_added_tokens_decoder().values() if token.special}
        vocab = [(f"\ufdd0{piece}" if piece in special else piece, score) for piece, score in model["vocab"]]
        tokenizer.model = Unigram(vocab, model["unk_id"], model["byte_fallback"])


def _raws(tokenizer: Tokenizer, byte_level: bool) -> dict[int, bytes]:
    """The bytes of every id that the file knows; in byte-level BPE added tokens are literal text."""
    spell, added = (_from_alphabet, str.encode) if byte_level else (_from_sentencepiece, _from_sentencepiece)
    raws = {id: spell(piece) for piece, id in tokenizer.get_vocab(with_added_tokens=False).items()}
    return raws | {id: added(token.content) for id, token in tokenizer.get_added_tokens_decoder().items()}


def _is_byte_level(spec: dict[str, Any], file: Path) -> bool:
    """Whether the file is of the first family or the second. Raises `GptlossError` if it is of neither."""
    model, kinds = spec["model"], _kinds(spec["decoder"]) | _kinds(spec["pre_tokenizer"])
    marked = model.get("continuing_subword_prefix") or model.get("end_of_word_suffix")
    known = model["type"] in {"BPE", "Unigram"} and kinds & {"ByteLevel", "Metaspace", "ByteFallback"}
    if marked or not known:
        raise GptlossError(
            f"The tokens of {file} ({model['type']}) cannot be turned into bytes;"
            " choose a model with a byte-level or sentencepiece vocabulary."
        )
    return "ByteLevel" in kinds


def _cuts_as_gpt2(spec: dict[str, Any]) -> bool:
    """Whether text is cut by GPT-2's pattern, at most after digits were set apart, and by nothing else."""
    step = spec["pre_tokenizer"] or {"type": ""}
    *before, cut = step["pretokenizers"] if step["type"] == "Sequence" else [step]
    by_pattern = cut["type"] == "ByteLevel" and cut.get("use_regex", True) and not cut["add_prefix_space"]
    plain = spec["normalizer"] is None and all(token["special"] for token in spec["added_tokens"])
    return bool(by_pattern and plain and all(other["type"] == "Digits" for other in before))


def _kinds(part: dict[str, Any] | None) -> set[str]:
    """The type of a step and, if it is a sequence, of the steps in it."""
    if part is None:
        return set()
    steps = part.get("normalizers") or part.get("pretokenizers") or part.get("decoders") or []
    return {part["type"]}.union(*map(_kinds, steps))


def _check_size(file: Path, size: int, vocab_size: int) -> None:
    if not vocab_size * (1 - PADDING) <= size <= vocab_size:
        raise GptlossError(
            f"{file} has {size:,} tokens and the model {vocab_size:,}; fetch the tokenizer that belongs to the model."
        )


def _from_sentencepiece(piece: str) -> bytes:
    return bytes.fromhex(piece[3:5]) if BYTE.fullmatch(piece) else piece.replace(BLANK, " ").encode()


def _from_alphabet(piece: str) -> bytes:
    """GPT-2's alphabet back to bytes; an entry with other characters is text."""
    try:
        return bytes(ALPHABET[character] for character in piece)
    except KeyError:
        return piece.encode()


def _alphabet() -> dict[str, int]:
    """Character to byte: printable Latin-1 stands for itself, the others for U+0100 and on (Radford et al. 2019)."""
    plain = [*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
    others = sorted(set(range(256)) - set(plain))
    return {chr(byte): byte for byte in plain} | {chr(256 + i): byte for i, byte in enumerate(others)}


ALPHABET = _alphabet()
