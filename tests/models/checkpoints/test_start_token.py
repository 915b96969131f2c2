"""The start token of a checkpoint: where its files state it, and in what order they are asked."""

import json
from pathlib import Path
from typing import Any

import pytest
from transformers import AutoTokenizer

from gptloss import GptlossError, load_model
from gptloss.corpus import conventions
from gptloss.corpus.scoring import scored_windows
from gptloss.corpus.tally import Tally
from gptloss.models import find
from tests.helpers.checkpoints import byte_tokenizer_json, change_config, save_gpt2

V = 300
NONE: dict[str, Any] = {"bos_token_id": None, "eos_token_id": None}
NUMBERS = {"bos_token_id": 5, "eos_token_id": 6}
WORD = {name: 256 + int(name[4:]) for name in ("word3", "word4")}


@pytest.fixture(scope="module")
def saved(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("gpt2")
    save_gpt2(folder)
    return folder


@pytest.fixture
def folder(saved: Path, tmp_path: Path) -> Path:
    """A checkpoint whose files can be changed; the weights are shared."""
    for file in saved.iterdir():
        (tmp_path / file.name).hardlink_to(file)
    for name in ("config.json", "tokenizer.json"):
        text = (saved / name).read_text()
        (tmp_path / name).unlink()
        (tmp_path / name).write_text(text)
    return tmp_path


def states(folder: Path, config: dict[str, Any], **files: Any) -> Path:
    change_config(folder, **config)
    for name, content in files.items():
        (folder / f"{name}.json").write_text(json.dumps(content))
    return folder


@pytest.mark.parametrize(
    ("config", "tokenizer", "wanted"),
    [
        (NUMBERS, {"bos_token": "word3", "eos_token": "word4"}, 259),
        (NUMBERS, {"bos_token": {"content": "word3", "lstrip": False}, "eos_token": "word4"}, 259),
        (NUMBERS, {"bos_token": None, "eos_token": "word4"}, 5),
        (NUMBERS, {"bos_token": "nowhere"}, 5),
        (NUMBERS, {"bos_token": 7}, 5),
        (NUMBERS, {}, 5),
        (NONE, {"bos_token": None, "eos_token": "word4"}, 260),
        (NONE, {"eos_token": {"content": "word4"}}, 260),
        (NONE | {"eos_token_id": 6}, {"eos_token": "nowhere"}, 6),
        (NONE | {"eos_token_id": [8, 6]}, {}, 8),
        (NONE | {"bos_token_id": [9, 5]}, {"eos_token": "word4"}, 9),
        (NONE | {"bos_token_id": V, "eos_token_id": [-1]}, {}, None),
        (NONE | {"bos_token_id": True, "eos_token_id": []}, {"bos_token": {}}, None),
        (NONE | {"bos_token_id": "5"}, {"bos_token": []}, None),
        (NONE, {}, None),
    ],
)
def test_the_order_of_what_is_stated(
    config: dict[str, Any], tokenizer: dict[str, Any], wanted: int | None, folder: Path
) -> None:
    states(folder, config, tokenizer_config=tokenizer)
    assert find(str(folder)).info.bos_id == wanted


def test_without_a_word_of_the_tokenizer_the_config_counts(folder: Path) -> None:
    assert find(str(states(folder, NUMBERS))).info.bos_id == 5
    assert find(str(states(folder, NONE))).info.bos_id is None


@pytest.mark.parametrize(
    "files",
    [
        {"tokenizer_config": {"bos_token": "word3"}},
        {"tokenizer_config": {"eos_token": "word4"}},
        {"tokenizer_config": {"bos_token": {"content": "word3", "__type": "AddedToken"}}},
        {"tokenizer_config": {}, "special_tokens_map": {"bos_token": "word4"}},
        {"tokenizer_config": {"bos_token": "word3"}, "special_tokens_map": {"bos_token": "word4"}},
        {
            "tokenizer_config": {"bos_token": "word3", "added_tokens_decoder": {}},
            "special_tokens_map": {"bos_token": "word4"},
        },
    ],
)
def test_it_is_the_token_of_transformers(files: dict[str, dict[str, Any]], folder: Path) -> None:
    files["tokenizer_config"] |= {"tokenizer_class": "PreTrainedTokenizerFast"}
    theirs = AutoTokenizer.from_pretrained(states(folder, NONE, **files))
    wanted = theirs.eos_token_id if theirs.bos_token_id is None else theirs.bos_token_id
    assert wanted in WORD.values()
    assert find(str(folder)).info.bos_id == wanted


def test_special_tokens_are_found_wherever_a_vocabulary_has_them(folder: Path) -> None:
    states(folder, NONE, tokenizer_config={"bos_token": "<s>"})
    spec = json.loads(byte_tokenizer_json(V))
    added = {"id": 299, "content": "<s>"} | dict.fromkeys(("single_word", "lstrip", "rstrip", "normalized"), False)
    for part in ({"added_tokens": [added | {"special": True}]}, {"model": {"vocab": [["a", -1.0], ["<s>", 0.0]]}}):
        (folder / "tokenizer.json").write_text(json.dumps(spec | part))
        assert find(str(folder)).info.bos_id == (299 if "added_tokens" in part else 1)
    (folder / "tokenizer.json").write_text("{")
    assert find(str(folder)).info.bos_id is None
    (folder / "tokenizer.json").unlink()
    assert find(str(folder)).info.bos_id is None
    (folder / "vocab.json").write_text(json.dumps({"<s>": 17}))
    assert find(str(folder)).info.bos_id == 17


def test_a_damaged_file_is_named(folder: Path) -> None:
    (folder / "tokenizer_config.json").write_text("{")
    with pytest.raises(GptlossError, match=r"tokenizer_config\.json cannot be read"):
        find(str(folder))


def test_rolling_scores_every_token_after_an_end_token(folder: Path) -> None:
    """As lm-evaluation-harness, which has one token more than a text without a start."""
    states(folder, NONE, tokenizer_config={"eos_token": "word4"})
    model = load_model(str(folder))
    plan = conventions.plan("rolling", model.info, window=16)
    tally = Tally(plan)
    for scored in scored_windows(model, ["every effort moves you"], plan):
        tally.add(scored)
    assert plan.bos
    assert tally.tokens == len(model.tokenizer.encode("every effort moves you"))
