import numpy as np
import pytest
import torch

from gptloss import ScoredBatch, score
from gptloss.models import LanguageModel
from views.components.ladder_table import COLUMNS, _curves, _place, first_column, ladder_data


def test_the_lecture_in_text(lecture: ScoredBatch) -> None:
    data = ladder_data(lecture, 0, "nats")
    assert [column["proba"] for column in data["columns"]][:2] == ["7.45e-05", "3.11e-05"]
    assert [column["log"] for column in data["columns"]][-1] == "-12.2561"
    assert data["columns"][5]["bar"] == 1
    assert data["columns"][0]["bar"] == pytest.approx(9.5042 / 12.2561, abs=1e-4)
    assert (data["mean"], data["loss"], data["perplexity"]) == ("-10.7940", "10.7940", "48,725.8")
    assert data["agrees"] is True
    assert data["all"] == "all 50,257, sum 1.0000"
    assert [column["output"] for column in data["columns"]][:3] == [
        ["·Armed", 16657],
        ["·he", 339],
        ["Netflix", 42826],
    ]
    assert data["notes"]["output"] == "0 of 6 right"
    assert data["notes"]["softmax"] == "flat: no token\nhas even 1 %"
    assert data["equals"] == "equals"
    assert data["shapes"] == ["[2, 3, 50257]", "[6, 50257]"]
    assert data["rows"] == [3, 3]


def test_bits(lecture: ScoredBatch) -> None:
    data = ladder_data(lecture, 0, "bits")
    assert (data["loss"], data["base"], data["log"]) == ("15.5724", "2", "log₂ p")
    assert data["equals"] == "= 10.7940 nats by"


def test_the_targets_place_runs_from_the_first_rank_to_the_last() -> None:
    ranks, heights = _curves(torch.randn(2, 50257))
    assert (_place(1, ranks), _place(50257, ranks)) == (0, 1)
    assert _place(7247, ranks) == pytest.approx(np.log(7247) / np.log(50257), abs=0.02)
    assert (np.diff(heights, axis=1) <= 0).all()
    assert 0 <= heights.min() <= heights.max() <= 1


def test_the_pictures_are_linear_in_p() -> None:
    logits = torch.zeros(1, 1000)
    logits[0, 7] = 20.0
    _, heights = _curves(logits)
    assert heights[0, 0] == pytest.approx(1.0, abs=1e-4)
    assert heights[0, 1] < 1e-4


def test_long_batches_come_a_page_at_a_time(tiny: LanguageModel) -> None:
    batch = score(tiny, [" a" * 17] * 3)
    data = ladder_data(batch, first_column(47), "nats")
    assert [column["k"] for column in data["columns"]] == list(range(COLUMNS, 48))
    assert data["count"] == 48
