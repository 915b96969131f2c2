"""The palette, as it looks to people who do not see all colours, and on grey paper.

The matrices are those of Machado, Oliveira and Fernandes (2009) for a cone type that is missing altogether; they act
on linear RGB. Distances are those of CIE L*a*b*, where 2 is about what an eye can tell apart side by side.
"""

from itertools import combinations

import numpy as np
import pytest
from jaxtyping import Float

from gptloss.charts.colours import GUESS, MODEL, RUNS, TARGET, TRAINED, UNTRAINED

WHITE, BLACK = "#ffffff", "#0f141b"
GREY = np.array([0.2126, 0.7152, 0.0722])
SIGHT = {
    "all cones": np.eye(3),
    "no red": np.array(
        [[0.152286, 1.052583, -0.204868], [0.114503, 0.786281, 0.099216], [-0.003882, -0.048116, 1.051998]]
    ),
    "no green": np.array(
        [[0.367322, 0.860646, -0.227968], [0.280085, 0.672501, 0.047413], [-0.011820, 0.042940, 0.968881]]
    ),
    "no blue": np.array(
        [[1.255528, -0.076749, -0.178779], [-0.078411, 0.930809, 0.147602], [0.004733, 0.691367, 0.303900]]
    ),
    "grey": np.tile(GREY, (3, 1)),
}
XYZ = np.array([[0.4124, 0.3576, 0.1805], [0.2126, 0.7152, 0.0722], [0.0193, 0.1192, 0.9505]])
# What stands beside each other in a chart.
TOGETHER = [(MODEL, TARGET), (MODEL, GUESS), (TARGET, GUESS), *combinations(RUNS, 2)]


def linear(colour: str) -> Float[np.ndarray, " 3"]:
    values = np.array([int(colour[start : start + 2], 16) for start in (1, 3, 5)]) / 255
    return np.where(values <= 0.04045, values / 12.92, ((values + 0.055) / 1.055) ** 2.4)


def lab(rgb: Float[np.ndarray, " 3"]) -> Float[np.ndarray, " 3"]:
    """CIE L*a*b* of linear RGB, under D65."""
    xyz = XYZ @ np.clip(rgb, 0, 1) / np.array([0.9505, 1.0, 1.089])
    x, y, z = np.where(xyz > 216 / 24389, np.cbrt(xyz), (24389 / 27 * xyz + 16) / 116)
    return np.array([116 * y - 16, 500 * (x - y), 200 * (y - z)])


def distance(one: str, other: str, sight: str) -> float:
    seen = SIGHT[sight]
    return float(np.linalg.norm(lab(seen @ linear(one)) - lab(seen @ linear(other))))


def contrast(one: str, other: str) -> float:
    """As WCAG 2 has it."""
    low, high = sorted(float(GREY @ linear(colour)) for colour in (one, other))
    return (high + 0.05) / (low + 0.05)


@pytest.mark.parametrize("colour", [MODEL, TARGET, GUESS, *RUNS])
def test_it_stands_out_on_both_grounds(colour: str) -> None:
    assert min(contrast(colour, WHITE), contrast(colour, BLACK)) >= 3


@pytest.mark.parametrize("sight", [sight for sight in SIGHT if sight != "grey"])
def test_all_can_tell_them_apart(sight: str) -> None:
    assert {pair: found for pair in TOGETHER if (found := distance(*pair, sight)) < 20} == {}


def test_they_differ_on_grey_paper() -> None:
    for pair in ((MODEL, TARGET), (UNTRAINED, TRAINED)):
        assert distance(*pair, "grey") >= 10
    assert {pair: found for pair in TOGETHER if (found := distance(*pair, "grey")) < 3} == {}


def test_known_colours_have_known_places() -> None:
    assert lab(linear("#ff0000")) == pytest.approx([53.24, 80.09, 67.20], abs=0.1)
    assert contrast("#000000", WHITE) == pytest.approx(21)
    assert distance("#ff0000", "#00ff00", "no green") < distance("#ff0000", "#00ff00", "all cones")
