import csv
import io
import json

import pytest
import torch

from gptloss import ScoredBatch, score
from gptloss.models import LanguageModel
from gptloss.tables import ladder_table, predictions_table, rank_table, text_csv, text_table


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


def test_every_token_of_the_text(gpt2: LanguageModel) -> None:
    batch = score(gpt2, ["every effort moves you", "I really like"])
    table = text_table(batch)
    assert list(table["p"]) == ["", "p11", "p12", "p13", "", "p21", "p22"]
    assert list(table["id"]) == [16833, 3626, 6100, 345, 40, 1107, 588]
    assert table["bytes"][1] == b" effort".hex()
    assert table["text"][1] == "·effort"
    scored = table[table["p"] != ""]
    assert list(scored["log_proba"]) == pytest.approx(batch.log_probas.tolist())
    assert list(scored["rank"]) == batch.ranks.tolist()
    assert list(scored["entropy"]) == pytest.approx(batch.entropies.tolist())
    assert list(scored["top_1"]) == [token.label for token in batch.argmax]
    assert list(scored["top_5_log_proba"]) == pytest.approx(batch.top_log_probas[:, 4].tolist())
    assert table[table["p"] == ""][["log_proba", "rank", "entropy", "top_1"]].isna().all(axis=None)
    assert list(text_table(score(gpt2, "every effort", bos=True))["p"]) == ["p11", "p12"]


def test_how_the_tokens_were_ranked() -> None:
    table = rank_table(torch.tensor([1, 1, 2, 11, 101, 1001, 5000, 50257], dtype=torch.int32))
    assert list(table["rank"]) == ["1", "2 to 10", "11 to 100", "101 to 1,000", "over 1,000"]
    assert list(table["tokens"]) == [2, 1, 1, 1, 3]
    assert list(table["share"]) == [0.25, 0.125, 0.125, 0.125, 0.375]


def test_a_csv_that_is_read_back_and_holds_no_formula(gpt2: LanguageModel) -> None:
    batch = score(gpt2, 'a =1+1 @x -2 +3 "b", 💙\n\tc')
    rows = list(csv.DictReader(io.StringIO(text_csv(batch))))
    assert len(rows) == len(batch) + 1
    assert b"".join(bytes.fromhex(row["bytes"]) for row in rows).decode() == 'a =1+1 @x -2 +3 "b", 💙\n\tc'
    assert [json.loads(row["text"]) for row in rows[1:]] == [token.text for token in batch.targets]
    assert [float(row["log_proba"]) for row in rows[1:]] == pytest.approx(batch.log_probas.tolist())
    assert rows[0]["rank"] == ""
    texts = [row[name] for row in rows for name in ("text", *(f"top_{k}" for k in range(1, 6))) if row[name]]
    assert all(text.startswith('"') for text in texts)
    assert any(json.loads(text).strip().startswith("=") for text in texts)
