"""A text in pieces: the same characters, the same tokens, and the same sentence for what is wrong with a file."""

import random
from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from gptloss import GptlossError
from gptloss.corpus import text as corpus_text
from gptloss.corpus.text import encoded, line_ends_sentence, pieces_of, split
from gptloss.models.checkpoints import json_tokens
from gptloss.models.checkpoints.json_tokens import JsonTokenizer
from gptloss.tokens import ByteTokenizer, Tokenizer, gpt2_tokenizer
from tests.helpers.checkpoints import byte_tokenizer_json

# Blanks, letters, digits and marks of many kinds; \x1c is a blank for Python and not for the tokenizers' patterns.
ALPHABET = (
    " \n\t\r\x0b\x0c\x1c\x85\xa0\u2003\u3000'’\"!.,;…#<|>_sStTdlvreäßé\u0301ñ"
    "Ωж١२७7١½Ⅷ中文字、。あカー・がกाक😀\u200d\u200b\x00"
)
TEXTS = st.one_of(st.text(ALPHABET, max_size=120), st.text(max_size=60))
CUTS = st.lists(st.integers(1, 9), min_size=1, max_size=8)


def in_pieces(text: str, sizes: list[int]) -> list[str]:
    """The text in pieces of these sizes, again and again."""
    pieces, at, n = [], 0, 0
    while at < len(text):
        pieces.append(text[at : at + sizes[n % len(sizes)]])
        at, n = at + sizes[n % len(sizes)], n + 1
    return pieces


def check(tokenizer: Tokenizer, text: str, sizes: list[int]) -> None:
    streamed = [token for tokens in encoded(tokenizer, in_pieces(text, sizes)) for token in tokens]
    assert streamed == list(tokenizer.encode(text))


@given(TEXTS, CUTS)
@example("a\x1c b !\x1c!", [1])
@example("don't 's 'S I'll'll x'''re", [1])
@example("中文。字、 あ！\u3000カー・、が", [1])
@example("a  \n\n  b   ", [1])
def test_gpt2_streams_exactly(text: str, sizes: list[int]) -> None:
    check(gpt2_tokenizer(), text, sizes)


@given(TEXTS, CUTS)
@example("12 3\n4  5a5 b", [1])
@example("<|im_start|>user\nhi <|im_end|>", [1])
def test_a_tokenizer_json_that_cuts_as_gpt2_streams_exactly(text: str, sizes: list[int]) -> None:
    check(merging_tokenizer(), text, sizes)


@given(TEXTS, CUTS)
def test_bytes_stream_exactly(text: str, sizes: list[int]) -> None:
    check(ByteTokenizer(), text, sizes)


def test_smollm2_streams_exactly() -> None:
    from gptloss.models.catalogue import smollm2

    if not smollm2.here():
        pytest.skip("smollm2-135m is not pulled")
    tokenizer = smollm2.tokenizer()
    assert tokenizer.breaks is not None
    draws = random.Random(5)
    for _ in range(3_000):
        text = "".join(draws.choices(ALPHABET + " e\n", k=draws.randint(0, 60)))
        check(tokenizer, text, [draws.randint(1, 8) for _ in range(5)])


_MADE: dict[str, JsonTokenizer] = {}


def merging_tokenizer() -> JsonTokenizer:
    """A byte-level BPE as SmolLM2 has it, digits apart, with merges across everything that a cut could separate."""
    if "it" not in _MADE:
        _MADE["it"] = _trained()
    return _MADE["it"]


def _trained() -> JsonTokenizer:
    import tempfile

    from tokenizers import Tokenizer as Whole
    from tokenizers import decoders, models, pre_tokenizers, trainers

    whole = Whole(models.BPE())
    cut = pre_tokenizers.ByteLevel(add_prefix_space=False)
    whole.pre_tokenizer = pre_tokenizers.Sequence([pre_tokenizers.Digits(individual_digits=True), cut])
    whole.decoder = decoders.ByteLevel()
    draws = random.Random(1)
    texts = ["".join(draws.choices(ALPHABET, k=40)) for _ in range(800)]
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(
        vocab_size=1_000,
        initial_alphabet=alphabet,
        special_tokens=["<|im_start|>", "<|im_end|>"],
        show_progress=False,
    )
    whole.train_from_iterator(texts, trainer)
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "tokenizer.json"
        file.write_text(whole.to_str(), "utf-8")
        tokenizer = JsonTokenizer(file, whole.get_vocab_size())
    assert tokenizer.breaks is not None
    assert tokenizer.vocab_size > 600
    return tokenizer


@pytest.mark.parametrize(
    "change",
    [
        {"normalizer": {"type": "NFC"}},
        {"pre_tokenizer": None},
        {"pre_tokenizer": {"type": "ByteLevel", "add_prefix_space": True, "trim_offsets": True, "use_regex": True}},
        {"pre_tokenizer": {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True, "use_regex": False}},
        {"added_tokens": [{"special": False, "content": "a b"}]},
    ],
)
def test_other_tokenizers_get_the_whole_text(change: dict[str, object]) -> None:
    import json

    spec = json.loads(byte_tokenizer_json(300))
    assert json_tokens._cuts_as_gpt2(spec)
    assert not json_tokens._cuts_as_gpt2(spec | change)


def test_a_tokenizer_without_breaks_is_asked_once() -> None:
    class Whole(ByteTokenizer):
        breaks = None
        asked: list[str] = []  # noqa: RUF012

        def encode(self, text: str):  # type: ignore[no-untyped-def]
            self.asked.append(text)
            return super().encode(text)

    assert len(list(encoded(Whole(), ["a b", " c d", " e"]))) == 1
    assert Whole.asked == ["a b c d e"]


def test_a_long_text_is_never_held_whole() -> None:
    seen: list[int] = []

    class Watched(ByteTokenizer):
        breaks = gpt2_tokenizer().breaks

        def encode(self, text: str):  # type: ignore[no-untyped-def]
            seen.append(len(text))
            return super().encode(text)

    assert sum(map(len, encoded(Watched(), ["tea and milk. " * 20_000]))) == 280_000
    assert max(seen) < 2 * corpus_text.PIECE


@given(st.text(max_size=40), st.floats(0.01, 0.99))
def test_a_text_is_split_by_characters(text: str, fraction: float) -> None:
    training, validation = map("".join, split(text, fraction))
    assert training + validation == text
    assert len(training) == int(fraction * len(text))


def test_a_file_is_split_as_its_text(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    text = "één, twee\r\n😀 drie\n" * 30
    (tmp_path / "a.txt").write_bytes(b"\xef\xbb\xbf" + text.encode())
    for size in (1, 2, 3, 5, 1_000):
        monkeypatch.setattr(corpus_text, "PIECE", size)
        assert "".join(pieces_of(tmp_path / "a.txt")) == text
        training, validation = map("".join, split(tmp_path / "a.txt", 0.9))
        assert (training, validation) == (text[: int(0.9 * len(text))], text[int(0.9 * len(text)) :])


@pytest.mark.parametrize("fraction", [0, 1, -0.5, 1.5, float("nan")])
def test_a_split_that_leaves_nothing_is_refused(fraction: float) -> None:
    with pytest.raises(GptlossError, match=r"leaves one part empty; use a number between 0 and 1, as 0\.9"):
        split("abc", fraction)


@pytest.mark.parametrize("size", [1, 2, 3, 4, 100])
@pytest.mark.parametrize(
    ("raw", "place", "value"),
    [
        (b"abc\xffdef", 3, "FF"),
        (b"ab\xe2\x82", 2, "E2"),
        (b"a\xf0\x9f\x98b", 1, "F0"),
        (b"\xef\xbb\xbfab\xc0", 5, "C0"),
    ],
)
def test_bytes_that_are_not_utf8_are_named(
    raw: bytes, place: int, value: str, size: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(corpus_text, "PIECE", size)
    (tmp_path / "bad.txt").write_bytes(raw)
    with pytest.raises(GptlossError, match=f"bad.txt is not UTF-8: byte {place} is 0x{value}, which no character"):
        list(pieces_of(tmp_path / "bad.txt"))


def test_files_that_cannot_be_read(tmp_path: Path) -> None:
    with pytest.raises(GptlossError, match="is a folder; name a text file in it"):
        list(pieces_of(tmp_path))
    with pytest.raises(GptlossError, match=r"There is no file .*gone\.txt; check the name"):
        list(pieces_of(tmp_path / "gone.txt"))
    with pytest.raises(GptlossError, match="cannot be read"):
        list(pieces_of(Path("a\0b")))


@given(st.text("a\r\n", max_size=40), CUTS)
def test_crlf_is_counted_wherever_the_text_is_cut(text: str, sizes: list[int]) -> None:
    count = text.count("\r\n")
    sentence = line_ends_sentence(in_pieces(text, sizes), "a.txt")
    assert sentence == line_ends_sentence([text], "a.txt")
    if count > 1:
        assert sentence == (
            f"a.txt ends {count} lines with CRLF, which counts as it stands, as two characters and two bytes; convert"
            " the file to LF to count one."
        )
    assert bool(sentence) == bool(count)
    assert ("ends 1 line with" in sentence) == (count == 1)
