"""Settings: everything a link carries. Pure Python; the address bar and the session both speak it."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import get_args
from urllib.parse import urlencode

from gptloss.models import DEFAULT_MODEL, REGISTRY
from gptloss.numbers import Units

MAX_ROWS = 8
STEPS = 7
# Longer links are cut by servers and chat programs, so a longer text stays out of the address bar.
LINK_LIMIT = 8_000  # characters of the encoded query; one emoji is twelve

LECTURE_INPUTS = ("every effort moves", "I really like")
LECTURE_TARGETS = (" effort moves you", " really like chocolate")


@dataclass(frozen=True)
class Settings:
    """The state of a visit. `targets=None` means: the inputs shifted by one token.

    `at` is the chosen (i, j), `step` the step that is explained, 0 for none.
    """

    model: str = DEFAULT_MODEL
    inputs: tuple[str, ...] = LECTURE_INPUTS
    targets: tuple[str, ...] | None = LECTURE_TARGETS
    at: tuple[int, int] = (1, 1)
    units: Units = "nats"
    step: int = 0

    @property
    def text_fits_link(self) -> bool:
        """Whether the rows are short enough to travel in a link."""
        return len(urlencode({"input": self.inputs, "target": self.targets or ()}, doseq=True)) <= LINK_LIMIT

    def to_query(self) -> dict[str, str | list[str]]:
        """The query of a link to this state, without what is as it was at first."""
        first = Settings()
        query: dict[str, str | list[str]] = {}
        if (self.inputs, self.targets) != (first.inputs, first.targets) and self.text_fits_link:
            query["input"] = list(self.inputs)
            if self.targets is not None:
                query["target"] = list(self.targets)
        if self.model != first.model:
            query["model"] = self.model
        if self.at != first.at:
            query["at"] = f"{self.at[0]}{self.at[1]}"
        if self.units != first.units:
            query["units"] = self.units
        if self.step != first.step:
            query["step"] = str(self.step)
        return query


def from_query(query: Mapping[str, Sequence[str]]) -> tuple[Settings, list[str]]:
    """The settings a link asks for, and a sentence for each value that was no good.

    A bad value falls back to its default alone; all others hold.
    """
    notices: list[str] = []
    first = Settings()
    inputs, targets = _rows(query.get("input", ()), query.get("target", ()), notices)

    def one(name: str, default: str) -> str:
        values = query.get(name, ())
        if len(values) > 1:
            notices.append(f"The link names {name!r} {len(values)} times; the last one counts.")
        return values[-1] if values else default

    model = one("model", first.model)
    if model not in REGISTRY:
        notices.append(
            f"There is no model called {_quote(model)}; {first.model} is used. Models: {', '.join(REGISTRY)}."
        )
        model = first.model
    units: Units = "nats"
    match one("units", units):
        case "nats" | "bits" as known:
            units = known
        case other:
            notices.append(
                f"The link asks for units {_quote(other)}; use {' or '.join(get_args(Units))}. Shown: {units}."
            )
    at = one("at", "11")
    if not re.fullmatch(rf"[1-{MAX_ROWS}][1-9][0-9]{{0,4}}", at, re.ASCII):
        notices.append(f"The link chooses the position {_quote(at)}; write 12 for p12. Shown: p11.")
        at = "11"
    step = one("step", "0")
    if step not in map(str, range(STEPS + 1)):
        notices.append(f"The link asks for step {_quote(step)}; steps run from 1 to {STEPS}. None is opened.")
        step = "0"
    return Settings(model, inputs, targets, (int(at[0]), int(at[1:])), units, int(step)), notices


def _rows(
    inputs: Sequence[str], targets: Sequence[str], notices: list[str]
) -> tuple[tuple[str, ...], tuple[str, ...] | None]:
    """The rows of a link: as many targets as inputs, or none at all for the shift by one."""
    if not inputs and not targets:
        return LECTURE_INPUTS, LECTURE_TARGETS
    rows = max(len(inputs), len(targets))
    if targets and len(inputs) != len(targets):
        notices.append(
            f"The link has {len(inputs)} inputs and {len(targets)} targets; what is missing is left empty."
        )
    if rows > MAX_ROWS:
        notices.append(f"The link has {rows} rows; the page shows the first {MAX_ROWS}.")
        rows = MAX_ROWS
    filled = tuple([*inputs, *[""] * rows][:rows])
    return filled, tuple([*targets, *[""] * rows][:rows]) if targets else None


def _quote(value: str) -> str:
    return repr(value if len(value) <= 30 else f"{value[:29]}…")
