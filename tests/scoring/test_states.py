"""Rows longer than the context: every token once, with enough before it, and little kept."""

from dataclasses import replace

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from gptloss import GptlossError, ScoredBatch, score
from gptloss.models import LanguageModel
from gptloss.models.architectures.gpt2 import GPT2
from gptloss.scoring import states
from gptloss.scoring.rows import read_row
from gptloss.scoring.score import score_rows
from gptloss.scoring.states import windows
from tests.helpers.scoring import kept_bytes


@given(st.integers(1, 300), st.integers(1, 40), st.data())
def test_every_position_is_new_in_one_window(length: int, size: int, data: st.DataObject) -> None:
    stride = data.draw(st.integers(1, size))
    new: list[int] = []
    for start, first, stop in windows(length, size, stride):
        assert 0 <= start <= first < stop <= length
        assert stop - start <= size
        assert first - start >= min(first, size - stride)
        new += range(first, stop)
    assert new == list(range(length))


@pytest.mark.parametrize("stride", [1, 5, 8, 16])
@pytest.mark.parametrize("bos", [False, True])
def test_a_long_row_is_scored_window_by_window(tiny: LanguageModel, stride: int, bos: bool, ids: list[int]) -> None:
    tiny = with_start(tiny) if bos else tiny
    batch = score(tiny, ids, stride=stride, bos=bos)
    read = [50256, *ids] if bos else ids
    assert [token.id for token in batch.targets] == read[1:]
    wanted = []
    for start, first, stop in windows(len(read) - 1, 16, stride):
        logits = tiny.network(torch.tensor([read[start:stop]]))[0, first - start :]  # type: ignore[attr-defined]
        wanted.append(logits.log_softmax(-1)[torch.arange(stop - first), torch.tensor(read[first + 1 : stop + 1])])
    torch.testing.assert_close(batch.log_probas, torch.cat(wanted), atol=1e-5, rtol=1e-5)


def test_start_tokens_of_unshifted_rows_are_read_and_not_scored(tiny: LanguageModel, ids: list[int]) -> None:
    batch = score(with_start(tiny), [ids], [ids], stride=8, bos=True)
    assert len(batch) == len(ids)
    alone = score(with_start(tiny), [ids[:15]], [ids[:15]], bos=True)
    torch.testing.assert_close(batch.log_probas[:15], alone.log_probas, atol=1e-5, rtol=1e-5)


def test_without_a_stride_windows_follow_each_other(tiny: LanguageModel, ids: list[int]) -> None:
    rows = [read_row(tiny, 1, ids, None, slide=True)]
    assert score_rows(tiny, rows).log_probas.tolist() == score_rows(tiny, rows, 16).log_probas.tolist()


def test_a_stride_changes_nothing_for_what_fits(tiny: LanguageModel, ids: list[int]) -> None:
    rows = [ids[:9], ids[:17], ids[3:7]]
    torch.testing.assert_close(score(tiny, rows, stride=4).log_probas, score(tiny, rows).log_probas)


def test_short_and_long_rows_stay_in_their_order(tiny: LanguageModel, ids: list[int]) -> None:
    batch = score(tiny, [ids, ids[:5], ids[10:]], stride=8)
    alone = [score(tiny, row, stride=8).log_probas for row in (ids, ids[:5], ids[10:])]
    torch.testing.assert_close(batch.log_probas, torch.cat(alone), atol=1e-5, rtol=1e-5)


def test_progress_counts_tokens_to_the_end(tiny: LanguageModel, ids: list[int]) -> None:
    said: list[tuple[int, int]] = []
    score_rows(tiny, [read_row(tiny, 1, ids, None, slide=True)], 8, lambda *done: said.append(done))
    assert said == [(16, 39), (24, 39), (32, 39), (39, 39)]
    said.clear()
    rows = [read_row(tiny, n, row, None, slide=True) for n, row in enumerate((ids, ids[:5], ids[3:9]), 1)]
    score_rows(tiny, rows, 16, lambda *done: said.append(done))
    done, totals = zip(*said, strict=True)
    assert set(totals) == {39 + 4 + 5}
    assert (*done,) == (*sorted(set(done)),)
    assert done[-1] == 39 + 4 + 5


def test_what_stops_the_report_stops_the_scoring(tiny: LanguageModel, ids: list[int]) -> None:
    def stop(*_: int) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        score_rows(tiny, [read_row(tiny, 1, ids, None, slide=True)], 8, stop)


@pytest.mark.parametrize("stride", [0, 17])
def test_a_stride_that_leaves_out_tokens_is_refused(tiny: LanguageModel, ids: list[int], stride: int) -> None:
    with pytest.raises(GptlossError, match=f"A stride of {stride} leaves out tokens or stands still; use 1 to 16"):
        score(tiny, ids, stride=stride)


def test_nothing_as_large_as_all_logits_is_made_or_kept(gpt2: LanguageModel) -> None:
    """Logits of 128 positions at a time, and of each position its state, its ten likeliest and a few numbers."""
    made: list[int] = []

    class Watched(GPT2):
        def head(self, hidden: torch.Tensor) -> torch.Tensor:
            made.append(len(hidden))
            return super().head(hidden)

    model = Watched(gpt2.info, gpt2.network)  # type: ignore[attr-defined]
    batch = score(model, "tea and milk " * 150, stride=128)
    assert len(batch) > 400
    assert max(made) <= 128
    assert sum(made) == len(batch)
    assert kept_bytes(batch) < len(batch) * (4 * 768 + 200)
    for j in range(1, 40):
        batch.top(1, j, 50)
    assert kept_bytes(batch) < len(batch) * (4 * 768 + 200) + 9 * 4 * 50_257


def test_the_ten_likeliest_are_kept_in_order(lecture: ScoredBatch) -> None:
    for k, (i, j) in enumerate(lecture.positions):
        exact = lecture.logits_at(i, j).double().log_softmax(-1).topk(10)
        assert torch.equal(lecture.top_ids[k], exact.indices)
        torch.testing.assert_close(lecture.top_log_probas[k].double(), exact.values, atol=1e-5, rtol=0)


def with_start(model: LanguageModel) -> LanguageModel:
    """The same weights, with a start token."""
    return GPT2(replace(model.info, bos_id=50256), model.network)  # type: ignore[attr-defined]


@pytest.fixture
def ids() -> list[int]:
    """40 tokens, two and a half contexts of `tiny`."""
    return [(7919 * n) % 50_000 for n in range(40)]


@pytest.mark.parametrize("bos", [False, True])
def test_a_row_read_in_pieces_has_the_states_of_one_pass(
    tiny: LanguageModel, ids: list[int], bos: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows = [ids[:17], ids[5:9], ids[20:36]] if not bos else [ids[:16], ids[5:9], ids[20:35]]
    said: list[int] = []
    for targets in (None, rows):
        inputs = rows if targets is None else [row[:15] for row in rows]
        targets = targets and [row[:15] for row in targets]
        whole = score(with_start(tiny), inputs, targets, bos=bos)
        monkeypatch.setattr(states, "PIECE", 6)
        read = [
            read_row(with_start(tiny), n, given, targets and targets[n - 1], bos) for n, given in enumerate(inputs, 1)
        ]
        pieces = score_rows(with_start(tiny), read, report=lambda done, _: said.append(done))
        monkeypatch.undo()
        torch.testing.assert_close(pieces.hidden, whole.hidden, atol=1e-5, rtol=1e-5)
        torch.testing.assert_close(pieces.log_probas, whole.log_probas, atol=1e-5, rtol=1e-5)
    assert len(said) > 2 * len(rows)
