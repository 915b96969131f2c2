"""SHA-256 of files, and the cache of those of large ones: right after every change, and never an error."""

import hashlib
import json
import os
from pathlib import Path

import pytest

from gptloss import GptlossError
from gptloss.models import hashes
from gptloss.models.hashes import kept_sha256, quick_sha256, sha256


@pytest.fixture(autouse=True)
def _own_folder(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("GPTLOSS_HOME", str(tmp_path / "home"))
    monkeypatch.setattr(hashes, "LARGE", 1_000)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """A file that counts as large."""
    path = tmp_path / "weights"
    path.write_bytes(b"a" * 2_000)
    return path


def test_a_large_file_is_read_once(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    wanted = hashlib.sha256(b"a" * 2_000).hexdigest()
    assert sha256(file) == kept_sha256(file) == wanted
    monkeypatch.setattr(hashes, "sha256", lambda _: pytest.fail("read again"))
    assert kept_sha256(file) == quick_sha256(file) == wanted


def test_a_file_that_changes_is_read_again(file: Path) -> None:
    before, times = kept_sha256(file), file.stat()
    with file.open("r+b") as opened:  # as long as before, in the same place, with its old time of change
        opened.write(b"b")
    os.utime(file, ns=(times.st_atime_ns, times.st_mtime_ns))
    assert quick_sha256(file) is None
    assert kept_sha256(file) == sha256(file) != before


def test_a_fresh_checksum_asks_no_cache(file: Path) -> None:
    right = kept_sha256(file)
    cache = hashes._cache()
    cache.write_text(cache.read_text().replace(right, "0" * 64))
    assert kept_sha256(file) == "0" * 64
    assert kept_sha256(file, fresh=True) == right
    assert kept_sha256(file) == right, "and the cache is mended"


@pytest.mark.parametrize(
    "damage", [b"", b"{", b"[]", b"7", b'{"%s": 7}', b'{"%s": {"sha256": 7}}', b"\xff", b"[" * 9_999]
)
def test_a_damaged_cache_is_made_anew(file: Path, damage: bytes) -> None:
    right = kept_sha256(file)
    hashes._cache().write_bytes(damage.replace(b"%s", str(file.resolve()).encode()))
    assert quick_sha256(file) is None
    assert kept_sha256(file) == quick_sha256(file) == right


def test_a_cache_that_cannot_be_written_is_no_error(
    file: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "no folder").touch()
    monkeypatch.setenv("GPTLOSS_HOME", str(tmp_path / "no folder"))
    assert kept_sha256(file) == sha256(file)
    assert quick_sha256(file) is None


def test_small_files_and_files_that_are_gone_are_not_kept(file: Path, tmp_path: Path) -> None:
    (tmp_path / "small").write_bytes(b"a")
    assert kept_sha256(tmp_path / "small") == quick_sha256(tmp_path / "small") == hashlib.sha256(b"a").hexdigest()
    kept_sha256(file)
    file.rename(tmp_path / "moved")
    kept_sha256(tmp_path / "moved")
    assert list(json.loads(hashes._cache().read_text())) == [str((tmp_path / "moved").resolve())]
    assert os.listdir(hashes._cache().parent) == ["hashes.json"]


def test_a_file_that_changes_while_it_is_read_is_not_kept(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def meanwhile(path: Path) -> str:
        found = sha256(path)
        path.write_bytes(b"c" * 3_000)
        return found

    monkeypatch.setattr(hashes, "sha256", meanwhile)
    kept_sha256(file)
    assert quick_sha256(file) is None


@pytest.mark.parametrize("ask", [sha256, kept_sha256, quick_sha256])
def test_a_file_that_cannot_be_read_is_one_sentence(ask: object, tmp_path: Path) -> None:
    with pytest.raises(GptlossError, match=r"gone cannot be read \(No such file or directory\); name another file\."):
        ask(tmp_path / "gone")  # type: ignore[operator]
