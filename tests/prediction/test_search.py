"""Tokens found by text, by label and by id."""

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gptloss.prediction.search import find_tokens
from gptloss.tokens import ByteTokenizer, Token, Tokenizer, gpt2_tokenizer


def labels(query: str, limit: int = 10, tokenizer: Tokenizer | None = None) -> list[str]:
    return [token.label for token in find_tokens(tokenizer or gpt2_tokenizer(), query, limit)]


def ids(query: str, limit: int = 10) -> list[int]:
    return [token.id for token in find_tokens(gpt2_tokenizer(), query, limit)]


def test_exactly_this_then_after_a_blank_then_its_beginnings() -> None:
    assert labels("the", 5) == ["the", "·the", "·they", "ther", "·their"]
    assert labels(" the", 3) == ["·the", "·they", "·their"]


def test_a_number_is_a_text_and_an_id() -> None:
    assert ids("464", 2) == [44578, 464]
    assert labels("464", 2) == ["464", "The"]
    assert ids("50256")[0] == 50256
    assert 50257 not in ids("50257")
    assert ids("9" * 5000) == []


def test_a_number_stays_an_id_where_no_text_has_it() -> None:
    assert find_tokens(ByteTokenizer(), "65") == (Token(65, b"A"),)


@pytest.mark.parametrize(
    ("label", "raw"),
    [
        ("↵", b"\n"),
        ("·effort", b" effort"),
        ("<F0 9F>", b"\xf0\x9f"),
        ("<20 f0 9f>", b" \xf0\x9f"),
        ("<U+0007>", b"\x07"),
        ("⇥", b"\t"),
    ],
)
def test_a_label_is_read_as_what_it_stands_for(label: str, raw: bytes) -> None:
    assert find_tokens(gpt2_tokenizer(), label)[0].raw == raw


def test_a_mark_that_is_a_token_itself_comes_first() -> None:
    first, second = find_tokens(gpt2_tokenizer(), "·", 2)
    assert first.raw == "·".encode()
    assert second.raw == b" "


def test_case_counts_until_nothing_else_matches() -> None:
    assert labels("EFFORT") == ["·effort", "·efforts", "·effortlessly"]
    assert labels("The", 2) == ["The", "·The"]
    found = labels("The", 500)
    assert found.index("·Their") < found.index("the")


def test_what_is_inside_comes_after_what_begins_with_it() -> None:
    found = labels("zz", 100)
    assert found.index("zz") < found.index("zzy") < found.index("izz")


@pytest.mark.parametrize("query", ["", "xyzzyq", "\ud800", "every effort moves", "<FF", "<U+>"])
def test_nothing_is_found_for_what_no_token_holds(query: str) -> None:
    assert find_tokens(gpt2_tokenizer(), query) == ()


def test_an_id_without_bytes_is_found_by_its_label() -> None:
    class Padded(ByteTokenizer):
        vocab_size = 258  # type: ignore[assignment]

        def token(self, id: int) -> Token:
            return Token(id, b"") if id > 255 else super().token(id)

    assert find_tokens(Padded(), "<id 257>") == (Token(257, b""),)


@given(st.integers(0, 50256))
def test_every_token_is_found_by_its_text_and_by_its_label(id: int) -> None:
    token = gpt2_tokenizer().token(id)
    assert find_tokens(gpt2_tokenizer(), token.label, 40).count(token) == 1
    if "�" not in token.text:
        assert find_tokens(gpt2_tokenizer(), token.text, 1) == (token,)


@given(st.text(max_size=6), st.integers(1, 30))
def test_no_token_twice_and_each_holds_the_query(query: str, limit: int) -> None:
    found = find_tokens(gpt2_tokenizer(), query, limit)
    assert len(found) == len(set(found)) <= limit


def test_the_whole_vocabulary_is_searched_in_no_time() -> None:
    find_tokens(gpt2_tokenizer(), "warm")
    started = time.process_time()
    for n in range(10):
        find_tokens(gpt2_tokenizer(), f"effort{n}")
    assert (time.process_time() - started) / 10 < 0.1
