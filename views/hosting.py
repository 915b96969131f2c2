"""Who may choose which model: the operator's list, and free choice for a visitor on the machine itself.

`GPTLOSS_MODELS` names the models of a hosted app, comma-separated, for example `smollm2-135m,hf:owner/name`. Then
no visitor can name another one.
"""

import os
from urllib.parse import urlsplit

import streamlit as st

from gptloss.models import DEFAULT_MODEL, REGISTRY

LOCAL = {"localhost", "127.0.0.1", "::1"}


def models() -> tuple[str, ...]:
    """The models to choose from. The untrained GPT-2 is always among them: the lecture is about it."""
    listed = [name.strip() for name in os.environ.get("GPTLOSS_MODELS", "").split(",") if name.strip()]
    return tuple(dict.fromkeys([DEFAULT_MODEL, *(listed or REGISTRY)]))


def any_model() -> bool:
    """Whether the visitor may also name a folder or a hub model: only on their own machine, only without a list.

    Own machine: the connection comes from this machine, and the browser asked for this machine by name, which a
    page that came through a proxy or a tunnel did not.
    """
    if os.environ.get("GPTLOSS_MODELS"):
        return False
    host = urlsplit(f"//{st.context.headers.get('Host', '')}").hostname
    return host in LOCAL and (st.context.ip_address or "127.0.0.1") in LOCAL
