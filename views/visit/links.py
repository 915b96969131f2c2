"""Settings to the query of an address, and back. A bad value falls back to its default alone."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import fields, replace
from typing import Any

from gptloss.models import REGISTRY
from views.visit.fields.kinds import MAX_ROWS, Link
from views.visit.settings import FIRST, KINDS, OF_TEXT, PARTS, Settings


def to_query(settings: Settings) -> dict[str, str | list[str]]:
    """The query of a link to this state, without what is as it was at first."""
    if not settings.text_fits_link:
        settings = _without_texts(settings)
    query: dict[str, str | list[str]] = {}
    for name, kind in KINDS.items():
        value = getattr(settings, name)
        if value != getattr(FIRST, name) or (name in ("inputs", "targets") and _own_rows(settings)):
            query[kind.word] = kind.write(value)
    if settings.targets is None:
        query.pop(KINDS["targets"].word, None)  # that the inputs are shifted is said by no target at all
    return query


def from_query(
    query: Mapping[str, Sequence[str]], models: Sequence[str] = tuple(REGISTRY), any_model: bool = False
) -> tuple[Settings, list[str]]:
    """The settings a link asks for, and a sentence for each value that could not be used.

    `models` are those a link may name; with `any_model` also a folder and `hf:owner/name`. A bad value falls back
    to its default alone; all others hold.
    """
    link = Link(query, models, any_model)
    values: dict[str, Any] = {}
    values["inputs"], values["targets"] = _rows(link)
    for name, kind in KINDS.items():
        if name not in values:
            values[name] = kind.read(link, getattr(FIRST, name))
    return Settings(**values), link.notices


def table() -> Iterator[tuple[str, str, str, str]]:
    """(page, word, what it means, what is allowed) of every field, for the README."""
    for page, part in PARTS.items():
        for field in fields(part):
            kind = field.metadata["kind"]
            yield page, kind.word, field.metadata["means"], kind.allowed


def _own_rows(settings: Settings) -> bool:
    """Whether the rows are others than the lecture's: inputs and targets then travel together."""
    return (settings.inputs, settings.targets) != (FIRST.inputs, FIRST.targets)


def _without_texts(settings: Settings) -> Settings:
    """What a link can hold of a state whose texts are too long for it: no position in them either."""
    tokens = tuple(pin for pin in settings.pins if isinstance(pin, int))
    return replace(settings, pins=tokens, **{name: getattr(FIRST, name) for name in OF_TEXT})


def _rows(link: Link) -> tuple[tuple[str, ...], tuple[str, ...] | None]:
    """The rows of a link: as many targets as inputs, or none at all for the shift by one."""
    inputs, targets = link.query.get("input", ()), link.query.get("target", ())
    if not inputs and not targets:
        return FIRST.inputs, FIRST.targets
    rows = max(len(inputs), len(targets))
    if targets and len(inputs) != len(targets):
        link.notices.append(
            f"The link has {len(inputs)} inputs and {len(targets)} targets; what is missing is left empty."
        )
    if rows > MAX_ROWS:
        link.notices.append(f"The link has {rows} rows; the page shows the first {MAX_ROWS}.")
        rows = MAX_ROWS
    filled = tuple([*inputs, *[""] * rows][:rows])
    return filled, tuple([*targets, *[""] * rows][:rows]) if targets else None
