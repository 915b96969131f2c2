"""Who may choose which model: the operator's list, and free choice for a visitor on the machine itself.

`GPTLOSS_MODELS` names the models of a hosted app, comma-separated, for example `smollm2-135m,hf:owner/name`. Then
no visitor can name another one.
"""

import os
from contextlib import suppress
from time import monotonic
from urllib.parse import urlsplit

import streamlit as st
from streamlit import runtime

from gptloss import models as known
from gptloss.errors import GptlossError
from gptloss.models import DEFAULT_MODEL, REGISTRY
from gptloss.models.catalogue import runs
from gptloss.models.names import is_free_name, is_run

NOT_TRAINED = {DEFAULT_MODEL, *(name for name, entry in REGISTRY.items() if entry.info.architecture == "bytes")}
# Seconds for which a model that was seen counts as here, and when each was seen, by its home and name.
FRESH = 1.0
_seen: dict[tuple[str | None, str], float] = {}
LOCAL = {"localhost", "127.0.0.1", "::1"}
# What a proxy or a tunnel adds to a request.
PASSED_ON = ("Forwarded", "X-Forwarded-For", "X-Forwarded-Host", "X-Real-Ip", "Via")


def models() -> tuple[str, ...]:
    """The models to choose from. The untrained GPT-2 is always among them: the lecture is about it.

    On the visitor's own machine, the runs that were trained there, too. On a server a run has a name that
    nobody guesses, and is gone with its visitor.
    """
    listed = [name.strip() for name in os.environ.get("GPTLOSS_MODELS", "").split(",") if name.strip()]
    return tuple(dict.fromkeys([DEFAULT_MODEL, *(listed or REGISTRY), *(runs.kept() if any_model() else ())]))


def is_here(name: str) -> bool:
    """Whether a model can be loaded without fetching it. Raises `GptlossError` for a name nobody knows.

    A page asks a dozen times in each run; on a server what was here a second ago is here.
    """
    now, key = monotonic(), (os.environ.get("GPTLOSS_HOME"), name)
    if runtime.exists() and now - _seen.get(key, -FRESH) < FRESH:
        return True
    found = known.is_here(name)
    if found:
        _seen[key] = now
    return found


def pretrained() -> str | None:
    """The model that stands for "Trained": the first of the operator's list, or SmolLM2; None if there is none."""
    return next((name for name in models() if name not in NOT_TRAINED and not is_run(name)), None)


def pretrained_here() -> str | None:
    """The same, if it is on this machine."""
    name = pretrained()
    with suppress(GptlossError):
        return name if name and is_here(name) else None
    return None


def any_model() -> bool:
    """Whether the visitor may also name a folder or a hub model: only on their own machine, only without a list.

    Own machine: the connection comes from this machine, the page was opened under this machine's name, and nobody
    passed the request on. A hosted app has no such visitor: behind a raw tunnel everybody looks like one.
    """
    headers = st.context.headers
    if os.environ.get("GPTLOSS_PROFILE") == "hosted":
        return False
    if os.environ.get("GPTLOSS_MODELS") or any(headers.get(name) for name in PASSED_ON):
        return False
    host, origin = headers.get("Host", ""), urlsplit(headers.get("Origin", "")).netloc
    # The port counts, too: another server of this machine may show a page that asks ours.
    asked_here = host == origin and urlsplit(f"//{host}").hostname in LOCAL
    return asked_here and (st.context.ip_address or "127.0.0.1") in LOCAL


def live_training() -> bool:
    """Whether visitors may train here; `GPTLOSS_TRAINING=0` leaves them the recorded runs."""
    return os.environ.get("GPTLOSS_TRAINING") != "0"


def allowed(name: str) -> bool:
    """Whether this visitor may use the model called `name`."""
    return name in models() or is_run(name) or (any_model() and is_free_name(name))
