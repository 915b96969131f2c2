"""The texts that ship with gptloss."""

import hashlib
from pathlib import Path

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


RECORDED = [samples.DATA / "recorded_losses.json", *(samples.DATA / "runs").rglob("*.*")]


@pytest.mark.parametrize("file", RECORDED, ids=lambda file: file.name)
def test_what_was_recorded_is_what_the_readme_says(file: Path) -> None:
    name = file.relative_to(samples.DATA).as_posix()
    line = next(line for line in README.splitlines() if line.startswith(f"| `{name}`"))
    assert hashlib.sha256(file.read_bytes()).hexdigest() in line


@pytest.mark.skipif(not SHARED.exists(), reason="the book's text is not beside the checkout")
def test_the_verdict_is_the_books() -> None:
    assert samples.verdict() == SHARED.read_text("utf-8")
