"""What the browser brings back to a server that has forgotten the visit."""

from typing import Any

import pytest

from views.visit.returned import held, with_held_texts
from views.visit.rows import rows_typed
from views.visit.settings import FIRST, Settings

ONE = Settings(inputs=("tea time",), targets=None)
TWO = Settings(inputs=("one", "two"), targets=None)
PAIR = Settings(inputs=("tea",), targets=("ea ",))


@pytest.mark.parametrize(
    ("settings", "boxes", "named", "inputs", "targets"),
    [
        (ONE, {}, True, ("tea time",), None),
        (ONE, {"own-text": "tea time"}, True, ("tea time",), None),
        (ONE, {"own-text": "coffee"}, True, ("coffee",), None),
        (FIRST, {"own-text": "a long text\nof two lines"}, False, ("a long text\nof two lines",), None),
        (TWO, {"own-text": "one\nthree"}, True, ("one", "three"), None),
        (PAIR, {"input-0": "tea", "target-0": "ea!"}, True, ("tea",), ("ea!",)),
        (PAIR, {"input-0": "tea", "target-0": "ea!", "shift": True}, True, ("tea",), None),
        (PAIR, {"input-0-lines": "t\ne", "target-0": "ea!", "input-1": "x", "target-1": "y"}, True,
         ("t\ne", "x"), ("ea!", "y")),
        (PAIR, {"input-0": "tea", "target-0": "ea "}, True, ("tea",), ("ea ",)),
        (PAIR, {"search": "x", "units": None, "own-text": None}, True, ("tea",), ("ea ",)),
    ],
)  # fmt: skip
def test_the_boxes_win_over_the_link(
    settings: Settings, boxes: dict[str, Any], named: bool, inputs: tuple[str, ...], targets: Any
) -> None:
    found = with_held_texts(settings, boxes, named)
    assert (found.inputs, found.targets) == (inputs, targets)
    assert found.chosen


def test_nothing_is_held_without_a_browser() -> None:
    assert held() == {}


def test_more_lines_than_rows_are_one_text() -> None:
    many = "\n".join("abcdefghij")
    assert rows_typed(TWO, many) == (many,)
    assert rows_typed(TWO, "\n") == ("",)
