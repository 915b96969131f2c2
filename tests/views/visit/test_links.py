from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from views.visit.fields.kinds import Decimal, Kind, OneOf, Switch, Whole
from views.visit.links import from_query, to_query
from views.visit.settings import KINDS, LINK_LIMIT, Settings

TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=30)
ROWS = st.lists(TEXT, min_size=1, max_size=8).map(tuple)


def through_a_link(settings: Settings) -> tuple[Settings, list[str]]:
    query = {k: [v] if isinstance(v, str) else v for k, v in to_query(settings).items()}
    return from_query(query)


@given(ROWS, st.data(), st.integers(1, 8), st.integers(1, 300), st.sampled_from(["nats", "bits"]), st.integers(0, 7))
def test_a_link_is_the_state(
    inputs: tuple[str, ...], data: st.DataObject, i: int, j: int, units: str, step: int
) -> None:
    same = st.lists(TEXT, min_size=len(inputs), max_size=len(inputs)).map(tuple)
    targets = data.draw(st.none() | same)
    settings = Settings(inputs=inputs, targets=targets, at=(i, j), units=units, step=step)  # type: ignore[arg-type]
    assert through_a_link(settings) == (settings, [])


NOT_THE_FIRST = {
    "units": "bits", "step": 3, "bos": True, "comparing": "texts", "shown": 20, "view": "logits", "token": 464,
    "colour": "rank", "figures": True, "temperature": 0.7, "top_k": 50, "top_p": 0.9, "seed": 7, "made": 12,
    "source": "book", "draws": 100, "data": "island", "order": "rank", "split": 0.8, "convention": "strided",
    "window": 64, "stride": 32, "start": True, "look": 7, "optimizer": "adamw", "rate": 0.1,
    "mode": "live", "run": "book", "beside": "rate", "moment": 20, "vocabulary": 1_024, "width": 64, "layers": 2,
    "heads": 2, "context": 32, "windows": 8, "step_rate": 0.005, "schedule": "constant", "train_seed": 1,
    "steps": 100, "budget": 30,
    "part": "pitfalls", "amount": 3.5, "mistake": "none", "quiz": True, "asked": 3, "truth": 0, "chance": 0.25,
    "half_sign": True,
}  # fmt: skip


WORDS = {name: kind for name, kind in KINDS.items() if isinstance(kind, OneOf | Decimal | Switch | Whole)}


def test_every_word_is_tried() -> None:
    assert set(WORDS) == set(NOT_THE_FIRST)


@pytest.mark.parametrize(("name", "kind"), WORDS.items(), ids=list(WORDS))
def test_each_word_is_in_the_link_and_a_bad_one_is_said(name: str, kind: Kind[Any]) -> None:
    settings = replace(Settings(), **{name: NOT_THE_FIRST[name]})
    assert list(to_query(settings)) == [kind.word]
    assert through_a_link(settings) == (settings, [])
    for bad in ("", "-1", "nan", "1e1", "x" * 99):
        fallen_back, (notice,) = from_query({kind.word: [bad], "at": ["12"]})
        assert fallen_back == replace(Settings(), at=(1, 2))
        assert notice.startswith(f"The link asks for {kind.word} ")
        assert f"use {kind.allowed}" in notice


def test_numbers_out_of_range_are_said() -> None:
    for name, value in (("temperature", "5.1"), ("top_p", "0"), ("show", "51"), ("made", "101"), ("draws", "11")):
        settings, notices = from_query({name: [value]})
        assert settings == Settings()
        assert len(notices) == 1


def test_pins_are_positions_or_tokens() -> None:
    settings = Settings(pins=((1, 2), 464))
    assert to_query(settings) == {"pin": ["12", "t464"]}
    assert through_a_link(settings) == (settings, [])
    settings, notices = from_query({"pin": ["12", "t1", "nonsense", "13", "t2", "12"]})
    assert settings.pins == ((1, 2), 1, (1, 3))
    assert ["'nonsense'" in notices[0], "4 positions or tokens" in notices[1]] == [True, True]


def test_the_first_link_is_empty() -> None:
    assert to_query(Settings()) == {}
    assert from_query({}) == (Settings(), [])


@pytest.mark.parametrize(
    ("query", "field", "says"),
    [
        ({"model": ["gtp2"]}, "model", "no model called 'gtp2'"),
        ({"units": ["bananas"]}, "units", "units 'bananas'; use nats or bits"),
        ({"at": ["99"]}, "at", "position '99'"),
        ({"at": ["1"]}, "at", "position '1'"),
        ({"at": ["1२"]}, "at", "write 12 for p12"),
        ({"at": ["-1"]}, "at", "position '-1'"),
        ({"step": ["8"]}, "step", "step '8'; use 0 to 7. Shown: 0."),
        ({"model": ["<script>" * 20]}, "model", "<script><scri"),
    ],
)
def test_a_bad_value_falls_back_alone(query: dict[str, list[str]], field: str, says: str) -> None:
    settings, notices = from_query({"input": ["a b"], "units": ["bits"], "at": ["12"], **query})
    assert getattr(settings, field) == getattr(Settings(), field)
    assert settings.inputs == ("a b",)
    assert len(notices) == 1
    assert says in notices[0]
    for other in {"units", "at"} - {field}:
        assert getattr(settings, other) != getattr(Settings(), other)


def test_rows_that_do_not_pair_up_are_kept_and_said() -> None:
    settings, notices = from_query({"input": ["a", "b"], "target": ["c"]})
    assert (settings.inputs, settings.targets) == (("a", "b"), ("c", ""))
    assert "2 inputs and 1 targets" in notices[0]
    settings, notices = from_query({"target": ["c"]})
    assert (settings.inputs, settings.targets) == (("",), ("c",))


def test_too_many_rows_are_said() -> None:
    settings, notices = from_query({"input": list("abcdefghij")})
    assert settings.inputs == tuple("abcdefgh")
    assert "10 rows; the page shows the first 8" in notices[0]


def test_a_repeated_value_is_said() -> None:
    settings, notices = from_query({"units": ["nats", "bits"]})
    assert settings.units == "bits"
    assert "2 times" in notices[0]


def test_unknown_names_are_left_to_others() -> None:
    assert from_query({"utm_source": ["mail"]}) == (Settings(), [])


def test_long_text_stays_out_of_the_link() -> None:
    for text in ("a" * LINK_LIMIT, "💙" * (LINK_LIMIT // 12 + 1)):
        settings = Settings(inputs=(text,), targets=None)
        assert not settings.text_fits_link
        assert to_query(settings) == {}


def test_no_position_goes_without_its_text() -> None:
    settings = Settings(
        inputs=("a" * LINK_LIMIT,), targets=None, at=(1, 999), spot=(1, 7), pins=((1, 3), 464), made=5
    )
    assert to_query(replace(settings, units="bits", token=262)) == {"units": "bits", "token": "262", "pin": ["t464"]}


@given(st.integers(0, 5 * 10**9), st.integers(10**7, 10**9))
def test_decimals_go_through_a_link_as_they_are(heat: int, share: int) -> None:
    settings = Settings(temperature=heat / 10**9, top_p=share / 10**9)
    assert through_a_link(settings) == (settings, [])
