import pytest

from gptloss import ScoredBatch
from gptloss.tables import ladder_table, predictions_table


def test_the_ladder_as_a_table(lecture: ScoredBatch) -> None:
    table = ladder_table(lecture)
    assert list(table["p"]) == ["p11", "p12", "p13", "p21", "p22", "p23"]
    assert list(table["target_id"]) == [3626, 6100, 345, 1107, 588, 11311]
    assert table["log_proba"].mean() == pytest.approx(-10.7940, abs=5e-5)
    assert table["loss_share"].sum() == pytest.approx(1)
    assert list(table["argmax_id"]) == [16657, 339, 42826, 49906, 29669, 41751]
    assert table["odds"][5] == "1 in 210,264"


def test_predictions(lecture: ScoredBatch) -> None:
    table = predictions_table(lecture.top(1, 2, 20))
    assert list(table["rank"]) == list(range(1, 21))
    assert table["token"][0] == "·he"
    assert table["proba"].is_monotonic_decreasing
