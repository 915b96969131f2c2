import itertools
from dataclasses import replace

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from gptloss import load_model, score
from gptloss.analysis.alignment import (
    AlignedToken,
    Shared,
    Span,
    aligned_token_at,
    aligned_tokens,
    same_vocabulary,
    shared,
    spans_of_text,
    spans_of_tokens,
    widest,
)
from gptloss.charts.colours import RUNS
from gptloss.charts.compare import TokenPanel, difference_chart, token_chart
from gptloss.measures import bits_per_byte, kl_divergence
from gptloss.models import LanguageModel
from gptloss.tokens import ByteTokenizer, gpt2_tokenizer

LENGTHS = st.lists(st.integers(1, 5), min_size=1, max_size=30)


def row(lengths: list[int], start: int = 0) -> tuple[AlignedToken, ...]:
    made, at = [], start
    for j, length in enumerate(lengths, 1):
        made.append(AlignedToken(j, at, at + length, f"t{j}", float(j)))
        at += length
    return tuple(made)


def test_pieces_know_their_bytes(tiny: LanguageModel) -> None:
    batch = score(tiny, ["one 💙 now", "every effort moves"])
    first = aligned_tokens(batch, 1)
    assert first[0].start == len(b"one")
    assert b"one" + b"".join(token.raw for token in batch.targets[: len(first)]) == "one 💙 now".encode()
    assert first[-1].stop == len("one 💙 now".encode())
    assert [piece.loss for piece in aligned_tokens(batch, 2)] == pytest.approx(
        (-batch.log_probas[len(first) :]).tolist()
    )
    assert aligned_tokens(batch, 9) == ()


@given(LENGTHS, LENGTHS)
def test_spans_share_their_edges_and_lose_nothing(a: list[int], b: list[int]) -> None:
    """Whatever the cuts: spans do not overlap, and between the first and last common cut every loss is counted."""
    b = [*b, sum(a) - sum(b)] if sum(b) < sum(a) else b
    one, other = row(a), row(b)
    spans = spans_of_text(one, other)
    for before, after in itertools.pairwise(spans):
        assert before.stop == after.start
    if spans:
        inside = [p.loss for p in one if p.start >= spans[0].start and p.stop <= spans[-1].stop]
        assert sum(span.losses[0] for span in spans) == pytest.approx(sum(inside))
        edges = [{p.start for p in r} | {p.stop for p in r} for r in (one, other)]
        assert all(span.start in edges[0] & edges[1] and span.stop in edges[0] & edges[1] for span in spans)


def test_equal_tokens_of_two_texts_are_paired_in_order() -> None:
    one = tuple(AlignedToken(j, j, j + 1, word, 1.0) for j, word in enumerate(["a", "b", "c", "d"], 1))
    other = tuple(AlignedToken(j, j, j + 1, word, 3.0) for j, word in enumerate(["a", "x", "c", "d"], 1))
    spans = spans_of_tokens(one, other)
    assert [(span.start, span.label) for span in spans] == [(1, "a"), (2, "b→x"), (3, "c"), (4, "d")]
    assert all(span.difference == -2.0 for span in spans)


def test_exchanged_words_are_one_span() -> None:
    one = tuple(AlignedToken(j, j, j + 1, word, 1.0) for j, word in enumerate(["a", "tea", "leaf", "z"], 1))
    other = tuple(AlignedToken(j, j, j + 1, word, 4.0) for j, word in enumerate(["a", "car", "z"], 1))
    exchanged = spans_of_tokens(one, other)[1]
    assert exchanged == Span(2, 4, "tealeaf→car", (2.0, 4.0), j=2)
    assert widest([exchanged, Span(0, 1, "a", (9.0, 1.0))]).label == "a"  # type: ignore[union-attr]
    assert widest([]) is None


WORDS = st.lists(st.sampled_from(["a", "tea", "big "]), max_size=12)


def spoken(words: list[str], loss: float) -> tuple[AlignedToken, ...]:
    ends = list(itertools.accumulate(map(len, words), initial=0))
    pairs = enumerate(zip(words, itertools.pairwise(ends), strict=True), 1)
    return tuple(AlignedToken(j, *place, word, loss * j) for j, (word, place) in pairs)


@given(WORDS, WORDS)
def test_the_differences_add_up(a: list[str], b: list[str]) -> None:
    """Whatever was put in, left out or exchanged."""
    one, other = spoken(a, 1.0), spoken(b, 1.7)
    spans = spans_of_tokens(one, other)
    paid = [sum(piece.loss for piece in row) for row in (one, other)]
    assert sum(span.difference for span in spans) == pytest.approx(paid[0] - paid[1])
    assert all(before.stop == after.start for before, after in itertools.pairwise(spans))
    assert all(span.start < span.stop for span in spans)
    assert all(1 <= span.j <= max(1, len(one)) for span in spans)


@pytest.mark.parametrize("way", [1, -1])
def test_tokens_that_one_text_has_cost_the_other_nothing(way: int) -> None:
    texts = [spoken(["the ", "cat"], 1.0), spoken(["the ", "big ", "cat"], 3.0)][::way]
    spans = spans_of_tokens(*texts)
    label, losses = ("→big ", (0.0, 6.0)) if way == 1 else ("big →", (6.0, 0.0))
    assert [(span.start, span.stop, span.label) for span in spans] == [(0, 4, "the "), (4, 8, label), (8, 11, "cat")]
    assert spans[1].losses == losses
    assert spans[1].j == 2


def test_the_bars_of_two_texts_add_up() -> None:
    batch = score(load_model("bigram"), ["the cat", "the big cat"])
    one, other = aligned_tokens(batch, 1), aligned_tokens(batch, 2)
    (bars,) = difference_chart(spans_of_tokens(one, other), ("A", "B"), "nats", "dearer in A").data
    wanted = sum(p.loss for p in one) - sum(p.loss for p in other)
    assert sum(bars.y) == pytest.approx(wanted)
    assert wanted == pytest.approx(-14.98, abs=0.01)


def test_what_all_runs_scored(tiny: LanguageModel) -> None:
    """GPT-2's tokens and bytes; the second line is too long for the first model, the third has one token there."""
    lines = ["every effort moves", "many words " * 9, "I really like tea"]
    some = score(tiny, [lines[0], lines[2]])
    first = replace(some, rows=tuple(replace(row, number=n) for row, n in zip(some.rows, (1, 3), strict=True)))
    second = score(load_model("bigram"), lines)
    found = shared([first, second])
    assert found.lines == (1, 3)
    assert found.size == len(" effort moves") + len(" really like tea")
    assert found.nats[0] == pytest.approx(some.loss * len(some))
    inside = [piece.loss for i, skip in ((1, 4), (3, 0)) for piece in aligned_tokens(second, i)[skip:]]
    assert found.nats[1] == pytest.approx(sum(inside))
    apart = replace(first, rows=tuple(replace(row, number=row.number + 8) for row in first.rows))
    assert shared([apart, second]) == Shared((), 0, (0.0, 0.0))


def test_a_start_token_has_no_bytes_and_a_typed_first_token_has(gpt2: LanguageModel) -> None:
    assert aligned_tokens(score(gpt2, "every effort", bos=True), 1)[0].start == 0
    assert aligned_tokens(score(gpt2, [[50256, 3626]]), 1)[0].start > 0


def test_the_piece_at_a_byte() -> None:
    pieces = row([2, 3], start=4)
    assert [aligned_token_at(pieces, byte) and aligned_token_at(pieces, byte).j for byte in (3, 4, 5, 6, 8, 9)] == [  # type: ignore[union-attr]
        None, 1, 1, 2, 2, None]  # fmt: skip


def test_vocabularies() -> None:
    assert same_vocabulary(ByteTokenizer(), ByteTokenizer())
    assert not same_vocabulary(ByteTokenizer(), gpt2_tokenizer())


def test_kl_divergence_against_torch() -> None:
    torch.manual_seed(0)
    p, q = torch.randn(7, 50), 3 * torch.randn(7, 50)
    wanted = torch.nn.functional.kl_div(
        q.double().log_softmax(-1), p.double().log_softmax(-1), reduction="none", log_target=True
    ).sum(-1)
    torch.testing.assert_close(kl_divergence(p, q), wanted)
    assert (kl_divergence(p, q) > 0).all()
    assert kl_divergence(p, p + 5).abs().max() < 1e-6
    assert kl_divergence(torch.zeros(1, 2), torch.tensor([[0.0, -torch.inf]])).item() == float("inf")
    impossible = torch.tensor([[0.0, -torch.inf]])
    assert kl_divergence(impossible, torch.tensor([[0.0, 0.0]])).item() == pytest.approx(0.693147, abs=1e-5)


def test_bits_per_byte_is_the_same_however_the_text_is_cut() -> None:
    """A blind guess over bytes needs 8 bits a byte."""
    assert score(load_model("uniform"), "some text").bits_per_byte == pytest.approx(8)
    assert bits_per_byte(8 * 0.693147, 1) == pytest.approx(8, abs=1e-4)


def test_the_token_chart_has_a_panel_for_each_run() -> None:
    chart = token_chart(
        [TokenPanel("<b>one</b>", row([2, 3]), 2), TokenPanel("two", row([5]), colour=RUNS[1])], "bits"
    )
    first, second = chart.data
    assert (list(first.x), list(first.width), first.offset) == ([0, 2], [2, 3], 0)
    assert list(first.y) == pytest.approx([1 / 0.693147, 2 / 0.693147], rel=1e-4)
    (chosen,) = chart.figure.layout.shapes
    assert (chosen.x0, chosen.x1, chosen.xref) == (2, 5, "x")
    assert chosen.y1 == pytest.approx(first.y[1])
    assert (first.marker.color, second.marker.color) == RUNS[:2]
    assert chart.figure.layout.yaxis.range == chart.figure.layout.yaxis2.range
    assert chart.figure.layout.yaxis.title.text == "bits"
    assert "&lt;b&gt;one" in chart.figure.layout.annotations[0].text
    assert list(chart.figure.layout.xaxis.ticktext) == ["t1", "t2"]
    assert "bits" in first.hovertemplate


def test_long_rows_have_no_labels() -> None:
    chart = token_chart([TokenPanel("one", row([1] * 500))], "nats")
    assert chart.figure.layout.xaxis.ticktext == ()


def test_the_difference_chart_names_who_was_better() -> None:
    spans = [Span(0, 3, "tea", (5.0, 1.0)), Span(3, 5, "<b", (1.0, 2.0))]
    chart = difference_chart(spans, ("A", "B"), "nats", "B knew better")
    (bars,) = chart.data
    assert list(bars.y) == [4.0, -1.0]
    assert list(bars.marker.color) == [RUNS[1], RUNS[0]]
    assert [row[0] for row in bars.customdata] == ["tea", "&lt;b"]
    assert "A minus B" in chart.figure.layout.title.text
    assert "above 0: B knew better" in chart.figure.layout.title.subtitle.text
