"""Texts that are at hand: one that ships with gptloss, and the book's, which is fetched once and kept."""

import hashlib
import http.client
import urllib.error
import urllib.request
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from uuid import uuid4

from gptloss.errors import GptlossError
from gptloss.models.downloads import store

ISLAND = Path(__file__).parent.parent / "data" / "island.txt"

# Edith Wharton, The Verdict, 1908, in the public domain, as the book's repository has it.
VERDICT = "the-verdict.txt"
VERDICT_URL = "https://raw.githubusercontent.com/rasbt/LLMs-from-scratch/main/ch02/01_main-chapter-code/" + VERDICT
VERDICT_SHA256 = "b41e41a68f0398a3154ae69e2e4c0e2694e17fe0d66730536837f1b01935b31f"
VERDICT_SIZE = 20_479

TIMEOUT = 10.0
PIECE = 4_096
BY_HAND = f"drop in a {VERDICT} that you have"

Report = Callable[[int, int], None]


def island() -> str:
    """*The Survey of Skerrin*, ten chapters of 21,135 characters in all, written for gptloss."""
    return ISLAND.read_text("utf-8")


def verdict_path() -> Path:
    """Where *The Verdict* is kept; a file that is put there by hand is as good."""
    return store.home() / "texts" / VERDICT


def verdict() -> str | None:
    """*The Verdict* (20,479 characters), if it is on this machine whole."""
    try:
        raw = verdict_path().read_bytes()
    except OSError:
        return None
    return raw.decode("utf-8") if _is_verdict(raw) else None


def fetch_verdict(report: Report = lambda done, total: None) -> str:
    """Fetch *The Verdict* from the book's repository and keep it; `report` hears how many bytes of how many are here.

    Nothing is fetched if it is here. Raises `GptlossError` when the source cannot be reached or sends another text,
    and when the disk cannot be written.
    """
    return verdict() or keep_verdict(_downloaded(report), VERDICT_URL)


def keep_verdict(raw: bytes, name: str) -> str:
    """Keep a copy that comes from `name` for next time. Raises `GptlossError` if it is another text."""
    if not _is_verdict(raw):
        found = hashlib.sha256(raw).hexdigest()
        raise GptlossError(
            f"{name} is not the book's {VERDICT}: its SHA-256 begins with {found[:8]} and not with"
            f" {VERDICT_SHA256[:8]}; it is not kept as that, but any text can be used as a file of yours."
        )
    place = verdict_path()
    part = place.with_name(f".{uuid4().hex}.part")  # several visitors may fetch it at once
    with store.disk_errors(VERDICT, VERDICT_SIZE):
        place.parent.mkdir(parents=True, exist_ok=True)
        try:
            part.write_bytes(raw)
            part.replace(place)
        finally:
            with suppress(OSError):
                part.unlink(missing_ok=True)
    return raw.decode("utf-8")


def _is_verdict(raw: bytes) -> bool:
    return hashlib.sha256(raw).hexdigest() == VERDICT_SHA256


def _downloaded(report: Report) -> bytes:
    raw = b""
    try:
        with urllib.request.urlopen(VERDICT_URL, timeout=TIMEOUT) as answer:
            while len(raw) <= VERDICT_SIZE and (piece := answer.read(PIECE)):
                raw += piece
                report(min(len(raw), VERDICT_SIZE), VERDICT_SIZE)
    except urllib.error.HTTPError as error:
        raise GptlossError(
            f"The source of The Verdict refused it with HTTP status {error.code}; {BY_HAND}."
        ) from None
    except (OSError, http.client.HTTPException) as error:
        said = " ".join(str(getattr(error, "reason", error)).split()).rstrip(".") or "no answer"
        raise GptlossError(
            f"The Verdict cannot be fetched ({said}); try again when there is a network, or {BY_HAND}."
        ) from None
    return raw
