"""`gptloss compress` and `gptloss decompress`."""

from pathlib import Path

import pytest

from gptloss.cli.main import main

TEXT = "\ufeffA text.\r\nWith a mark, \0 and 🍕, byte for byte.\r\n"


@pytest.fixture
def text(tmp_path: Path) -> Path:
    file = tmp_path / "text.txt"
    file.write_bytes(TEXT.encode())
    return file


def run(*words: str | Path) -> int:
    return main([*map(str, words), "--model", "bigram"] if words[0] == "compress" else [*map(str, words)])


def refused(capsys: pytest.CaptureFixture[str], *words: str | Path) -> str:
    assert run(*words) == 2
    out, err = capsys.readouterr()
    assert (out, err.count("\n")) == ("", 1)
    return err


def test_a_text_comes_back_byte_for_byte(text: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    packed, back = tmp_path / "text.gptloss", tmp_path / "back.txt"
    assert run("compress", text, "-o", packed) == 0
    told = capsys.readouterr().out
    for word in ("sum of -log2 p", "code", "gzip", "xz", "zstd", "262,144 bytes  of weights"):
        assert word in told
    assert f"{packed.stat().st_size:,} bytes" in told
    assert run("decompress", packed, "-o", back) == 0
    assert "the checksum is right" in capsys.readouterr().out
    assert back.read_bytes() == TEXT.encode()
    assert sorted(file.name for file in tmp_path.iterdir()) == ["back.txt", "text.gptloss", "text.txt"]


def test_an_empty_text_comes_back(tmp_path: Path) -> None:
    (tmp_path / "e").write_bytes(b"")
    assert run("compress", tmp_path / "e", "-o", tmp_path / "p") == 0
    assert run("decompress", tmp_path / "p", "-o", tmp_path / "b") == 0
    assert (tmp_path / "b").read_bytes() == b""


def test_nothing_is_overwritten_unasked(text: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    packed = tmp_path / "packed"
    packed.write_text("precious")
    assert "is there already" in refused(capsys, "compress", text, "-o", packed)
    assert packed.read_text() == "precious"
    assert run("compress", text, "-o", packed, "--force") == 0
    assert "is there already" in refused(capsys_after(capsys), "decompress", packed, "-o", text)
    assert text.read_bytes() == TEXT.encode()


def capsys_after(capsys: pytest.CaptureFixture[str]) -> pytest.CaptureFixture[str]:
    capsys.readouterr()
    return capsys


def test_the_text_itself_is_never_the_output(text: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert "would be lost" in refused(capsys, "compress", text, "-o", text, "--force")
    assert text.read_bytes() == TEXT.encode()


def test_what_cannot_be_read_or_written_is_a_sentence(
    text: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "latin").write_bytes(b"caf\xe9")
    out = tmp_path / "out"
    assert "not UTF-8: byte 3 is 0xE9" in refused(capsys, "compress", tmp_path / "latin", "-o", out)
    assert "cannot be read" in refused(capsys, "compress", tmp_path / "nothing", "-o", out)
    assert "cannot be read" in refused(capsys, "compress", tmp_path, "-o", out)
    assert "There is no folder" in refused(capsys, "compress", text, "-o", tmp_path / "no" / "out")
    assert "is a folder" in refused(capsys, "compress", text, "-o", tmp_path)
    assert "no text that gptloss has compressed" in refused(capsys, "decompress", text, "-o", out)
    assert not out.exists()


def test_a_full_disk_leaves_nothing(
    text: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(self: Path, target: Path) -> Path:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "replace", full)
    assert "No space left on device" in refused(capsys, "compress", text, "-o", tmp_path / "out")
    assert [file.name for file in tmp_path.iterdir()] == ["text.txt"]


def test_a_damaged_file_is_refused_and_nothing_written(
    text: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    packed = tmp_path / "packed"
    assert run("compress", text, "-o", packed) == 0
    raw = bytearray(packed.read_bytes())
    raw[-9] ^= 1
    packed.write_bytes(raw)
    assert "is damaged" in refused(capsys_after(capsys), "decompress", packed, "-o", tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_a_stop_leaves_nothing(text: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def stopped(self: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("gptloss.compression.coder.Encoder.step", stopped)
    assert run("compress", text, "-o", tmp_path / "out") == 130
    assert [file.name for file in tmp_path.iterdir()] == ["text.txt"]
