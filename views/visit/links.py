"""Links: settings to the query of an address and back. A bad value falls back to its default alone."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from gptloss.models import REGISTRY
from views.visit.fields import PLAIN, Plain
from views.visit.settings import LECTURE_INPUTS, LECTURE_TARGETS, MAX_ROWS, MOST_MODELS, MOST_PINS, Pin, Settings


def to_query(settings: Settings) -> dict[str, str | list[str]]:
    """The query of a link to this state, without what is as it was at first."""
    first = Settings()
    if not settings.text_fits_link:
        settings = _without_texts(settings)
    query: dict[str, str | list[str]] = {}
    if (settings.inputs, settings.targets) != (first.inputs, first.targets):
        query["input"] = list(settings.inputs)
        if settings.targets is not None:
            query["target"] = list(settings.targets)
    if settings.model != first.model:
        query["model"] = settings.model
    if settings.at != first.at:
        query["at"] = _position_word(settings.at)
    if settings.spot is not None:
        query["spot"] = _position_word(settings.spot)
    if settings.others != first.others:
        query["with"] = list(settings.others) or [""]
    if settings.second:
        query["second"] = settings.second
    if settings.texts is not None:
        query["text"] = list(settings.texts)
    if settings.pair != first.pair:
        query["pair"] = list(settings.pair)
    if settings.pins:
        query["pin"] = [f"t{pin}" if isinstance(pin, int) else _position_word(pin) for pin in settings.pins]
    for plain in PLAIN:
        value = getattr(settings, plain.field)
        if value != getattr(first, plain.field):
            query[plain.name] = plain.write(value)
    return query


def _without_texts(settings: Settings) -> Settings:
    """What a link can hold of a state whose texts are too long for it: no position in them either."""
    first, tokens = Settings(), tuple(pin for pin in settings.pins if isinstance(pin, int))
    kept = {name: getattr(first, name) for name in ("inputs", "targets", "texts", "pair", "at", "spot", "made")}
    return replace(settings, pins=tokens, **kept)


def from_query(
    query: Mapping[str, Sequence[str]], models: Sequence[str] = tuple(REGISTRY), any_model: bool = False
) -> tuple[Settings, list[str]]:
    """The settings a link asks for, and a sentence for each value that was no good.

    `models` are those a link may name; with `any_model` also a folder and `hf:owner/name`. A bad value falls back
    to its default alone; all others hold.
    """
    reader = _Reader(query, models, any_model)
    inputs, targets = reader.rows()
    fields = {plain.field: reader.plain(plain) for plain in PLAIN}
    settings = Settings(
        model=reader.model(),
        inputs=inputs,
        targets=targets,
        at=reader.position("at") or Settings().at,
        spot=reader.position("spot"),
        others=reader.others(),
        texts=reader.texts(),
        pair=reader.pair(),
        pins=reader.pins(),
        second=reader.second(),
        **fields,
    )
    return settings, reader.notices


def is_free_name(model: str) -> bool:
    """Whether this names a folder or a model of the Hugging Face hub, rather than one of the list.

    Never a folder of another machine: a link to it would make this one call there.
    """
    return not model.startswith(("//", "\\\\")) and (model.startswith("hf:") or "/" in model or "\\" in model)


@dataclass
class _Reader:
    """Reads the parts of a query, and notes what was no good."""

    query: Mapping[str, Sequence[str]]
    models: Sequence[str]
    any_model: bool
    notices: list[str] = field(default_factory=list)

    def one(self, name: str) -> str | None:
        """The value called `name`, if there is one."""
        values = self.query.get(name, ())
        if len(values) > 1:
            self.notices.append(f"The link names {name!r} {len(values)} times; the last one counts.")
        return values[-1] if values else None

    def plain(self, plain: Plain) -> Any:
        default = getattr(Settings(), plain.field)
        word = self.one(plain.name)
        value = None if word is None else plain.read(word)
        if word is not None and value is None:
            shown = "none" if default is None else plain.write(default)
            self.notices.append(
                f"The link asks for {plain.name} {_quote(word)}; use {plain.allowed}. Shown: {shown}."
            )
        return default if value is None else value

    def model(self) -> str:
        name = self.one("model")
        return name if name is not None and self.known(name) else Settings().model

    def second(self) -> str:
        name = self.one("second")
        return name if name and self.known(name) else ""

    def known(self, model: str) -> bool:
        if model in self.models or (self.any_model and is_free_name(model)):
            return True
        self.notices.append(f"There is no model called {_quote(model)} here. Models: {', '.join(self.models)}.")
        return False

    def others(self) -> tuple[str, ...]:
        first = Settings().others
        if "with" not in self.query:
            return first
        named = [name for name in self.query["with"] if name]  # `with=` alone: no other model
        others = tuple(dict.fromkeys(filter(self.known, named)))
        if len(others) >= MOST_MODELS:
            self.notices.append(
                f"The link compares with {len(others)} models; {MOST_MODELS - 1} fit beside the first."
            )
        return first if named and not others else others[: MOST_MODELS - 1]

    def position(self, name: str) -> tuple[int, int] | None:
        word = self.one(name)
        position = None if word is None else _position(word)
        if word is not None and position is None:
            self.notices.append(f"The link chooses the position {_quote(word)}; write 12 for p12. Shown: p11.")
        return position

    def pins(self) -> tuple[Pin, ...]:
        pins: dict[Pin, None] = {}
        for word in self.query.get("pin", ()):
            token = re.fullmatch("t([0-9]{1,8})", word, re.ASCII)
            pin = int(token[1]) if token else _position(word)
            if pin is None:
                self.notices.append(
                    f"The link pins {_quote(word)}; write 12 for p12 or t464 for token 464. It is left out."
                )
            else:
                pins[pin] = None
        if len(pins) > MOST_PINS:
            self.notices.append(f"The link pins {len(pins)} positions or tokens; the first {MOST_PINS} are kept.")
        return tuple(pins)[:MOST_PINS]

    def texts(self) -> tuple[str, ...] | None:
        texts = tuple(self.query.get("text", ()))
        if len(texts) > MAX_ROWS:
            self.notices.append(f"The link has {len(texts)} texts to compare; the page shows the first {MAX_ROWS}.")
        return texts[:MAX_ROWS] or None

    def pair(self) -> tuple[str, str]:
        pair = tuple(self.query.get("pair", Settings().pair))
        if len(pair) == 2:
            return pair[0], pair[1]
        self.notices.append(f"The link has {len(pair)} texts for a pair; two are needed. The page shows its own.")
        return Settings().pair

    def rows(self) -> tuple[tuple[str, ...], tuple[str, ...] | None]:
        """The rows of a link: as many targets as inputs, or none at all for the shift by one."""
        inputs, targets = self.query.get("input", ()), self.query.get("target", ())
        if not inputs and not targets:
            return LECTURE_INPUTS, LECTURE_TARGETS
        rows = max(len(inputs), len(targets))
        if targets and len(inputs) != len(targets):
            self.notices.append(
                f"The link has {len(inputs)} inputs and {len(targets)} targets; what is missing is left empty."
            )
        if rows > MAX_ROWS:
            self.notices.append(f"The link has {rows} rows; the page shows the first {MAX_ROWS}.")
            rows = MAX_ROWS
        filled = tuple([*inputs, *[""] * rows][:rows])
        return filled, tuple([*targets, *[""] * rows][:rows]) if targets else None


def _position(word: str) -> tuple[int, int] | None:
    """`12` -> (1, 2): the row is the first digit."""
    if re.fullmatch(rf"[1-{MAX_ROWS}][1-9][0-9]{{0,4}}", word, re.ASCII):
        return int(word[0]), int(word[1:])
    return None


def _position_word(position: tuple[int, int]) -> str:
    return f"{position[0]}{position[1]}"


def _quote(value: str) -> str:
    return repr(value if len(value) <= 30 else f"{value[:29]}…")
