"""Which tokens a convention scores: against plain copies of the three rules, and once each."""

import inspect
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gptloss import GptlossError
from gptloss.corpus.conventions import Convention, Plan, Window, plan, sentence, windows
from gptloss.models.base import ModelInfo

INFO = ModelInfo("small", "Small", "none", 256, 64, 0, bos_id=0)
LARGE = replace(INFO, context_length=4096)
LENGTHS, SIZES = st.integers(0, 300), st.integers(2, 40)


def scored(plan: Plan, length: int) -> list[int]:
    """The places in the stream that count, in the order in which they are scored."""
    return [place for window in windows(plan, length) for place in range(window.first, window.stop + 1)]


@given(LENGTHS, SIZES, st.data(), st.sampled_from(["book", "rolling", "strided"]))
def test_nothing_is_scored_twice_and_nothing_unread_is_used(
    length: int, size: int, data: st.DataObject, convention: Convention
) -> None:
    stride = data.draw(st.integers(1, size)) if convention == "strided" else size
    made = list(windows(Plan(convention, size, stride, False), length))
    for window in made:
        assert 0 <= window.start < window.first <= window.stop < length
        assert window.stop - window.start <= size
        assert window.scored == window.stop + 1 - window.first >= 1
    places = scored(Plan(convention, size, stride, False), length)
    assert places == sorted(set(places))


@given(LENGTHS, SIZES, st.data())
def test_rolling_scores_every_target_once_and_so_does_strided(length: int, size: int, data: st.DataObject) -> None:
    everything = list(range(1, length))
    assert scored(Plan("rolling", size, size, False), length) == everything
    stride = data.draw(st.integers(1, size - 1))
    assert scored(Plan("strided", size, stride, False), length) == everything


@given(LENGTHS, SIZES)
def test_book_is_the_books_loader(length: int, size: int) -> None:
    tokens = list(range(length))
    inputs, targets = [], []
    for i in range(0, len(tokens) - size, size):  # GPTDatasetV1
        inputs.append(tokens[i : i + size])
        targets.append(tokens[i + 1 : i + size + 1])
    made = list(windows(Plan("book", size, size, False), length))
    assert [tokens[window.start : window.stop] for window in made] == inputs
    assert [tokens[window.first : window.stop + 1] for window in made] == targets


@given(LENGTHS, SIZES)
def test_rolling_is_the_harness_rule(length: int, size: int) -> None:
    tokens, made = [f"t{n}" for n in range(length)], []
    done = 0
    while done < length:  # the start token stands before the text; each run predicts what is not predicted yet
        new = min(size, length - done)
        end = done + new
        read = (["start", *tokens])[max(0, end - size) : end] if done else ["start", *tokens[: new - 1]]
        made.append((read, tokens[done:end]))
        done = end
    stream = ["start", *tokens]
    ours = [
        (stream[window.start : window.stop], stream[window.first : window.stop + 1])
        for window in windows(Plan("rolling", size, size, True), len(stream))
    ]
    assert ours == made


@given(LENGTHS, SIZES, st.data())
def test_strided_is_the_guides_loop(length: int, size: int, data: st.DataObject) -> None:
    stride = data.draw(st.integers(1, size))
    tokens, made = list(range(length)), []
    before = 0
    for begin in range(0, length, stride):
        end = min(begin + size, length)
        labels = tokens[begin:end]
        labels[: -(end - before)] = [-100] * (len(labels) - (end - before))
        shifted = [label for label in labels[1:] if label != -100]  # the model shifts labels by one
        made.append((begin, shifted))
        before = end
        if end == length:
            break
    ours = [
        (window.start, tokens[window.first : window.stop + 1])
        for window in windows(Plan("strided", size, stride, False), length)
    ]
    assert ours == [(begin, labels) for begin, labels in made if labels]


@given(LENGTHS, SIZES)
def test_strided_by_whole_windows_is_chunks(length: int, size: int) -> None:
    chunks = [range(start, min(start + size, length)) for start in range(0, length, size)]
    made = list(windows(Plan("strided", size, size, False), length))
    assert [(window.start, window.scored) for window in made] == [
        (chunk.start, len(chunk) - 1) for chunk in chunks if len(chunk) > 1
    ]


def test_the_last_rolling_window_is_filled_leftwards() -> None:
    assert list(windows(plan("rolling", INFO, window=4), 8)) == [Window(0, 4, 1), Window(3, 7, 5)]


def test_what_is_left_out_is_as_the_convention_has_it() -> None:
    assert plan("book", INFO) == Plan("book", 64, 64, False)
    assert plan("rolling", INFO) == Plan("rolling", 64, 64, True)
    assert plan("strided", INFO) == Plan("strided", 64, 32, False)
    assert plan("strided", INFO, window=10, stride=3, bos=True) == Plan("strided", 10, 3, True)
    assert plan("rolling", INFO, bos=False).bos is False
    assert plan("rolling", replace(INFO, bos_id=None)).bos is False


@pytest.mark.parametrize(
    ("convention", "numbers", "sentence"),
    [
        ("tidal", {}, "There is no convention 'tidal'; use book, rolling, strided."),
        ("book", {"window": 65}, "small cannot read windows of 65 tokens; use 2 to 64, its context."),
        ("book", {"window": 1}, "small cannot read windows of 1 tokens; use 2 to 64"),
        ("strided", {"stride": 0}, "A stride of 0 leaves out tokens or stands still; use 1 to 64."),
        ("strided", {"window": 8, "stride": 9}, "A stride of 9 leaves out tokens or stands still; use 1 to 8."),
        ("rolling", {"stride": 9}, "so the stride is the window, 64, and not 9; leave it out, or use strided."),
    ],
)
def test_numbers_that_cannot_be_are_refused(convention: Convention, numbers: dict[str, int], sentence: str) -> None:
    with pytest.raises(GptlossError) as error:
        inspect.unwrap(plan)(convention, INFO, **numbers)  # a convention may be misspelt
    assert sentence in str(error.value)


@pytest.mark.parametrize(
    ("convention", "numbers", "sentence"),
    [
        ("book", {"window": 5000}, "small cannot read windows of 5,000 tokens; use 2 to 4,096, its context."),
        ("strided", {"stride": 5000}, "A stride of 5,000 leaves out tokens or stands still; use 1 to 4,096."),
        (
            "rolling",
            {"stride": 1024},
            "In the convention rolling windows follow each other, so the stride is the window, 4,096, and not 1,024;"
            " leave it out, or use strided.",
        ),
    ],
)
def test_thousands_that_cannot_be_are_refused_with_their_commas(
    convention: Convention, numbers: dict[str, int], sentence: str
) -> None:
    with pytest.raises(GptlossError) as error:
        plan(convention, LARGE, **numbers)
    assert str(error.value) == sentence


def test_a_start_token_that_the_model_does_not_have_is_refused() -> None:
    with pytest.raises(GptlossError, match="small has no start token; score without one"):
        plan("book", replace(INFO, bos_id=None), bos=True)


def test_the_convention_is_said_out_loud() -> None:
    assert sentence(plan("rolling", INFO)) == (
        "rolling: windows of 64 tokens, one after the other, the last one filled leftwards, each token scored once;"
        " the start token first."
    )
    assert "that move on by 32, each token scored once, with 32 or more before it" in sentence(plan("strided", INFO))
    assert sentence(plan("strided", LARGE, stride=1024)) == (
        "strided: windows of 4,096 tokens, that move on by 1,024, each token scored once,"
        " with 3,072 or more before it after the first window; no start token."
    )
    assert "the first token of each not scored" in sentence(plan("strided", INFO, stride=64))
    assert "what is left at the end is dropped; no start token." in sentence(plan("book", INFO))
