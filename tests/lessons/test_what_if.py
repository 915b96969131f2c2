"""A changed position: its parts add up to the whole change, and nothing before it moves."""

import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gptloss import ScoredBatch, load_model, score
from gptloss.errors import GptlossError
from gptloss.lessons.what_if import Branch, forced, moved
from gptloss.models import LanguageModel

TEXT = st.text(st.characters(exclude_categories=["Cs"]), min_size=2, max_size=40)


def adds_up(branch: Branch) -> None:
    total = math.fsum(branch.changes.tolist())
    assert total / len(branch.batch) == pytest.approx(branch.change, abs=1e-6)
    assert math.fsum(branch.changes[k].item() for k in branch.touched) == pytest.approx(total, abs=1e-12)
    assert all(branch.changes[k] == 0 for k in range(len(branch.batch)) if k not in branch.touched)


@settings(max_examples=200)
@given(st.lists(TEXT, min_size=1, max_size=3), st.data())
def test_the_parts_add_up(texts: list[str], data: st.DataObject) -> None:
    """On 200 random cases: a forced token, or a moved probability."""
    model = load_model("bigram")
    batch = score(model, texts)
    i, j = data.draw(st.sampled_from(batch.positions))
    if data.draw(st.booleans()):
        branch = forced(batch, i, j, model.tokenizer.token(data.draw(st.integers(0, 255))))
        fresh = score(model, [list(_ids(branch, row)) for row in range(len(texts))])
        assert branch.loss == pytest.approx(fresh.loss, abs=1e-6)
    else:
        proba = data.draw(st.floats(1e-9, 1))
        branch = moved(batch, i, j, proba)
        assert branch.changes[batch.index(i, j)].item() == pytest.approx(
            -math.log(proba) + batch.log_probas[batch.index(i, j)].item(), abs=1e-6
        )
        assert sum(branch.changes != 0) <= 1
    adds_up(branch)


def _ids(branch: Branch, row: int) -> list[int]:
    """The whole text of a row after the change."""
    start = branch.batch.index(row + 1, 1)
    given_row = branch.batch.rows[row]
    after = branch.targets[start : start + len(given_row.targets)]
    return [given_row.inputs[0].id, *(token.id for token in after)]


def test_a_forced_token_is_the_text_with_that_token(gpt2: LanguageModel, lecture: ScoredBatch) -> None:
    token = gpt2.tokenizer.encode(" pizza")[0]
    branch = forced(lecture, 1, 1, token)
    ids = [row.id for row in lecture.rows[0].inputs]
    again = score(gpt2, [[ids[0], token.id, ids[2], 345]])
    assert branch.log_probas[:3].tolist() == pytest.approx(again.log_probas.tolist(), abs=1e-5)
    assert branch.log_probas[3:].tolist() == lecture.log_probas[3:].double().tolist()
    assert branch.what == "·effort → ·pizza"
    adds_up(branch)


def test_the_last_token_changes_nothing_else(gpt2: LanguageModel, lecture: ScoredBatch) -> None:
    branch = forced(lecture, 2, 3, gpt2.tokenizer.token(464))
    assert list(branch.touched) == [5]
    assert branch.change * 6 == pytest.approx(branch.changes[5].item(), abs=1e-6)


def test_a_row_that_is_no_text_changes_at_one_place(gpt2: LanguageModel) -> None:
    """The next input is not the target, so what follows does not see it."""
    batch = score(gpt2, " a b c", " x y z")
    branch = forced(batch, 1, 1, gpt2.tokenizer.token(464))
    assert branch.changes[0] != 0
    assert branch.changes[1:].abs().max() < 1e-5


def test_a_text_longer_than_the_context(tiny: LanguageModel) -> None:
    batch = score(tiny, " word" * 40, stride=8)
    branch = forced(batch, 1, 20, tiny.tokenizer.token(464))
    adds_up(branch)
    assert len(branch.touched) == 20


@pytest.mark.parametrize("proba", [0.0, -0.1, 1.1])
def test_a_probability_that_is_none(lecture: ScoredBatch, proba: float) -> None:
    with pytest.raises(GptlossError, match="use more than 0 and at most 1"):
        moved(lecture, 1, 1, proba)
