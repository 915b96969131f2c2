"""The same app, with the model made while the browser is still opening: `streamlit run server.py`."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from threading import Thread

import streamlit as st


def _make_the_model() -> None:
    from gptloss.serving.readings import reading
    from views.visit.settings import Settings

    reading(Settings().question)


@asynccontextmanager
async def _warm(_: object) -> AsyncIterator[None]:
    Thread(target=_make_the_model, daemon=True).start()
    yield


app = st.App("app.py", lifespan=_warm)
