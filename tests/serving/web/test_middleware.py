"""The layers before the app, called as a server calls them."""

import asyncio
import gzip
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from gptloss.serving.web.bundles import CompressedBundles, files_of
from gptloss.serving.web.closed import ClosedDoors
from gptloss.serving.web.headers import SecurityHeaders, content_policy, security_headers
from gptloss.serving.web.uploads import UploadLimit


async def _app(scope: Any, receive: Any, send: Any) -> None:
    """Says how many bytes it got."""
    size, more = 0, True
    while more:
        message = await receive()
        size += len(message.get("body", b""))
        more = message.get("more_body", False)
    await send({"type": "http.response.start", "status": 200, "headers": [(b"x-frame-options", b"DENY")]})
    await send({"type": "http.response.body", "body": b"app %d" % size})


def asked(app: Any, path: str, method: str = "GET", body: tuple[bytes, ...] = (b"",), **headers: str) -> Any:
    """(status, headers, body) of an answer."""
    named = [(name.replace("_", "-").encode(), value.encode()) for name, value in headers.items()]
    scope = {"type": "http", "path": path, "method": method, "headers": named}
    parts = [{"type": "http.request", "body": part, "more_body": n + 1 < len(body)} for n, part in enumerate(body)]
    sent: list[Any] = []

    async def receive() -> Any:
        return parts.pop(0)

    async def send(message: Any) -> None:
        sent.append(message)

    async def call() -> None:
        await app(scope, receive, send)

    with ThreadPoolExecutor(1) as thread:  # a browser test may have left a loop in this one
        thread.submit(lambda: asyncio.run(call())).result()
    start, *rest = sent
    return start["status"], dict(start["headers"]), b"".join(part.get("body", b"") for part in rest)


@pytest.fixture
def index(tmp_path: Path) -> Path:
    page = tmp_path / "index.html"
    page.write_text("<html><script>alert(1)</script><script src='x.js'></script></html>")
    return page


def test_the_policy_names_the_one_script_of_the_page(index: Path) -> None:
    policy = content_policy(index)
    assert policy.count("'sha256-") == 1
    assert "'unsafe-eval'" not in policy
    assert "script-src 'self' blob: 'sha256-bhHHL3z2vDgxUt0W3dWQOrprscmda2Y5pLsLg4GF+pI='" in policy  # of alert(1)


def test_every_answer_has_the_headers_and_keeps_its_own(index: Path) -> None:
    _, headers, _ = asked(SecurityHeaders(_app, security_headers(index)), "/")
    assert headers[b"x-content-type-options"] == b"nosniff"
    assert headers[b"x-frame-options"] == b"DENY"
    assert b"frame-ancestors 'self'" in headers[b"content-security-policy"]


def test_the_metrics_are_nobodys_business() -> None:
    for path in ("/_stcore/metrics", "/_stcore/metrics/"):
        assert asked(ClosedDoors(_app), path)[0] == 404
    assert asked(ClosedDoors(_app), "/_stcore/health")[0] == 200


def test_bundles_are_compressed_for_those_who_take_it(tmp_path: Path) -> None:
    (tmp_path / "js").mkdir()
    text = b"let x = 1;\n" * 500
    (tmp_path / "js" / "a.123.js").write_bytes(text)
    (tmp_path / "js" / "small.js").write_bytes(b"1")
    (tmp_path.parent / "secret.js").write_bytes(text)
    app = CompressedBundles(_app, files_of(tmp_path))
    status, headers, body = asked(app, "/static/js/a.123.js", accept_encoding="br, gzip")
    assert (status, headers[b"content-encoding"], gzip.decompress(body)) == (200, b"gzip", text)
    assert b"javascript" in headers[b"content-type"]
    assert asked(app, "/static/js/a.123.js", "HEAD", accept_encoding="gzip")[2] == b""
    for path, more in (
        ("/static/js/a.123.js", {}),
        ("/static/js/a.123.js", {"accept_encoding": "gzip", "range": "bytes=0-1"}),
        ("/static/js/small.js", {"accept_encoding": "gzip"}),
        ("/static/js/../../secret.js", {"accept_encoding": "gzip"}),
        ("/static/", {"accept_encoding": "gzip"}),
    ):
        assert asked(app, path, **more)[2] == b"app 0", path


def put(app: Any, size: int, session: str = "s", told: bool = True) -> int:
    body = (b"x" * (size // 2), b"x" * (size - size // 2))
    more = {"content_length": str(size)} if told else {}
    status: int = asked(app, f"/_stcore/upload_file/{session}/f", "PUT", body, **more)[0]
    return status


@pytest.mark.parametrize("told", [True, False])
def test_an_upload_ends_at_its_limit_and_so_does_a_visit(told: bool) -> None:
    app = UploadLimit(_app, largest=100, in_all=150)
    assert put(app, 101, told=told) == 413
    assert put(app, 100, "t", told) == 200
    assert put(app, 50, "t", told) == 200
    assert put(app, 1, "t", told) == 413
    assert put(app, 60, "another", told) == 200


def test_a_length_that_is_none_is_counted() -> None:
    app = UploadLimit(_app, largest=100, in_all=150)
    path = "/_stcore/upload_file/s/f"
    assert asked(app, path, "PUT", (b"x" * 101,), content_length="-5")[0] == 413
    assert asked(app, path, "PUT", (b"x",), content_length="9" * 30)[0] == 200
    assert asked(app, path, "POST", (b"x" * 999,))[2] == b"app 999"  # no upload
