"""Headers that every answer has: what a page may load, and that nobody else may frame it.

Source of the rules: the Content Security Policy of the W3C, level 3.
"""

import base64
import hashlib
import re
from collections.abc import Iterable
from pathlib import Path
from typing import Any

# A script in the page itself, of which the browser is told the checksum.
INLINE = re.compile(rb"<script>(.*?)</script>", re.DOTALL)

Messages = Any  # what ASGI calls receive and send
Header = tuple[bytes, bytes]


def content_policy(index: Path) -> str:
    """The policy for a page whose inline scripts are those of this file; all else comes from the server itself.

    Plotly, KaTeX and the components need styles in the page, and workers and modules from blobs.
    """
    scripts = (
        base64.b64encode(hashlib.sha256(found).digest()).decode() for found in INLINE.findall(index.read_bytes())
    )
    allowed = " ".join(["'self'", "blob:", *(f"'sha256-{checksum}'" for checksum in scripts)])
    return "; ".join(
        [
            "default-src 'self'",
            f"script-src {allowed}",
            "style-src 'self' 'unsafe-inline'",
            "img-src 'self' data: blob:",
            "font-src 'self' data:",
            "connect-src 'self' ws: wss:",
            "worker-src 'self' blob:",
            "frame-src 'none'",
            "frame-ancestors 'self'",
            "base-uri 'none'",
            "form-action 'self'",
            "object-src 'none'",
        ]
    )


def security_headers(index: Path) -> list[Header]:
    """All headers, for the app whose page is `index`."""
    named = {
        "content-security-policy": content_policy(index),
        "x-content-type-options": "nosniff",
        "x-frame-options": "SAMEORIGIN",
        "referrer-policy": "same-origin",
        "permissions-policy": "camera=(), microphone=(), geolocation=()",
    }
    return [(name.encode(), value.encode()) for name, value in named.items()]


class SecurityHeaders:
    """ASGI middleware that adds headers to each answer, unless the answer has its own."""

    def __init__(self, app: Messages, headers: Iterable[Header]) -> None:
        self._app, self._headers = app, list(headers)

    async def __call__(self, scope: Messages, receive: Messages, send: Messages) -> None:
        if scope["type"] != "http":
            return await self._app(scope, receive, send)

        async def send_with_headers(message: Messages) -> None:
            if message["type"] == "http.response.start":
                there = {name.lower() for name, _ in message.get("headers", [])}
                more = [header for header in self._headers if header[0] not in there]
                message = {**message, "headers": [*message.get("headers", []), *more]}
            await send(message)

        await self._app(scope, receive, send_with_headers)
