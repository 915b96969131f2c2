"""The text that ships with gptloss, and the one that is fetched once."""

import hashlib
import io
import urllib.error
import urllib.request
from email.message import Message
from pathlib import Path
from typing import Any

import pytest

from gptloss.corpus import samples
from gptloss.errors import GptlossError
from gptloss.tokens import gpt2_tokenizer
from tests.helpers.driver import SHARED


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("GPTLOSS_HOME", str(tmp_path))
    return tmp_path


@pytest.fixture
def verdict(monkeypatch: pytest.MonkeyPatch) -> bytes:
    """Stands for The Verdict: as long, and with a letter of two bytes."""
    raw = ("I had always thought Jack Gisburn rather a cheap genius – " * 400).encode()[: samples.VERDICT_SIZE]
    raw = raw.decode("utf-8", "ignore").encode().ljust(samples.VERDICT_SIZE)
    monkeypatch.setattr(samples, "VERDICT_SHA256", hashlib.sha256(raw).hexdigest())
    return raw


def answering(monkeypatch: pytest.MonkeyPatch, answer: Any) -> list[str]:
    """The network answers so, or raises so; gives the addresses that were asked."""
    asked = []

    def urlopen(url: str, timeout: float) -> Any:
        asked.append(url)
        if isinstance(answer, Exception):
            raise answer
        return io.BytesIO(answer)

    monkeypatch.setattr(urllib.request, "urlopen", urlopen)
    return asked


def test_the_island_is_what_its_readme_says() -> None:
    text, readme = samples.island(), (samples.ISLAND.parent / "README.md").read_text("utf-8")
    assert len(text) == 21_135
    assert hashlib.sha256(samples.ISLAND.read_bytes()).hexdigest() in readme
    assert f"{len(samples.ISLAND.read_bytes()):,} bytes" in readme
    assert f"{len(gpt2_tokenizer().encode(text)):,} tokens" in readme
    assert text.count("\n\n") > 80
    assert "\r" not in text


@pytest.mark.skipif(not SHARED.exists(), reason="The Verdict is not here")
def test_the_checksum_is_that_of_the_books_text(home: Path) -> None:
    raw = SHARED.read_bytes()
    assert hashlib.sha256(raw).hexdigest() == samples.VERDICT_SHA256
    assert len(raw) == samples.VERDICT_SIZE
    assert samples.keep_verdict(raw, "mine") == raw.decode()
    assert len(gpt2_tokenizer().encode(samples.verdict() or "")) == 5145


def test_it_is_fetched_once_and_kept(home: Path, verdict: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = answering(monkeypatch, verdict)
    heard: list[tuple[int, int]] = []
    assert samples.verdict() is None
    assert samples.fetch_verdict(lambda done, total: heard.append((done, total))) == verdict.decode()
    assert heard[0] == (samples.PIECE, samples.VERDICT_SIZE)
    assert heard[-1] == (samples.VERDICT_SIZE, samples.VERDICT_SIZE)
    assert samples.fetch_verdict() == samples.verdict() == verdict.decode()
    assert asked == [samples.VERDICT_URL]
    assert [path.name for path in samples.verdict_path().parent.iterdir()] == [samples.VERDICT]


@pytest.mark.parametrize(
    ("error", "says"),
    [
        (
            urllib.error.URLError("no such host."),
            "cannot be fetched (no such host); try again when there is a network",
        ),
        (TimeoutError("timed out"), "cannot be fetched (timed out)"),
        (urllib.error.HTTPError("x", 404, "gone", Message(), None), "refused it with HTTP status 404"),
    ],
)
def test_offline_it_says_the_way_out(
    home: Path, monkeypatch: pytest.MonkeyPatch, error: Exception, says: str
) -> None:
    answering(monkeypatch, error)
    with pytest.raises(GptlossError) as raised:
        samples.fetch_verdict()
    assert says in str(raised.value)
    assert "drop in a the-verdict.txt that you have." in str(raised.value)
    assert not samples.verdict_path().exists()


@pytest.mark.parametrize("raw", [b"", b"<html>Sign in to this network</html>", b"x" * 1_000_000])
def test_another_text_is_not_kept(home: Path, monkeypatch: pytest.MonkeyPatch, raw: bytes) -> None:
    answering(monkeypatch, raw)
    with pytest.raises(GptlossError, match="is not the book's the-verdict"):
        samples.fetch_verdict()
    assert not samples.verdict_path().exists()


def test_a_copy_put_there_by_hand_is_as_good(home: Path, verdict: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = answering(monkeypatch, OSError("nobody"))
    samples.verdict_path().parent.mkdir()
    samples.verdict_path().write_bytes(verdict)
    assert samples.fetch_verdict() == verdict.decode()
    samples.verdict_path().write_bytes(verdict[:-1])
    assert samples.verdict() is None
    assert asked == []


def test_a_disk_that_cannot_be_written_is_a_sentence(home: Path, verdict: bytes) -> None:
    (home / "texts").write_text("a file where the folder should be")
    with pytest.raises(GptlossError, match="cannot be used as the cache folder"):
        samples.keep_verdict(verdict, "mine")
