"""What the browser still holds when it comes back to a server that has forgotten the visit.

A server that was started again, or that has let go of a visit after two minutes without a connection, begins a new
one. The browser shows the old page and sends, with the next click, what stands in its boxes. The link brings back
everything but texts that are too long for it, and what was typed last; both stand in the boxes.
"""

from collections.abc import Mapping
from contextlib import suppress
from dataclasses import replace
from typing import Any

from streamlit.runtime.scriptrunner import get_script_run_ctx

from views.visit.fields.kinds import MAX_ROWS
from views.visit.rows import row_texts, rows_typed
from views.visit.settings import Settings

OWN_TEXT, SHIFT = "own-text", "shift"


def held() -> dict[str, Any]:
    """What the browser says of its boxes and switches in the first run of a visit: by the widget's key.

    Nothing for a page that is opened freshly. Streamlit has no public way to ask before the widgets are drawn.
    """
    with suppress(AttributeError, TypeError, ValueError):
        states = get_script_run_ctx().session_state._state._new_widget_state.states  # type: ignore[union-attr]
        return dict(_named(id, state.value) for id, state in states.items() if hasattr(state.value, "WhichOneof"))
    return {}


def _named(id: str, proto: Any) -> tuple[str, Any]:
    """`$$ID-checksum-key` -> (key, value)."""
    kind = proto.WhichOneof("value")
    return id.split("-", 2)[2], getattr(proto, kind) if kind else None


def with_held_texts(settings: Settings, boxes: Mapping[str, Any], named: bool) -> Settings:
    """The settings of the link, with the texts that stand in the boxes; `named` if the link names a text."""
    texts = {key: value for key, value in boxes.items() if isinstance(value, str)}
    if OWN_TEXT in texts and texts[OWN_TEXT] != "\n".join(row_texts(settings)):
        return _taken(settings, rows_typed(settings, texts[OWN_TEXT]) if named else (texts[OWN_TEXT],), None)
    inputs, targets = _rows(texts, "input"), _rows(texts, "target")
    if inputs:
        shifted = bool(boxes.get(SHIFT, settings.targets is None))
        asked = None if shifted or len(targets) != len(inputs) else targets
        if (inputs, asked) != (settings.inputs, settings.targets):
            return _taken(settings, inputs, asked)
    return settings


def _taken(settings: Settings, inputs: tuple[str, ...], targets: tuple[str, ...] | None) -> Settings:
    return replace(settings, inputs=inputs, targets=targets, chosen=True, source="text")


def _rows(texts: Mapping[str, str], name: str) -> tuple[str, ...]:
    """The boxes `input-0`, `input-1`, ... or `input-0-lines` in their order."""
    rows = []
    for n in range(MAX_ROWS):
        found = texts.get(f"{name}-{n}-lines", texts.get(f"{name}-{n}"))
        if found is None:
            break
        rows.append(found)
    return tuple(rows)
