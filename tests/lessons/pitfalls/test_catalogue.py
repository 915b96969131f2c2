"""Each pitfall on the lecture's six tokens, right and wrong, and laws that hold on any rows."""

import math

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given
from hypothesis import strategies as st

from gptloss import ScoredBatch, load_model, score
from gptloss.errors import GptlossError
from gptloss.lessons.pitfalls.case import Comparison, Lab
from gptloss.lessons.pitfalls.catalogue import BY_KEY, PITFALLS
from gptloss.lessons.pitfalls.digits import entropy_curve
from gptloss.lessons.pitfalls.keys import KEYS
from gptloss.models import LanguageModel
from gptloss.prediction.distribution import Distribution

LOSS, PERPLEXITY = 10.7940, 48_725.8


def made(key: str, batch: ScoredBatch, at: tuple[int, int] = (1, 1)) -> Comparison:
    return BY_KEY[key].compare(Lab(batch, at, load_model("bigram")))


def lines(batch: ScoredBatch) -> torch.Tensor:
    """All logits of the batch, in float64."""
    return torch.stack([batch.logits_at(i, j) for i, j in batch.positions]).double()


def ids(batch: ScoredBatch) -> tuple[torch.Tensor, torch.Tensor]:
    return (
        torch.tensor([token.id for token in batch.inputs]),
        torch.tensor([token.id for token in batch.targets]),
    )


def test_there_are_fourteen_in_the_order_of_the_links() -> None:
    assert tuple(pitfall.key for pitfall in PITFALLS) == KEYS
    assert len(set(KEYS)) == 14
    for pitfall in PITFALLS:
        assert pitfall.met
        assert all(source.address.startswith("https://github.com/") for source in pitfall.met)
        assert pitfall.why.endswith(".")
        assert pitfall.unseen.endswith(".")


@pytest.mark.parametrize(
    ("key", "right", "wrong"),
    [
        ("token-perplexities", "48,725.8", "76,119.1"),
        ("row-perplexities", "48,725.8", "52,226.2"),
        ("log-of-mean", "10.7940", "10.3654"),
        ("base", "48,725.8", "1,775.4"),
    ],
)
def test_the_lectures_wrong_numbers(lecture: ScoredBatch, key: str, right: str, wrong: str) -> None:
    comparison = made(key, lecture)
    assert (comparison.right.text, comparison.wrong[0].text) == (right, wrong)
    assert not comparison.agrees


@pytest.mark.parametrize(
    "key", [key for key in KEYS if key not in ("start-token", "bytes", "tokenizers", "top-entropy")]
)
def test_the_right_number_is_the_batchs_own(lecture: ScoredBatch, key: str) -> None:
    comparison = made(key, lecture)
    value = comparison.right.value
    assert value is not None
    loss = value if comparison.quantity.startswith("Loss") else math.log(value)
    assert loss == pytest.approx(lecture.loss, abs=1e-9)
    assert loss == pytest.approx(LOSS, abs=1e-4)


def test_targets_that_are_not_shifted(lecture: ScoredBatch) -> None:
    """Beside PyTorch's own function."""
    same, twice = made("shift", lecture).wrong
    logits, (inputs, targets) = lines(lecture), ids(lecture)
    assert same.value == pytest.approx(F.cross_entropy(logits, inputs).item(), abs=1e-5)
    later = F.cross_entropy(logits[[0, 1, 3, 4]], targets[[1, 2, 4, 5]]).item()
    assert twice.value == pytest.approx(later, abs=1e-5)
    assert (same.text, twice.text) == ("10.6096", "10.3258")


def test_a_start_token_twice_or_left_out(gpt2: LanguageModel, lecture: ScoredBatch) -> None:
    comparison = made("start-token", lecture)
    twice, without = comparison.wrong
    assert without.value == pytest.approx(lecture.loss, abs=1e-6)
    rows = [[50256, *[token.id for token in row.inputs]] for row in lecture.rows]
    once = score(gpt2, rows, [[0, *[token.id for token in row.targets]] for row in lecture.rows])
    kept = [once.log_probas[once.index(i, j)].item() for i, j in once.positions if j > 1]
    assert comparison.right.value == pytest.approx(-sum(kept) / 6, abs=1e-5)
    assert twice.value != comparison.right.value
    with_start = score(gpt2, ["every effort moves you"], bos=True)
    again = made("start-token", with_start)  # the start token is the first input of this row
    assert again.wrong[1].value == pytest.approx(score(gpt2, "every effort moves you").loss, abs=1e-5)


def test_a_model_without_a_start_token_says_so() -> None:
    with pytest.raises(GptlossError, match="bigram has no start token"):
        made("start-token", score(load_model("bigram"), "abc"))


def test_a_shorter_context(gpt2: LanguageModel, lecture: ScoredBatch) -> None:
    """Two tokens of context: each piece read alone, or each target with the two before it."""
    cut, slid = made("context", lecture).wrong
    pieces = [row[at : at + 2] for row in ids(lecture)[0].view(2, 3).tolist() for at in (0, 2)]
    wanted = [row[at : at + 2] for row in ids(lecture)[1].view(2, 3).tolist() for at in (0, 2)]
    assert cut.value == pytest.approx(score(gpt2, pieces, wanted).loss, abs=1e-5)
    (a, b, c), (d, e, f) = ids(lecture)[0].view(2, 3).tolist()
    last = score(gpt2, [[b, c], [e, f]], [[0, wanted[1][0]], [0, wanted[3][0]]])
    first = score(gpt2, [[a, b], [d, e]], [wanted[0], wanted[2]])
    total = first.log_probas.sum().item() + sum(last.log_probas[last.index(i, 2)].item() for i in (1, 2))
    assert slid.value == pytest.approx(-total / 6, abs=1e-5)
    with pytest.raises(GptlossError, match="no context to cut"):
        made("context", score(gpt2, "a", "b"))


def test_a_long_text_is_not_read_once_for_each_token(tiny: LanguageModel) -> None:
    (cut,) = made("context", score(tiny, "word " * 400, stride=8)).wrong
    assert "context 200" in cut.name


def test_what_a_model_writes_itself_is_cheap(lecture: ScoredBatch) -> None:
    comparison = made("own-output", lecture)
    (own,) = comparison.wrong
    assert "8 tokens" in own.name
    assert own.value is not None
    assert 0 < own.value < LOSS - 1


def test_batches_of_four_and_two(lecture: ScoredBatch) -> None:
    batches, rows = made("batch-means", lecture).wrong
    losses = -lecture.log_probas.double()
    assert batches.value == pytest.approx((losses[:4].mean() + losses[4:].mean()).item() / 2)
    assert batches.name == "batches of 4 and 2"
    assert rows.value == pytest.approx(lecture.loss)  # two rows of three targets: no difference
    uneven = score(lecture.model, ["a b c d", "a b"])
    assert made("batch-means", uneven).wrong[1].value != pytest.approx(uneven.loss, abs=1e-3)


def test_per_word(lecture: ScoredBatch) -> None:
    """Eight words stand in the two rows; six targets are scored."""
    (wrong,) = made("per-word", lecture).wrong
    assert wrong.name == "per word, 8 of them"
    assert wrong.value == pytest.approx(math.exp(6 * lecture.loss / 8))
    with pytest.raises(GptlossError, match="no word"):
        made("per-word", score(lecture.model, [220, 220, 220]))


def test_bytes_are_counted_wrongly_in_three_ways() -> None:
    """Half an emoji decoded alone is U+FFFD, three bytes; a leading blank; CRLF."""
    model = load_model("gpt2-untrained")
    batch = score(model, "x a 🍕\r\n b")
    right, blanks, alone, ends = (made("bytes", batch).right, *made("bytes", batch).wrong)
    raw = b"".join(token.raw for token in batch.targets)
    assert raw == " a 🍕\r\n b".encode()
    bits = batch.loss * len(batch) / math.log(2)
    assert right.value == pytest.approx(bits / len(raw))
    assert blanks.value == pytest.approx(bits / (len(raw) - sum(t.raw[:1] == b" " for t in batch.targets)))
    halves = sum(len(token.raw.decode("utf-8", "replace").encode()) for token in batch.targets)
    assert halves > len(raw)
    assert alone.value == pytest.approx(bits / halves)
    assert ends.value == pytest.approx(bits / (len(raw) - 1))


def test_by_token_the_bigram_wins_by_byte_it_loses(lecture: ScoredBatch) -> None:
    comparison = made("tokenizers", lecture)
    assert comparison.right.value is not None
    assert comparison.wrong[0].value is not None
    assert comparison.right.value < 1 < comparison.wrong[0].value
    bigram = load_model("bigram")
    both = [score(bigram, text) for text in ("every effort moves you", "I really like chocolate")]
    sizes = (len(" effort moves you"), len(" really like chocolate"))
    nats = sum(-batch.log_probas.double()[-size:].sum().item() for batch, size in zip(both, sizes, strict=True))
    by_byte = nats / math.log(2) / sum(sizes)
    assert comparison.right.value == pytest.approx(lecture.bits_per_byte / by_byte, rel=1e-6)
    assert comparison.wrong[0].value == pytest.approx(lecture.loss / (nats / sum(sizes)), rel=1e-6)


def test_sixteen_bits(lecture: ScoredBatch) -> None:
    half, product, single = made("precision", lecture).wrong
    assert half.value == pytest.approx(10.793, abs=3e-3)  # not 10.7940
    assert half.text != "10.7940"
    assert (product.value, product.text) == (None, "no number")
    assert single.value == pytest.approx(lecture.loss, abs=1e-3)


def test_a_probability_that_float16_does_not_hold_has_no_logarithm(gpt2: LanguageModel) -> None:
    """A model so sure of itself that the target's probability is below 6e-8."""

    class Sure:
        info, tokenizer = gpt2.info, gpt2.tokenizer

        def hidden(self, ids: torch.Tensor) -> torch.Tensor:
            return gpt2.hidden(ids)

        def head(self, hidden: torch.Tensor) -> torch.Tensor:
            return 40 * gpt2.head(hidden)

        reader = gpt2.reader

    half = made("precision", score(Sure(), "every effort moves you")).wrong[0]
    assert (half.value, half.text) == (None, "no number")


def test_the_entropy_of_ten_is_a_lower_bound(lecture: ScoredBatch) -> None:
    comparison = made("top-entropy", lecture, (2, 1))
    exact = Distribution(lecture.logits_at(2, 1)).entropy
    assert comparison.right.value == pytest.approx(exact, abs=1e-9)
    assert comparison.wrong[0].value is not None
    assert 0 < comparison.wrong[0].value < exact
    renormalised = comparison.wrong[1].value
    assert renormalised is not None
    assert renormalised <= math.log(10) + 1e-12


@given(st.text(st.characters(exclude_categories=["Cs"]), min_size=2, max_size=40), st.integers(1, 256))
def test_any_part_of_an_entropy_is_below_it(text: str, k: int) -> None:
    batch = score(load_model("bigram"), text)
    curve = entropy_curve(batch, 1, 1)
    assert curve.at(min(k, len(curve.logs))) <= curve.entropy + 1e-12
    ks, sums = curve.points()
    assert ks[-1] == len(curve.logs)
    assert sums == sorted(sums)


@given(st.lists(st.text(st.characters(exclude_categories=["Cs"]), min_size=3, max_size=30), min_size=1, max_size=4))
def test_every_mistake_is_made_or_refused_in_a_sentence(texts: list[str]) -> None:
    """Jensen's inequality gives the direction of three of them."""
    batch = score(load_model("bigram"), texts)
    lab = Lab(batch, (1, 1), load_model("uniform"))
    found, refused = {}, []
    for pitfall in PITFALLS:
        try:
            found[pitfall.key] = pitfall.compare(lab)
        except GptlossError as error:
            refused.append(str(error))
    assert all(sentence.endswith(".") for sentence in refused)
    for key, sign in (("token-perplexities", 1), ("row-perplexities", 1), ("log-of-mean", -1)):
        right, wrong = found[key].right.value, found[key].wrong[0].value
        if (
            right is not None
            and wrong is not None
            and (key != "row-perplexities" or len({len(t.encode()) for t in texts}) == 1)
        ):
            assert sign * (wrong - right) >= -1e-6 * abs(right)
