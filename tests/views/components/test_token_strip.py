"""The token strip: what is sent to the browser, and when."""

import base64
import json
import re
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import streamlit as st

from gptloss import ScoredBatch, score
from gptloss.models import LanguageModel
from gptloss.tokens import Token
from views.components import token_strip as module
from views.components.bundle import FOLDER
from views.components.token_strip import Cell, batch_data, running_text, strip_data

CSS = (FOLDER / "token_strip.css").read_text("utf-8")


def unpacked(data: dict[str, Any], name: str, kind: type) -> list[Any]:
    return np.frombuffer(base64.b64decode(data[name]), kind).tolist()


def texts(data: dict[str, Any]) -> list[str]:
    words = data["words"].split("\r")
    return [words[index] for index in unpacked(data, "texts", np.int32)]


def test_the_lecture_in_numbers(lecture: ScoredBatch) -> None:
    data = batch_data(lecture)
    assert (data["rows"], data["numbers"], data["count"], data["v"]) == ([4, 4], [1, 2], 6, 50257)
    assert texts(data) == ["every", " effort", " moves", " you", "I", " really", " like", " chocolate"]
    assert unpacked(data, "ks", np.int32) == [-1, 0, 1, 2, -1, 3, 4, 5]
    assert data["titles"].split("\r") == ["", "p11", "p12", "p13", "", "p21", "p22", "p23"]
    predicted = [1, 2, 3, 5, 6, 7]
    logs = np.array(unpacked(data, "log_probas", np.float32))
    assert (logs[predicted] == lecture.log_probas.numpy()).all()
    assert np.isnan(logs[[0, 4]]).all()
    assert np.array(unpacked(data, "ranks", np.int32))[predicted].tolist() == lecture.ranks.tolist()
    top = np.array(unpacked(data, "top_log_probas", np.float32)).reshape(8, 10)
    assert (top[predicted] == lecture.top_log_probas.numpy()).all()
    words, indices = data["words"].split("\r"), unpacked(data, "top_texts", np.uint16)
    assert words[indices[10]] == lecture.argmax[0].text


def test_the_the_the_is_three_tokens_and_half_an_emoji_is_bytes(tiny: LanguageModel) -> None:
    data = batch_data(score(tiny, "the the the ☕💙"))
    shown = texts(data)
    assert shown[:3] == ["the", " the", " the"]
    assert "<92>" in shown
    assert len(shown) == data["count"] + 1


def test_running_text_keeps_blanks_and_newlines_alone() -> None:
    kept = {b" moves": " moves", b"\n\n": "\n\n", b"\t": "\t", b"\r\n": "␍\n", b"\xf0\x9f": "<F0 9F>", b"": "<id 7>"}
    kept |= {"·".encode(): "·", "\u202e".encode(): "<U+202E>", b"<b>": "<b>"}
    assert {raw: running_text(Token(7, raw)) for raw in kept} == kept


def test_unshifted_rows_say_what_was_read(tiny: LanguageModel) -> None:
    data = batch_data(score(tiny, "every effort moves", " pizza the chocolate"))
    words = data["words"].split("\r")
    assert texts(data) == [" pizza", " the", " chocolate"]
    assert [words[n] for n in unpacked(data, "givens", np.int32)] == ["every", " effort", " moves"]
    assert unpacked(data, "ks", np.int32) == [0, 1, 2]


def test_a_start_token_stands_for_no_text(gpt2: LanguageModel) -> None:
    assert texts(batch_data(score(gpt2, "every effort", bos=True))) == ["every", " effort"]
    data = batch_data(score(gpt2, "every effort", " effort moves", bos=True))
    assert texts(data) == ["every", " effort", " moves"]


def test_two_thousand_tokens_of_an_untrained_model_are_small(tiny: LanguageModel) -> None:
    """Its guesses are many different words: no other model's data are larger."""
    batch = score(tiny, [[n % 50257 for n in range(k * 7919, k * 7919 + 17 * 101, 101)] for k in range(125)])
    assert len(batch) == 2000
    assert len(json.dumps(batch_data(batch))) <= 350_000


def test_custom_cells_may_have_fewer_guesses_and_carriage_returns() -> None:
    data = strip_data([[Cell("a\rb", 0, log_proba=-1.0, top=(("x", -0.5),))], [Cell("c")]], 256)
    assert texts(data) == ["a␍b", "c"]
    assert (data["count"], data["width"], data["rows"]) == (1, 1, [1, 1])
    assert data["digest"] != strip_data([[Cell("a", 0)], [Cell("c")]], 256)["digest"]


class Strip:
    """A page that draws the strip run by run, and a browser that answers."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.state: dict[str, Any] = {}
        self.mounts: list[dict[str, Any]] = []
        monkeypatch.setattr(st, "session_state", self.state)
        monkeypatch.setattr(module, "_mount", self._mount)

    def _mount(self, data: dict[str, Any], key: str, on_chosen_change: Callable[[], None]) -> None:
        self.mounts.append(data)
        self.state[key] = SimpleNamespace(chosen=None)
        self.heard = on_chosen_change

    def run(self, at: int | None, on_choose: Callable[[], None] | None = lambda: None) -> tuple[int, int]:
        """Draw it with `at` chosen; what the browser is told to mark, and the how-manieth time."""
        module.token_strip(strip_data([[Cell("x", k) for k in range(9)]], 256), at, "strip", on_choose)
        return tuple(self.mounts[-1]["at"])

    def click(self, said: Any) -> None:
        self.state["strip"] = SimpleNamespace(chosen=said)
        self.heard()


def test_a_click_sends_the_same_again_and_a_change_from_elsewhere_does_not(monkeypatch: pytest.MonkeyPatch) -> None:
    strip = Strip(monkeypatch)
    assert strip.run(2) == (2, 0)
    strip.click(5)
    assert strip.run(5) == (2, 0)
    assert strip.mounts[0] == strip.mounts[1]
    strip.click(7)
    assert strip.run(7) == (2, 0)
    assert strip.run(2) == (2, 1)  # a link back to the first
    assert strip.run(2) == (2, 1)
    strip.click(8)
    assert strip.run(2) == (2, 2)  # the page does not follow the click
    assert strip.run(None) == (-1, 3)


@pytest.mark.parametrize(("said", "marked"), [("7", 7), (99, 8), (-5, 0), (None, 0), ("x", 0), ([1], 0)])
def test_whatever_the_browser_says_is_a_token(monkeypatch: pytest.MonkeyPatch, said: Any, marked: int) -> None:
    strip = Strip(monkeypatch)
    strip.run(3)
    strip.click(said)
    assert strip.run(marked) == (3, 0)


def test_a_strip_to_look_at_asks_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    strip = Strip(monkeypatch)
    assert strip.run(None, None) == (-1, 0)
    assert strip.mounts[0]["asks"] is False
    assert strip.heard is None


def luminance(colour: str) -> float:
    channels = [int(colour[k : k + 2], 16) / 255 for k in (1, 3, 5)]
    parts = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in channels]
    return float(np.dot(parts, [0.2126, 0.7152, 0.0722]))


def contrast(one: str, other: str) -> float:
    low, high = sorted(map(luminance, (one, other)))
    return (high + 0.05) / (low + 0.05)


@pytest.mark.parametrize("scheme", [0, 1])
def test_text_stands_out_on_every_step_and_steps_are_even(scheme: int) -> None:
    steps = re.findall(r"\.s\d \{ --fill: light-dark\((.*?), (.*?)\); --ink: light-dark\((.*?), (.*?)\);", CSS)
    fills, inks = [step[scheme] for step in steps], [step[2 + scheme] for step in steps]
    assert len(fills) == 9
    assert min(map(contrast, fills, inks)) >= 4.5
    lightness = [116 * max(luminance(fill), 0.008856) ** (1 / 3) - 16 for fill in fills]
    jumps = np.abs(np.diff(lightness))
    assert jumps.min() > 0.8 * jumps.max()
    assert fills[0] == ("#ffffff", "#0f141b")[scheme]
