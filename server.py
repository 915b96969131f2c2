"""The same app for a server: the model is made while the browser opens, files are compressed, headers are set.

    streamlit run server.py

/api/health says that the process answers, /api/ready that the first page has its numbers (503 until then).
"""

import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from threading import Event, Thread

import streamlit as st
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route

from gptloss.errors import GptlossError
from gptloss.hosting import Profile, profile
from gptloss.serving.web.bundles import CompressedBundles, files_of
from gptloss.serving.web.closed import ClosedDoors
from gptloss.serving.web.headers import SecurityHeaders, security_headers
from gptloss.serving.web.uploads import UploadLimit
from views.frame import theme

STATIC = Path(st.__file__).parent / "static"
MEGABYTE = 1_000_000
_ready = Event()


def _profile() -> Profile:
    """What this server allows; a mistake in it ends the start with a sentence."""
    try:
        return profile(os.environ)
    except GptlossError as error:
        raise SystemExit(f"gptloss: {error}") from None


_allowed = _profile()
theme.keep()


def _make_the_model() -> None:
    from gptloss.serving.readings import reading
    from views.visit.settings import Settings

    reading(Settings().question)
    _ready.set()


@asynccontextmanager
async def _warm(_: object) -> AsyncIterator[None]:
    Thread(target=_make_the_model, daemon=True).start()
    yield


async def _health(_: Request) -> JSONResponse:
    return JSONResponse({"status": "ok"})


async def _is_ready(_: Request) -> JSONResponse:
    ready = _ready.is_set()
    return JSONResponse({"status": "ready" if ready else "starting"}, 200 if ready else 503)


app = st.App(
    "app.py",
    lifespan=_warm,
    routes=[Route("/api/health", _health), Route("/api/ready", _is_ready)],
    middleware=[
        Middleware(SecurityHeaders, headers=security_headers(STATIC / "index.html")),
        Middleware(ClosedDoors),
        Middleware(UploadLimit, largest=_allowed.upload * MEGABYTE, in_all=_allowed.visit * MEGABYTE),
        Middleware(CompressedBundles, files=files_of(STATIC / "static")),
    ],
)
