"""A tokenizer.json must spell every text, byte for byte; the files are made here, in each style in use."""

import json
import os
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
import tokenizers
from hypothesis import given
from hypothesis import strategies as st
from tokenizers import AddedToken, Regex, decoders, models, normalizers, pre_tokenizers, processors, trainers

from gptloss import GptlossError
from gptloss.models.checkpoints.json_tokens import ALPHABET, JsonTokenizer, json_tokenizer
from gptloss.tokens import GPT2_FILE, Token, Tokenizer, _read_ranks, gpt2_tokenizer, text_of
from tests.helpers.checkpoints import CORPUS, byte_level, saved

TEXT = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="▁"))
ODD = [
    "",
    " ",
    "  two leading spaces",
    "every effort moves you",
    "\ttabs\t\tand\nnew\r\n\n\nlines ",
    "emoji 😀👩‍👩‍👧💙 first",
    "😀",
    "日本語の文章と漢字",
    "العربية مع النص",
    "e\u0301 and \u00e9",
    "<script>alert('&amp;')</script>",
    "<s>special</s> <unk><|endoftext|>",
    "\x00\x7f\u200e\ufeff",
]
BYTES = [f"<0x{byte:02X}>" for byte in range(256)]


def sentencepiece() -> tokenizers.Tokenizer:
    """As Gemma has it: nothing is put before the text."""
    made = tokenizers.Tokenizer(models.BPE(unk_token="<unk>", byte_fallback=True))
    made.normalizer = normalizers.Replace(" ", "▁")
    made.decoder = decoders.Sequence([decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse()])
    special = ["<unk>", "<s>", "</s>", *BYTES]
    made.train_from_iterator(CORPUS, trainers.BpeTrainer(vocab_size=320, special_tokens=special, show_progress=False))
    return made


def llama2() -> tokenizers.Tokenizer:
    """The normaliser puts a blank before every text."""
    made = sentencepiece()
    made.normalizer = normalizers.Sequence([normalizers.Prepend("▁"), normalizers.Replace(" ", "▁")])
    return made


def mistral() -> tokenizers.Tokenizer:
    """A blank is put before a text that does not start with one."""
    made = sentencepiece()
    made.normalizer = None
    made.pre_tokenizer = pre_tokenizers.Metaspace("▁", prepend_scheme="first", split=False)
    return made


def unigram() -> tokenizers.Tokenizer:
    """Sentencepiece's other model, in whose vocabulary special tokens look like the likeliest words."""
    special = ["<unk>", "<s>", "</s>", *BYTES]
    words = [("▁", -2.0), *((character, -5.0) for character in "abcdefghijklmnopqrstuvwxyz<>/"), ("▁effort", -3.0)]
    made = tokenizers.Tokenizer(models.Unigram([*((piece, 0.0) for piece in special), *words], 0, True))
    made.pre_tokenizer = pre_tokenizers.Metaspace("▁", prepend_scheme="first", split=False)
    made.decoder = decoders.Metaspace("▁", prepend_scheme="first", split=False)
    made.add_special_tokens(["<unk>", "<s>", "</s>"])
    return made


STYLES: dict[str, Callable[[], tokenizers.Tokenizer]] = {
    "GPT-2": byte_level,
    "byte-level with a blank": lambda: byte_level(prefix=True),
    "Gemma": sentencepiece,
    "Llama 2": llama2,
    "Mistral": mistral,
    "Unigram": unigram,
}


def opened(made: tokenizers.Tokenizer, folder: Path, **changes: Any) -> JsonTokenizer:
    return JsonTokenizer(saved(made, folder, **changes), made.get_vocab_size())


def joined(tokens: tuple[Token, ...]) -> bytes:
    return b"".join(token.raw for token in tokens)


@pytest.fixture(scope="module", params=list(STYLES))
def style(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> JsonTokenizer:
    return opened(STYLES[request.param](), tmp_path_factory.mktemp("style"))


@pytest.mark.parametrize("text", ODD)
def test_the_bytes_of_the_tokens_are_the_bytes_of_an_odd_text(style: JsonTokenizer, text: str) -> None:
    tokens = style.encode(text)
    assert joined(tokens) == text.encode()
    assert text_of(tokens) == text
    assert all(style.token(token.id).raw.endswith(token.raw) for token in tokens)


@given(TEXT)
def test_the_bytes_of_the_tokens_are_the_bytes_of_the_text(style: JsonTokenizer, text: str) -> None:
    assert joined(style.encode(text)) == text.encode()


@pytest.mark.parametrize("name", STYLES)
def test_the_ids_are_those_of_the_library(name: str, tmp_path: Path) -> None:
    made = STYLES[name]()
    for text in ("every effort moves you", " I like\n  chocolate", "日本 😀"):
        ids = [token.id for token in opened(made, tmp_path).encode(text)]
        assert ids == made.encode(text, add_special_tokens=False).ids


def test_the_ids_are_gpt2s(gpt2_file: Path) -> None:
    ours = JsonTokenizer(gpt2_file, 50257)
    assert all(ours.token(id) == gpt2_tokenizer().token(id) for id in range(50257))
    for text in [*ODD, *CORPUS]:
        assert ours.encode(text) == gpt2_tokenizer().encode(text)


@pytest.fixture(scope="module")
def gpt2_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """GPT-2's vocabulary as a tokenizer.json: its merges are the last two parts of each entry."""
    ranks, letter = _read_ranks(GPT2_FILE), {byte: character for character, byte in ALPHABET.items()}

    def spell(raw: bytes) -> str:
        return "".join(letter[byte] for byte in raw)

    merges = [last_two(raw, ranks) for raw in sorted(ranks, key=ranks.__getitem__) if len(raw) > 1]
    vocab = {spell(raw): rank for raw, rank in ranks.items()}
    made = tokenizers.Tokenizer(models.BPE(vocab, [(spell(one), spell(other)) for one, other in merges]))
    made.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    made.decoder = decoders.ByteLevel()
    made.add_special_tokens(["<|endoftext|>"])
    return saved(made, tmp_path_factory.mktemp("gpt2"))


def last_two(raw: bytes, ranks: dict[bytes, int]) -> tuple[bytes, bytes]:
    """The parts of an entry that are merged last."""
    parts = [raw[i : i + 1] for i in range(len(raw))]
    while len(parts) > 2:
        pairs = [one + other for one, other in pairwise(parts)]
        best = min(range(len(pairs)), key=lambda i: ranks.get(pairs[i], len(ranks)))
        parts[best : best + 2] = [pairs[best]]
    return parts[0], parts[1]


def test_it_is_a_tokenizer(style: JsonTokenizer) -> None:
    assert isinstance(style, Tokenizer)
    assert style.token(5) == Token(5, style.token(5).raw)


@pytest.mark.parametrize("special", ["<|endoftext|>", "<s>", "</s>", "<unk>"])
def test_special_tokens_in_a_text_are_plain_text(style: JsonTokenizer, special: str) -> None:
    tokens = style.encode(f"a {special} b")
    assert len(tokens) > 4
    assert special.encode() not in [token.raw for token in tokens]


@pytest.mark.parametrize("name", ["Llama 2", "Mistral", "Unigram", "byte-level with a blank"])
def test_the_blank_put_before_a_text_is_not_in_it(name: str, tmp_path: Path) -> None:
    tokenizer = opened(STYLES[name](), tmp_path)
    first = tokenizer.encode("effort")[0]
    assert tokenizer.token(first.id).raw == b" " + first.raw
    assert joined(tokenizer.encode(" effort")) == b" effort"


def test_a_blank_of_its_own_before_a_text_becomes_an_empty_token(tmp_path: Path) -> None:
    tokens = opened(llama2(), tmp_path).encode("😀")
    assert [token.raw for token in tokens] == [b"", b"\xf0", b"\x9f", b"\x98", b"\x80"]


def test_a_text_is_spelt_as_the_file_normalises_it(tmp_path: Path) -> None:
    for made, normalizer in ((byte_level(), None), (llama2(), llama2().normalizer)):
        made.normalizer = normalizers.Sequence([step for step in (normalizers.NFC(), normalizer) if step])
        assert joined(opened(made, tmp_path).encode(" cafe\u0301")) == " caf\u00e9".encode()


def test_added_tokens_are_literal_text(tmp_path: Path) -> None:
    made = byte_level()
    made.add_tokens(["    ", "Ġtool"])
    tokenizer = opened(made, tmp_path)
    assert [token.raw for token in tokenizer.encode("    Ġtool")] == [b"    ", "Ġtool".encode()]


def test_an_entry_outside_the_alphabet_is_literal_text(tmp_path: Path) -> None:
    made = byte_level()
    made.model = models.BPE({"a": 0, "Ġ": 1, "<not used>": 2, "日": 3}, [])
    assert [opened(made, tmp_path).token(id).raw for id in range(4)] == [b"a", b" ", b"<not used>", "日".encode()]


def test_added_blanks_of_sentencepiece_are_blanks(tmp_path: Path) -> None:
    made = sentencepiece()
    made.add_tokens([AddedToken("▁▁▁", normalized=False)])
    assert opened(made, tmp_path).token(made.get_vocab_size() - 1).raw == b"   "


def test_ids_that_only_the_model_has_are_empty(tmp_path: Path) -> None:
    made = byte_level()
    size = made.get_vocab_size()
    tokenizer = JsonTokenizer(saved(made, tmp_path), size + 4)
    assert tokenizer.vocab_size == size + 4
    assert [tokenizer.token(size + i).raw for i in range(4)] == [b""] * 4


def test_ids_outside_the_vocabulary(style: JsonTokenizer) -> None:
    for id in (-1, style.vocab_size):
        with pytest.raises(
            GptlossError, match=rf"There is no token {id}; ids run from 0 to {style.vocab_size - 1}\."
        ):
            style.token(id)


@pytest.mark.parametrize(("size", "fits"), [(299, False), (300, True), (315, True), (316, False)])
def test_the_file_must_fit_the_model(tmp_path: Path, size: int, fits: bool) -> None:
    file = saved(byte_level(), tmp_path)
    if fits:
        JsonTokenizer(file, size)
    else:
        with pytest.raises(GptlossError, match=rf"{file} has 300 tokens and the model {size}; fetch"):
            JsonTokenizer(file, size)


def word_piece() -> tokenizers.Tokenizer:
    made = tokenizers.Tokenizer(models.WordPiece({"[UNK]": 0, "a": 1}, unk_token="[UNK]"))
    made.decoder = decoders.WordPiece()
    return made


def word_level() -> tokenizers.Tokenizer:
    made = tokenizers.Tokenizer(models.WordLevel({"[UNK]": 0, "a": 1}, unk_token="[UNK]"))
    made.pre_tokenizer = pre_tokenizers.ByteLevel()
    return made


def with_word_ends() -> tokenizers.Tokenizer:
    made = tokenizers.Tokenizer(models.BPE({"a</w>": 0, "a": 1}, [], end_of_word_suffix="</w>"))
    made.pre_tokenizer = pre_tokenizers.ByteLevel()
    return made


def plain() -> tokenizers.Tokenizer:
    return tokenizers.Tokenizer(models.BPE({"a": 0, "b": 1}, []))


@pytest.mark.parametrize("make", [word_piece, word_level, with_word_ends, plain])
def test_other_families_are_refused(make: Callable[[], tokenizers.Tokenizer], tmp_path: Path) -> None:
    kind = make().model.__class__.__name__
    with pytest.raises(GptlossError, match=rf"tokenizer\.json \({kind}\) cannot be turned into bytes; choose"):
        opened(make(), tmp_path)


@pytest.mark.parametrize(
    "damage",
    [lambda data: data[:-9], lambda data: b"", lambda data: b"{}", lambda data: b"[1]", lambda data: b"\xff" + data],
)
def test_a_damaged_file_is_noticed(damage: Callable[[bytes], bytes], tmp_path: Path) -> None:
    file = saved(byte_level(), tmp_path)
    file.write_bytes(damage(file.read_bytes()))
    with pytest.raises(GptlossError, match=rf"{file} is no tokenizer or is damaged \(.+\); fetch or save it again"):
        JsonTokenizer(file, 300)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(GptlossError, match=rf"tokenizer\.json is missing in {tmp_path}"):
        json_tokenizer(tmp_path / "tokenizer.json", 300)


def test_half_a_surrogate_pair_is_refused_with_its_place(style: JsonTokenizer) -> None:
    with pytest.raises(GptlossError, match=r"Character 3 of the text, U\+D83D, is half a character"):
        style.encode("ab\ud83d")


@pytest.mark.parametrize("name", ["byte-level", "sentencepiece", "Unigram"])
def test_a_character_that_cannot_be_spelt_is_named(name: str, tmp_path: Path) -> None:
    """Without all 256 bytes the library leaves such characters out, or reads them as unknown."""
    if name == "byte-level":
        made = tokenizers.Tokenizer(models.BPE({"a": 0, "b": 1, "Ġ": 2}, []))
        made.pre_tokenizer, made.decoder = pre_tokenizers.ByteLevel(False), decoders.ByteLevel()
    elif name == "sentencepiece":
        made = tokenizers.Tokenizer(models.BPE({"<unk>": 0, "a": 1, "b": 2, "▁": 3}, [], unk_token="<unk>"))
        made.pre_tokenizer = pre_tokenizers.Metaspace()
    else:
        made = tokenizers.Tokenizer(models.Unigram([("<unk>", 0.0), ("a", -1.0), ("b", -1.0), ("▁", -1.0)], 0))
        made.pre_tokenizer = pre_tokenizers.Metaspace()
    tokenizer = opened(made, tmp_path)
    assert joined(tokenizer.encode("ab ba")) == b"ab ba"
    for text, place in (("ab ☃b", 4), ("☃", 1), ("ab☃", 3)):
        with pytest.raises(
            GptlossError, match=f"Character {place} of the text, '☃', cannot be spelt .*tokenizer.json"
        ):
            tokenizer.encode(text)


def test_nothing_that_the_file_asks_for_is_cut_padded_or_added(tmp_path: Path) -> None:
    made = byte_level()
    before = opened(made, tmp_path).encode("every effort moves you")
    made.enable_truncation(3)
    made.enable_padding(length=100)
    made.post_processor = processors.TemplateProcessing("<|endoftext|> $A", None, [("<|endoftext|>", 0)])
    assert opened(made, tmp_path).encode("every effort moves you") == before


def test_chance_has_no_part_in_it(tmp_path: Path) -> None:
    made = byte_level()
    model = json.loads(made.to_str())["model"]
    tokenizer = opened(made, tmp_path, model=model | {"dropout": 0.5})
    assert {tokenizer.encode(CORPUS[0]) for _ in range(20)} == {opened(made, tmp_path).encode(CORPUS[0])}


@pytest.mark.parametrize("name", ["GPT-2", "Llama 2", "Unigram"])
@pytest.mark.parametrize("text", ["x", " ", "chocolate, ", "日"])
def test_a_long_text_takes_no_longer_a_token(name: str, text: str, tmp_path: Path) -> None:
    long = text * (400_000 // len(text))
    assert joined(opened(STYLES[name](), tmp_path).encode(long)) == long.encode()


def test_a_pattern_before_the_bytes_is_followed(tmp_path: Path) -> None:
    made = byte_level()
    digits = pre_tokenizers.Split(Regex(r"\d"), "isolated")
    made.pre_tokenizer = pre_tokenizers.Sequence([digits, pre_tokenizers.ByteLevel(False, use_regex=False)])
    assert [token.raw for token in opened(made, tmp_path).encode("2024")] == [b"2", b"0", b"2", b"4"]


def test_one_file_is_read_once_while_it_stays_as_it_is(tmp_path: Path) -> None:
    file = saved(byte_level(), tmp_path)
    first = json_tokenizer(file, 300)
    assert json_tokenizer(file, 300) is first
    os.utime(file, (1, 1))
    assert json_tokenizer(file, 300) is not first
