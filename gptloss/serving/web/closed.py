"""Doors that stay shut: what the server measures of itself is nobody's business outside."""

from collections.abc import Iterable
from typing import Any

Messages = Any  # what ASGI calls receive and send
METRICS = "/_stcore/metrics"


class ClosedDoors:
    """ASGI middleware: these addresses are not found."""

    def __init__(self, app: Messages, paths: Iterable[str] = (METRICS,)) -> None:
        self._app, self._paths = app, frozenset(paths)

    async def __call__(self, scope: Messages, receive: Messages, send: Messages) -> None:
        if scope["type"] != "http" or scope["path"].rstrip("/") not in self._paths:
            return await self._app(scope, receive, send)
        headers = [(b"content-type", b"text/plain; charset=utf-8")]
        await send({"type": "http.response.start", "status": 404, "headers": headers})
        await send({"type": "http.response.body", "body": b"Not found."})
