"""The file: what it says, and every way in which it can be wrong."""

import json
import struct
import zlib
from dataclasses import asdict, replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gptloss import load_model
from gptloss.compression.file import MAGIC, Header, pack, unpack
from gptloss.compression.peers import sizes
from gptloss.compression.run import decode, encode, model_for
from gptloss.errors import GptlossError
from gptloss.provenance import weights_hash

TEXT = "A text, as it is: 🍕\r\n"
HEADER, ENCODER = encode(load_model("bigram"), TEXT)
FILE = pack(HEADER, ENCODER.code())


def refused(raw: bytes) -> str:
    with pytest.raises(GptlossError) as caught:
        unpack(raw, "It")
    assert str(caught.value).endswith(".")
    return str(caught.value)


def sealed(body: bytes) -> bytes:
    """A body with the right checksum."""
    return body + struct.pack("<I", zlib.crc32(body))


def with_header(told: Any) -> bytes:
    raw = json.dumps(told).encode()
    return sealed(MAGIC + b"\x01" + struct.pack("<I", len(raw)) + raw + ENCODER.code())


def test_the_header_says_what_it_was_made_with() -> None:
    header, code = unpack(FILE, "It")
    assert header == HEADER
    assert code == ENCODER.code()
    assert (header.model, header.kernels, header.threads) == ("bigram", {}, 1)
    assert header.weights == weights_hash("bigram")
    assert (header.tokens, header.bytes) == (len(TEXT.encode()), len(TEXT.encode()))


@given(st.integers(0, len(FILE) - 1), st.integers(1, 255))
def test_any_changed_byte_is_seen(place: int, change: int) -> None:
    raw = bytearray(FILE)
    raw[place] ^= change
    refused(bytes(raw))


@given(st.integers(0, len(FILE) - 1))
def test_a_file_that_is_cut_is_refused(length: int) -> None:
    refused(FILE[:length])


@given(st.integers(0, len(FILE) - 1), st.integers(1, 255))
def test_a_changed_byte_under_a_right_checksum_gives_no_wrong_text(place: int, change: int) -> None:
    """Somebody who changes a file on purpose can mend the outer checksum; the text's own is still there."""
    raw = bytearray(FILE[:-4])
    raw[min(place, len(raw) - 1)] ^= change
    try:
        header, code = unpack(sealed(bytes(raw)), "It")
        text = decode(model_for(header), replace(header, tokens=min(header.tokens, 99)), code)
    except GptlossError:
        return
    assert text == TEXT


def test_what_is_no_such_file_is_said() -> None:
    assert "no text that gptloss has compressed" in refused(b"")
    assert "no text that gptloss has compressed" in refused(b"\x1f\x8b gzip")
    assert "version 9 of the format" in refused(sealed(MAGIC + b"\x09" + FILE[8:-4]))
    assert "damaged" in refused(FILE + b"x")


@pytest.mark.parametrize(
    "change",
    [
        {"tokens": -1},
        {"tokens": 10**9},  # more than bytes
        {"bytes": 1 << 50, "tokens": 1},
        {"tokens": True},
        {"tokens": 1.5},
        {"model": None},
        {"weights": 7},
        {"kernels": []},
        {"kernels": {"a": "b"}},
        {"threads": 0},
        {"sha256": None},
        {"more": 1},
    ],
)
def test_a_header_of_other_values_is_refused(change: dict[str, Any]) -> None:
    assert "no readable header" in refused(with_header(asdict(HEADER) | change))


@pytest.mark.parametrize("told", [[], "x", None, {}, {"tokens": 1}])
def test_a_header_of_another_shape_is_refused(told: Any) -> None:
    assert "no readable header" in refused(with_header(told))


def test_a_header_longer_than_the_file_is_refused() -> None:
    assert "no readable header" in refused(sealed(MAGIC + b"\x01" + struct.pack("<I", 1 << 15) + b"{}"))
    assert "no readable header" in refused(sealed(MAGIC + b"\x01" + struct.pack("<I", 5) + b"[[[[["))


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"model": "gtp2"}, "no model called 'gtp2'"),
        ({"kernels": {"8x8": {"1": "magic"}}}, "does not have the kernel 'magic'"),
        ({"kernels": {"huge": {"1": "torch"}}}, "names kernels in no known way"),
        ({"weights": "0" * 64}, "other weights of bigram"),
    ],
)
def test_what_is_not_here_is_said(change: dict[str, Any], said: str) -> None:
    with pytest.raises(GptlossError, match=said):
        model_for(replace(HEADER, **change))


def test_a_machine_that_computes_otherwise_is_named() -> None:
    header: Header = replace(HEADER, sha256="0" * 32, capability="AVX9", torch="9.9")
    with pytest.raises(GptlossError, match=r"torch 9\.9, here .* and capability AVX9"):
        decode(load_model("bigram"), header, ENCODER.code())


def test_general_compressors_are_measured() -> None:
    found = sizes(b"the same words, the same words, the same words. " * 20)
    assert set(found) == {"gzip", "xz", "zstd"}
    assert all(0 < size < 400 for size in found.values())
