"""Vocabularies: a part of GPT-2's tokens that still spells every text."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from transformers import AutoTokenizer

from gptloss.models.checkpoints.json_tokens import JsonTokenizer
from gptloss.tokens import SAMPLE, gpt2_tokenizer, text_of
from gptloss.training.recipe import BYTES, GPT2
from gptloss.training.vocabulary import commonest, parts, write_tokenizer

TEXT = SAMPLE.read_text("utf-8")


@pytest.fixture(scope="module")
def reduced(tmp_path_factory: pytest.TempPathFactory) -> JsonTokenizer:
    """The 800 commonest of the sample."""
    folder = tmp_path_factory.mktemp("vocabulary")
    return JsonTokenizer(folder / "tokenizer.json", write_tokenizer(TEXT, 800, folder))


@given(st.text())
def test_every_text_is_spelt(reduced: JsonTokenizer, text: str) -> None:
    assert b"".join(token.raw for token in reduced.encode(text)) == text.encode()


def test_the_commonest_words_are_one_token(reduced: JsonTokenizer) -> None:
    assert reduced.vocab_size == 800
    assert [token.raw for token in reduced.encode(" clock")] == [b" clock"]
    assert len(reduced.encode(TEXT)) < 1.2 * len(gpt2_tokenizer().encode(TEXT))


def test_single_bytes_alone(tmp_path: Path) -> None:
    assert write_tokenizer(TEXT, BYTES, tmp_path) == BYTES
    tokenizer = JsonTokenizer(tmp_path / "tokenizer.json", BYTES)
    assert [token.raw for token in tokenizer.encode("né")] == [b"n", b"\xc3", b"\xa9"]


def test_all_of_gpt2_has_its_ids_here_and_in_transformers(tmp_path: Path) -> None:
    assert write_tokenizer(TEXT, GPT2, tmp_path) == GPT2
    (tmp_path / "tokenizer_config.json").write_text('{"tokenizer_class": "PreTrainedTokenizerFast"}')
    ids = [token.id for token in gpt2_tokenizer().encode(TEXT)]
    assert [token.id for token in JsonTokenizer(tmp_path / "tokenizer.json", GPT2).encode(TEXT)] == ids
    theirs = AutoTokenizer.from_pretrained(tmp_path)
    assert theirs(TEXT)["input_ids"] == ids
    assert theirs.decode(ids) == TEXT


def test_a_text_with_few_tokens_has_a_small_vocabulary() -> None:
    assert len(commonest("aaaa", 1_024)) <= BYTES + 2


def test_an_entry_was_merged_from_two() -> None:
    assert parts(b"ab") == (b"a", b"b")
    first, second = parts(b" moves")
    assert first + second == b" moves"
    known = {gpt2_tokenizer().token(id).raw for id in range(GPT2 - 1)}
    assert {first, second} <= known
    assert text_of(gpt2_tokenizer().encode(" moves")) == " moves"
