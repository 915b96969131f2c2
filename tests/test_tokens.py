import shutil
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gptloss import GptlossError
from gptloss.tokens import GPT2_FILE, GPT2Tokenizer, Token, Tokenizer, gpt2_tokenizer, text_of

TEXT = st.text(st.characters(exclude_categories=["Cs"]))


def ids(text: str) -> list[int]:
    return [token.id for token in gpt2_tokenizer().encode(text)]


def test_lecture_ids() -> None:
    assert ids("every effort moves") == [16833, 3626, 6100]
    assert ids(" really like chocolate") == [1107, 588, 11311]


@given(TEXT)
def test_the_bytes_of_the_tokens_are_the_bytes_of_the_text(text: str) -> None:
    tokens = gpt2_tokenizer().encode(text)
    assert b"".join(token.raw for token in tokens) == text.encode("utf-8")
    assert text_of(tokens) == text
    assert all(0 <= token.id < 50257 for token in tokens)


@given(TEXT)
def test_a_label_is_one_line_of_visible_characters(text: str) -> None:
    for token in gpt2_tokenizer().encode(text):
        assert token.label
        assert token.label.isprintable()
        assert " " not in token.label or token.label.startswith("<")


@pytest.mark.parametrize(
    ("raw", "label"),
    [
        (b" effort", "·effort"),
        (b"\n\n", "↵↵"),
        (b"\tx", "⇥x"),
        (b"\xf0\x9f", "<F0 9F>"),
        (b" \xf0\x9f", "<20 F0 9F>"),
        ("💙".encode(), "💙"),
        (b"<script>", "<script>"),
        ("\u200e".encode(), "<U+200E>"),
    ],
)
def test_labels(raw: bytes, label: str) -> None:
    assert Token(0, raw).label == label


def test_an_emoji_is_several_tokens_of_part_bytes() -> None:
    tokens = gpt2_tokenizer().encode("💙")
    assert len(tokens) > 1
    assert all(token.label.startswith("<") for token in tokens)
    assert text_of(tokens) == "💙"


def test_end_of_text_is_plain_text_unless_asked_for() -> None:
    tokenizer = gpt2_tokenizer()
    assert len(tokenizer.encode("<|endoftext|>")) == 7
    assert [token.id for token in tokenizer.encode("a<|endoftext|>", special=True)] == [64, 50256]


def test_half_a_surrogate_pair_is_refused_with_its_place() -> None:
    with pytest.raises(GptlossError, match=r"Character 3 of the text, U\+D83D, is half a character"):
        gpt2_tokenizer().encode("ab\ud83d")


def test_a_million_blanks_are_refused_in_a_sentence() -> None:
    with pytest.raises(GptlossError, match="too many blanks in a row"):
        gpt2_tokenizer().encode(" " * 1_200_000 + "x")


@pytest.mark.parametrize("id", [-1, 50257])
def test_ids_outside_the_vocabulary(id: int) -> None:
    with pytest.raises(GptlossError, match=f"no token {id}"):
        gpt2_tokenizer().token(id)


def test_a_damaged_vocabulary_is_noticed(tmp_path: Path) -> None:
    copy = tmp_path / "gpt2.tiktoken"
    shutil.copy(GPT2_FILE, copy)
    GPT2Tokenizer(copy)
    copy.write_bytes(copy.read_bytes().replace(b" 300\n", b" 301\n", 1))
    with pytest.raises(GptlossError, match="damaged: its checksum is wrong"):
        GPT2Tokenizer(copy)
    with pytest.raises(GptlossError, match="cannot be read"):
        GPT2Tokenizer(tmp_path / "nothing")


def test_it_is_a_tokenizer() -> None:
    assert isinstance(gpt2_tokenizer(), Tokenizer)
    assert gpt2_tokenizer().vocab_size == 50257
