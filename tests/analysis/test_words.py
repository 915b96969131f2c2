import math
import re
import time

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from gptloss import GptlossError, ScoredBatch, load_model, score
from gptloss.analysis.words import (
    RANK_CLASSES,
    Stretch,
    _sentence_spans,
    around,
    costliest,
    rank_counts,
    running_mean,
    sentences,
    totals,
    words,
)
from gptloss.corpus.text import decoded
from gptloss.models import LanguageModel
from gptloss.models.architectures.toy import SAMPLE
from gptloss.scoring.rows import Row

# Blanks of one, two and three bytes, marks that end sentences, characters that are several tokens.
LETTERS = st.sampled_from(list("aZé猫💙. !?…。\n\t\u00a0\u3000\"'1"))
TEXT = st.text(LETTERS, min_size=1, max_size=16)


def read(model: LanguageModel, texts: list[str]) -> ScoredBatch:
    """Rows of which every token is scored; the losses are made up, because a forward pass takes its time."""
    rows = [model.tokenizer.encode(text) for text in texts]
    n = sum(map(len, rows))
    losses = 0.1 + torch.rand(n, generator=torch.Generator().manual_seed(n))
    none = torch.zeros(n, dtype=torch.int64)
    tops = torch.zeros(n, 1, dtype=torch.int64), torch.zeros(n, 1)
    made = tuple(Row(i, row, row) for i, row in enumerate(rows, 1))
    return ScoredBatch(model, made, torch.zeros(n, 1), torch.zeros(n), losses, none, losses, none, *tops)


def no_blanks(raw: bytes) -> str:
    return "".join(raw.decode("utf-8", "surrogateescape").split())


def texts(stretches: tuple[Stretch, ...]) -> list[str]:
    return [stretch.text for stretch in stretches]


@pytest.fixture(scope="module")
def story() -> ScoredBatch:
    """The bundled story, byte by byte."""
    return score(load_model("bigram"), SAMPLE.read_text("utf-8"))


@given(st.lists(TEXT, min_size=1, max_size=4))
@pytest.mark.parametrize("cut", [words, sentences])
def test_every_token_is_in_one_stretch_and_the_sums_are_the_text(tiny: LanguageModel, cut, rows: list[str]) -> None:  # type: ignore[no-untyped-def]
    batch = read(tiny, rows)
    stretches = cut(batch)
    assert [k for s in stretches for k in range(s.first, s.last + 1)] == list(range(len(batch)))
    assert sum(s.tokens for s in stretches) == len(batch)
    assert math.fsum(s.loss for s in stretches) == pytest.approx(-batch.log_probas.double().sum().item())
    assert no_blanks(b"".join(s.raw for s in stretches)) == no_blanks("".join(rows).encode())


@given(st.lists(TEXT, min_size=1, max_size=3))
def test_a_token_is_in_the_word_of_its_first_byte_that_is_no_blank(rows: list[str]) -> None:
    """One token a byte, so that the rule can be written down a second time."""
    batch = read(load_model("uniform"), rows)
    wanted = []
    for at, row in enumerate(rows):
        ends = [len(row[: m.end()].encode()) for m in re.finditer(r"\S+", row)] or [len(row.encode())]
        wanted += [(at, min(sum(end <= byte for end in ends), len(ends) - 1)) for byte in range(len(row.encode()))]
    owner = dict(zip(range(len(batch)), wanted, strict=True))
    starts = [k for k in owner if k == 0 or owner[k] != owner[k - 1]]
    assert [word.first for word in words(batch)] == starts
    assert totals(batch).words == sum(len(row.split()) for row in rows)


def test_words_of_tokens(tiny: LanguageModel) -> None:
    batch = read(tiny, ["the untrained 💙", "a\n\n b  "])
    assert texts(words(batch)) == ["the", "untrained", "💙", "a", "b"]
    losses = (-batch.log_probas.double()).tolist()
    untrained = words(batch)[1]
    assert (untrained.first, untrained.last, untrained.tokens) == (1, 2, 2)  # ` unt`, `rained`
    assert untrained.loss == pytest.approx(sum(losses[1:3]))
    assert untrained.mean == pytest.approx(untrained.loss / 2)
    assert words(batch)[-1].last == len(batch) - 1


def test_a_word_that_begins_before_the_text_that_was_scored(tiny: LanguageModel) -> None:
    batch = score(tiny, "💙 unbelievable")
    assert words(batch)[0].raw == b"\x92\x99"[-len(words(batch)[0].raw) :]
    assert "\ufffd" in words(batch)[0].text


def test_a_text_without_blanks_or_with_nothing_else(tiny: LanguageModel) -> None:
    assert texts(words(read(tiny, ["antidisestablishment"]))) == ["antidisestablishment"]
    blanks = read(tiny, [" \n \t"])
    assert texts(words(blanks)) == texts(sentences(blanks)) == [" \n \t"]
    assert totals(blanks).words == 0
    assert totals(blanks).word_perplexity is None
    assert totals(blanks).word_loss is None


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("One. Two! Three", ["One.", "Two!", "Three"]),
        ('He said "Stop!" and went. "Why?" She left.', ['He said "Stop!" and went.', '"Why?"', "She left."]),
        ("Mrs. Adler met J. S. Bach e.g. at 3.14 o'clock.", ["Mrs. Adler met J. S. Bach e.g. at 3.14 o'clock."]),
        ("So did I. Then (I left.) No", ["So did I.", "Then (I left.)", "No"]),
        ("A title\n\nand a line\nof verse", ["A title", "and a line\nof verse"]),
        ("Wait... what? Well… Yes", ["Wait... what?", "Well…", "Yes"]),
        ("猫が好き。犬も！はい", ["猫が好き。", "犬も！", "はい"]),
        ("  . \n\n . ", [".", "."]),
        ("no end", ["no end"]),
    ],
)
def test_sentences(text: str, wanted: list[str]) -> None:
    assert texts(sentences(read(load_model("uniform"), [text]))) == wanted


def test_the_storys_sentences(story: ScoredBatch) -> None:
    assert texts(sentences(story))[0] == "he Clock on Harbour Street"
    assert texts(sentences(story))[3].startswith("It was Mrs. Adler from the bakery")
    assert len(words(story)) == 754


@pytest.mark.parametrize("text", ["." * 200_000, ".'" * 100_000, "\n" * 200_000, ". \n" * 60_000, "! a" * 60_000])
def test_odd_texts_take_no_long_time(text: str) -> None:
    start = time.perf_counter()
    _sentence_spans(text.encode())
    assert time.perf_counter() - start < 5


def test_totals_against_float64(tiny: LanguageModel) -> None:
    text = "for 💙 tea\ntwo"
    batch = score(tiny, text)
    ids = torch.tensor([token.id for token in tiny.tokenizer.encode(text)])
    exact = tiny.network(ids[None, :-1])[0].double().log_softmax(-1)  # type: ignore[attr-defined]
    nats = -exact[torch.arange(len(ids) - 1), ids[1:]].sum().item()
    size = len(" 💙 tea\ntwo".encode())
    result = totals(batch)
    assert (result.tokens, result.bytes, result.words) == (len(ids) - 1, size, 3)
    assert result.loss == pytest.approx(nats / result.tokens, abs=1e-5)
    assert result.perplexity == pytest.approx(math.exp(nats / result.tokens), rel=1e-4)
    assert result.bits_per_byte == pytest.approx(nats / math.log(2) / size, abs=1e-5)
    assert result.word_loss == pytest.approx(nats / 3, abs=1e-4)
    assert result.word_perplexity == pytest.approx(math.exp(nats / 3), rel=1e-3)


def test_the_laws_of_a_blind_guess() -> None:
    """V = 256, a token a byte: 8 bits each; a word of four letters and a blank costs 5 ln 256 nats."""
    result = totals(score(load_model("uniform"), "? four five nine"))
    assert result.perplexity == pytest.approx(256)
    assert result.bits_per_byte == pytest.approx(8)
    assert result.word_perplexity == pytest.approx(256.0**5)


def test_a_word_perplexity_past_float64_is_none() -> None:
    result = totals(score(load_model("uniform"), "x" * 200))
    assert result.word_perplexity is None
    assert result.word_loss == pytest.approx(199 * math.log(256))


def test_the_running_mean_ends_at_the_loss(story: ScoredBatch) -> None:
    losses = -story.log_probas
    means = running_mean(losses)
    assert means[-1].item() == pytest.approx(story.loss, abs=1e-12)
    for n in (1, 2, 1000):
        assert means[n - 1].item() == pytest.approx(losses[:n].double().mean().item(), abs=1e-12)


def test_ranks_by_class() -> None:
    ranks = torch.tensor([1, 2, 10, 11, 100, 101, 1000, 1001, 50257, 1], dtype=torch.int32)
    assert rank_counts(ranks) == (2, 2, 2, 2, 2)
    assert len(RANK_CLASSES) == 5
    assert rank_counts(torch.tensor([1])) == (1, 0, 0, 0, 0)


def test_the_costliest_tokens() -> None:
    assert costliest(torch.tensor([1.0, 5.0, 2.0, 5.0]), 3) == (1, 3, 2)
    assert costliest(torch.tensor([1.0])) == (0,)


def test_what_stands_around_a_token(tiny: LanguageModel) -> None:
    batch = score(tiny, "one two three four five six")
    assert around(batch, 0) == ("one", " three four five six")
    assert around(batch, 4) == ("one two three four five", "")
    assert around(batch, 4, 9) == ("…four five", "")
    assert around(batch, 4, 10) == around(batch, 4, 12) == ("…four five", "")
    assert around(batch, 1, 6) == ("…two"[-4:], " four…")
    assert around(batch, 1, 2) == ("…wo", " f…")


def test_nothing_stands_before_the_start_of_a_row(gpt2: LanguageModel) -> None:
    batch = score(gpt2, ["every effort moves you", "tea"], bos=True)
    assert around(batch, 0) == ("", " effort moves you")
    assert around(batch, 1) == ("every", " moves you")
    assert around(batch, 4)[0] == ""


def test_a_file_as_text() -> None:
    assert decoded("tea 💙".encode(), "a.txt") == "tea 💙"
    assert decoded(b"\xef\xbb\xbftea", "a.txt") == "tea"
    assert decoded(b"", "a.txt") == ""


@pytest.mark.parametrize(
    ("raw", "at", "byte"),
    [(b"caf\xe9 x", 3, "E9"), (b"\xef\xbb\xbfa\xff", 4, "FF"), (b"\xff\xfet\0", 0, "FF"), (b"ab\xf0\x9f", 2, "F0")],
)
def test_a_file_that_is_not_utf8(raw: bytes, at: int, byte: str) -> None:
    with pytest.raises(GptlossError, match=rf"^a\.txt is not UTF-8: byte {at} is 0x{byte}, .*; save the file as"):
        decoded(raw, "a.txt")
