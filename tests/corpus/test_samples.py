"""The texts that ship with gptloss."""

import hashlib

import pytest

from gptloss.corpus import samples
from gptloss.tokens import gpt2_tokenizer
from tests.helpers.driver import SHARED

README = (samples.DATA / "README.md").read_text("utf-8")


@pytest.mark.parametrize("name", ["island.txt", "the-verdict.txt"])
def test_each_is_what_its_readme_says(name: str) -> None:
    raw = (samples.DATA / name).read_bytes()
    text = raw.decode("utf-8")
    line = next(line for line in README.splitlines() if line.startswith(f"| `{name}`"))
    assert hashlib.sha256(raw).hexdigest() in line
    assert f"{len(text):,} characters, {len(raw):,} bytes, {len(gpt2_tokenizer().encode(text)):,} tokens" in line
    assert "\r" not in text


def test_the_recorded_losses_are_what_the_readme_says() -> None:
    raw = (samples.DATA / "recorded_losses.json").read_bytes()
    assert hashlib.sha256(raw).hexdigest() in README


@pytest.mark.skipif(not SHARED.exists(), reason="the book's text is not beside the checkout")
def test_the_verdict_is_the_books() -> None:
    assert samples.verdict() == SHARED.read_text("utf-8")
