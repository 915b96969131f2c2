"""How much a visitor may upload: checked while the bytes come in, so that nothing larger is ever held."""

from collections import OrderedDict
from typing import Any

Messages = Any  # what ASGI calls receive and send
UPLOADS = "/_stcore/upload_file/"
# Visitors whose uploads are counted; of more, those are forgotten that came first.
MOST_COUNTED = 10_000


class _TooMuchError(Exception):
    """More bytes came in than are allowed."""


class UploadLimit:
    """ASGI middleware: an upload has at most `largest` bytes, and all of one session `in_all`.

    What is over that is answered with 413 and a sentence. Streamlit's own limit is that of all widgets together, and
    it takes any number of files.
    """

    def __init__(self, app: Messages, largest: int, in_all: int) -> None:
        self._app, self._largest, self._in_all = app, largest, in_all
        self._taken: OrderedDict[str, int] = OrderedDict()

    async def __call__(self, scope: Messages, receive: Messages, send: Messages) -> None:
        if scope["type"] != "http" or scope["method"] != "PUT" or not scope["path"].startswith(UPLOADS):
            return await self._app(scope, receive, send)
        session = scope["path"].removeprefix(UPLOADS).partition("/")[0]
        room = min(self._largest, self._in_all - self._taken.get(session, 0))
        if _announced(scope) > room:
            return await self._refuse(send)
        read, begun = 0, False

        async def counted() -> Messages:
            nonlocal read
            message = await receive()
            read += len(message.get("body", b""))
            if read > room:
                raise _TooMuchError
            return message

        async def watched(message: Messages) -> None:
            nonlocal begun
            begun = True
            await send(message)

        try:
            await self._app(scope, counted, watched)
        except _TooMuchError:
            if not begun:
                await self._refuse(send)
        self._count(session, min(read, room))

    def _count(self, session: str, size: int) -> None:
        self._taken[session] = self._taken.get(session, 0) + size
        self._taken.move_to_end(session)
        while len(self._taken) > MOST_COUNTED:
            self._taken.popitem(last=False)

    async def _refuse(self, send: Messages) -> None:
        headers = [(b"content-type", b"text/plain; charset=utf-8"), (b"connection", b"close")]
        said = f"An upload has at most {self._largest:,} bytes, and a visit {self._in_all:,}; take a smaller file."
        await send({"type": "http.response.start", "status": 413, "headers": headers})
        await send({"type": "http.response.body", "body": said.encode()})


def _announced(scope: Messages) -> int:
    """The length that the request says it has; 0 if it says nothing that is a number."""
    said = dict(scope["headers"]).get(b"content-length", b"0")
    return int(said) if said.isdigit() and len(said) < 20 else 0
