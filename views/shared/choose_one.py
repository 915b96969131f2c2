"""Buttons for a setting, of which always one is chosen."""

from collections.abc import Mapping
from typing import Any

import streamlit as st
from streamlit.delta_generator import DeltaGenerator

from views.visit import session


def choose_one(
    field: str,
    label: str,
    names: Mapping[Any, str],
    column: DeltaGenerator | None = None,
    *,
    hide_label: bool = False,
    help: str | None = None,
    **also: Any,
) -> None:
    """Let the visitor choose a value of the setting `field`, each under its name; `also` is set with every choice."""
    session.give(field, getattr(session.settings(), field))
    (column or st).segmented_control(
        label,
        list(names),
        format_func=names.__getitem__,
        key=field,
        required=True,
        label_visibility="collapsed" if hide_label else "visible",
        help=help,
        on_change=lambda: session.change(**{field: st.session_state[field]}, **also),
    )
