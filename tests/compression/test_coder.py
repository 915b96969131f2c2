"""A code as long as the loss, and the same text back from it."""

import math
from collections.abc import Iterator

import pytest
import torch
from hypothesis import example, given, settings
from hypothesis import strategies as st
from torch import Tensor

from gptloss import load_model, score
from gptloss.compression.coder import Decoder, Encoder
from gptloss.compression.file import pack, unpack
from gptloss.compression.run import decode, encode, model_for, one_thread
from gptloss.errors import GptlossError
from gptloss.models import LanguageModel, is_here
from gptloss.models.base import Reader

PIECE = st.characters(exclude_categories=["Cs"]) | st.sampled_from(["🍕", "\r\n", "\0", "e", " ", "\ufeff", "the "])
TEXT = st.lists(PIECE, max_size=300).map("".join)


def there_and_back(model: LanguageModel, text: str) -> Encoder:
    """Through a whole file. The code is as long as the loss says, within 8 bytes and 0.5 %."""
    header, encoder = encode(model, text)
    again, code = unpack(pack(header, encoder.code()), "It")
    assert again == header
    assert decode(model, again, code) == text
    size = sum(encoder.bits) / 8
    assert abs(len(code) - size) <= 8 + 0.005 * size
    return encoder


@settings(max_examples=200)
@given(TEXT)
@example("")
@example("x")
@example("\ufeff\r\n\0🍕")
@example("The clock struck. " * 200)
def test_any_text_comes_back(text: str) -> None:
    there_and_back(load_model("bigram"), text)


TEXTS = ("every effort moves you", "Ünïcode 🍕\r\nand a line", "a a a a a a a a b")


@pytest.mark.parametrize("text", TEXTS)
def test_the_lectures_model_brings_a_text_back(gpt2: LanguageModel, text: str) -> None:
    there_and_back(gpt2, text)


@pytest.mark.skipif(not is_here("smollm2-135m"), reason="needs the pretrained model")
@pytest.mark.parametrize("text", TEXTS)
def test_the_pretrained_model_brings_a_text_back(text: str) -> None:
    there_and_back(load_model("smollm2-135m"), text)


def test_a_text_longer_than_the_context_comes_back(tiny: LanguageModel) -> None:
    """Its context is 16; the model begins again with the last half of it."""
    assert len(there_and_back(tiny, "one two three four five " * 8).tokens) > 32


def test_the_bits_are_the_loss(gpt2: LanguageModel) -> None:
    """Of the whole text, after the start token."""
    encoder = there_and_back(gpt2, "every effort moves you")
    batch = score(gpt2, "every effort moves you", bos=True)
    assert sum(encoder.bits) == pytest.approx(batch.loss * len(batch) / math.log(2), abs=1e-4)


def test_without_a_start_token_the_first_one_costs_all_of_the_vocabulary() -> None:
    encoder = there_and_back(load_model("bigram"), "hello")
    assert encoder.bits[0] == pytest.approx(8)
    batch = score(load_model("bigram"), "hello")
    assert sum(encoder.bits[1:]) == pytest.approx(batch.loss * len(batch) / math.log(2), abs=1e-4)


def test_a_uniform_model_saves_nothing() -> None:
    encoder = there_and_back(load_model("uniform"), "hello there")
    assert encoder.bits == pytest.approx([8] * 11)


class Peeking:
    """A model that looks ahead: it was told the text, and gives the next byte nearly all of the probability."""

    def __init__(self, text: str) -> None:
        self._bigram = load_model("bigram")
        self.info, self.tokenizer = self._bigram.info, self._bigram.tokenizer
        self._to_come: Iterator[int] = iter(text.encode()[1:])

    def hidden(self, ids: Tensor) -> Tensor:
        return self._bigram.hidden(ids)

    def head(self, hidden: Tensor) -> Tensor:
        logits = torch.zeros(len(hidden), 256)
        logits[-1, next(self._to_come, 0)] = 12.0
        return logits

    def reader(self) -> Reader:
        return self._bigram.reader()


def test_a_model_that_looks_ahead_cannot_bring_it_back() -> None:
    text = "a text that nobody has seen"
    header, encoder = encode(Peeking(text), text)
    assert sum(encoder.bits) < 10  # cheap, but not earned
    with pytest.raises(GptlossError, match="thrown away"):
        decode(Peeking(""), header, encoder.code())


def test_another_model_gives_no_text() -> None:
    header, encoder = encode(load_model("bigram"), "hello there, this is a text")
    with pytest.raises(GptlossError, match=r"thrown away|cannot be read"):
        decode(load_model("uniform"), header, encoder.code())


def test_a_code_of_half_a_word_is_refused() -> None:
    with pytest.raises(GptlossError, match="no whole number of words"):
        Decoder(load_model("bigram"), b"abc", 1)


def test_a_token_that_the_model_rules_out_has_no_code() -> None:
    class Never(Peeking):
        def head(self, hidden: Tensor) -> Tensor:
            return torch.full((len(hidden), 256), -torch.inf).index_fill(1, torch.tensor([7]), 0.0)

    with pytest.raises(GptlossError, match="rules 'b' out"):
        encode(Never("ab"), "ab")


def test_both_sides_compute_on_one_thread() -> None:
    before = torch.get_num_threads()
    with one_thread():
        assert torch.get_num_threads() == 1
    assert torch.get_num_threads() == before


def test_other_weights_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    header, _ = encode(load_model("bigram"), "hello")
    assert model_for(header).info.name == "bigram"
    monkeypatch.setattr("gptloss.compression.run.weights_hash", lambda name: "0" * 64)
    with pytest.raises(GptlossError, match="other weights of bigram"):
        model_for(header)
