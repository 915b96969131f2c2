"""Settings to the query of an address, and back. A bad value falls back to its default alone."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import fields, replace
from functools import lru_cache
from typing import Any

from gptloss.models import REGISTRY
from views.visit.fields.kinds import MAX_ROWS, Link
from views.visit.settings import FIRST, KINDS, OF_TEXT, PARTS, Settings

# The settings that make the difference between a visitor who has chosen something and one who has not.
CHOICES = ("model", "inputs", "targets")


def to_query(settings: Settings, opening: Settings = FIRST) -> dict[str, str | list[str]]:
    """The query of a link to this state, without what is as it was at first.

    `opening` is what the page shows to a visitor who has chosen neither a model nor a text.
    """
    return dict(_query_of(settings, opening))


@lru_cache(maxsize=1024)  # each menu asks for the links to all pages, and most visitors see the same
def _query_of(settings: Settings, opening: Settings) -> dict[str, str | list[str]]:
    first = FIRST if settings.chosen else opening
    if not settings.text_fits_link:
        settings = _without_texts(settings)
    query: dict[str, str | list[str]] = {}
    for name, kind in KINDS.items():
        value = getattr(settings, name)
        if value != getattr(first, name) or (name in ("inputs", "targets") and _own_rows(settings, first)):
            query[kind.word] = kind.write(value)
    if settings.targets is None:
        query.pop(KINDS["targets"].word, None)  # that the inputs are shifted is said by no target at all
    if settings.chosen and not _chooses(query) and replace(opening, chosen=True) != FIRST:
        query[KINDS["model"].word] = KINDS["model"].write(settings.model)  # or the page would show its own
    return query


def from_query(
    query: Mapping[str, Sequence[str]],
    models: Sequence[str] = tuple(REGISTRY),
    any_model: bool = False,
    opening: Settings = FIRST,
) -> tuple[Settings, list[str]]:
    """The settings a link asks for, and a sentence for each value that could not be used.

    `models` are those a link may name; with `any_model` also a folder and `hf:owner/name`. A bad value falls back
    to its default alone; all others hold. A link without a model and a text shows the `opening` of the page.
    """
    link = Link(query, models, any_model)
    first = FIRST if _chooses(query) else opening
    values: dict[str, Any] = {"chosen": first.chosen}
    values["inputs"], values["targets"] = _rows(link, first)
    for name, kind in KINDS.items():
        if name not in values:
            values[name] = kind.read(link, getattr(first, name))
    return Settings(**values), link.notices


def _chooses(query: Mapping[str, object]) -> bool:
    """Whether a link names a model or a text."""
    return any(KINDS[name].word in query for name in CHOICES)


def table() -> Iterator[tuple[str, str, str, str]]:
    """(page, word, what it means, what is allowed) of every field, for the README."""
    for page, part in PARTS.items():
        for field in fields(part):
            kind = field.metadata["kind"]
            yield page, kind.word, field.metadata["means"], kind.allowed


def _own_rows(settings: Settings, first: Settings) -> bool:
    """Whether the rows are others than the first ones: inputs and targets then travel together."""
    return (settings.inputs, settings.targets) != (first.inputs, first.targets)


def _without_texts(settings: Settings) -> Settings:
    """What a link can hold of a state whose texts are too long for it: no position in them either."""
    tokens = tuple(pin for pin in settings.pins if isinstance(pin, int))
    return replace(settings, pins=tokens, **{name: getattr(FIRST, name) for name in OF_TEXT})


def _rows(link: Link, first: Settings) -> tuple[tuple[str, ...], tuple[str, ...] | None]:
    """The rows of a link: as many targets as inputs, or none at all for the shift by one."""
    inputs, targets = link.query.get("input", ()), link.query.get("target", ())
    if not inputs and not targets:
        return first.inputs, first.targets
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
