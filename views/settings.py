"""Settings: everything a link carries. Pure Python; the address bar and the session both speak it."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, cast, get_args
from urllib.parse import urlencode

from gptloss.models import DEFAULT_MODEL, REGISTRY
from gptloss.numbers import Units

MAX_ROWS = 8
STEPS = 7
# Longer links are cut by servers and chat programs, so a longer text stays out of the address bar.
LINK_LIMIT = 8_000  # characters of the encoded query; one emoji is twelve

MOST_MODELS = 4

LECTURE_INPUTS = ("every effort moves", "I really like")
LECTURE_TARGETS = (" effort moves you", " really like chocolate")


# Compare opens with a plain paragraph under the lecture's sentences, or with two texts of which one is odd.
PARAGRAPH = (
    "Water covers most of the earth. When the sun warms the sea, some of the water turns into vapor and rises into"
    " the air. High above the ground it cools and forms clouds, and when the clouds grow heavy the water falls back"
    " to the ground as rain."
)
PAIR = (
    "She poured hot water over the tea leaves and waited for five minutes.",
    "She poured hot water over the car keys and waited for five minutes.",
)

Comparing = Literal["models", "texts"]
# What a reading depends on: the model, the inputs, the targets, and whether there is a start token.
Asked = tuple[str, tuple[str, ...], tuple[str, ...] | None, bool]


@dataclass(frozen=True)
class Settings:
    """The state of a visit. `targets=None` means: the inputs shifted by one token.

    `at` is the chosen (i, j), `step` the step that is explained, 0 for none; with `bos` each row starts with the
    model's start token, if it has one. On the page Compare, `model` stands beside the models `others` on `texts`
    (None: the rows and a paragraph), or reads the two texts of `pair`; `comparing` says which, and `spot` is the
    chosen (line, token) there (None: the last line, where the runs differ most).
    """

    model: str = DEFAULT_MODEL
    inputs: tuple[str, ...] = LECTURE_INPUTS
    targets: tuple[str, ...] | None = LECTURE_TARGETS
    at: tuple[int, int] = (1, 1)
    units: Units = "nats"
    step: int = 0
    bos: bool = False
    others: tuple[str, ...] = ("smollm2-135m",)
    texts: tuple[str, ...] | None = None
    pair: tuple[str, str] = PAIR
    comparing: Comparing = "models"
    spot: tuple[int, int] | None = None

    @property
    def asked(self) -> Asked:
        """What the model is to read; other fields only say how it is shown."""
        return self.model, self.inputs, self.targets, self.bos

    @property
    def text_fits_link(self) -> bool:
        """Whether all texts are short enough to travel in a link."""
        texts = {"input": self.inputs, "target": self.targets or (), "text": self.texts or (), "pair": self.pair}
        return len(urlencode(texts, doseq=True)) <= LINK_LIMIT

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
        if self.spot is not None:
            query["spot"] = f"{self.spot[0]}{self.spot[1]}"
        if self.units != first.units:
            query["units"] = self.units
        if self.step != first.step:
            query["step"] = str(self.step)
        if self.bos:
            query["bos"] = "1"
        if self.others != first.others:
            query["with"] = list(self.others) or [""]
        if self.texts is not None and self.text_fits_link:
            query["text"] = list(self.texts)
        if self.pair != first.pair and self.text_fits_link:
            query["pair"] = list(self.pair)
        if self.comparing != first.comparing:
            query["compare"] = self.comparing
        return query


def from_query(
    query: Mapping[str, Sequence[str]], models: Sequence[str] = tuple(REGISTRY), any_model: bool = False
) -> tuple[Settings, list[str]]:
    """The settings a link asks for, and a sentence for each value that was no good.

    `models` are those a link may name; with `any_model` also a folder and `hf:owner/name`. A bad value falls back
    to its default alone; all others hold.
    """
    notices: list[str] = []
    first = Settings()
    inputs, targets = _rows(query.get("input", ()), query.get("target", ()), notices)

    def one(name: str, default: str) -> str:
        values = query.get(name, ())
        if len(values) > 1:
            notices.append(f"The link names {name!r} {len(values)} times; the last one counts.")
        return values[-1] if values else default

    def known(model: str) -> bool:
        if model in models or (any_model and is_free_name(model)):
            return True
        notices.append(f"There is no model called {_quote(model)} here. Models: {', '.join(models)}.")
        return False

    def choice(name: str, default: str, allowed: Sequence[str]) -> str:
        value = one(name, default)
        if value in allowed:
            return value
        notices.append(f"The link asks for {name} {_quote(value)}; use {' or '.join(allowed)}. Shown: {default}.")
        return default

    model = one("model", first.model)
    others = first.others
    if "with" in query:
        named = [name for name in query["with"] if name]  # `with=` alone: no other model
        others = tuple(dict.fromkeys(filter(known, named)))
        if named and not others:
            others = first.others
    if len(others) >= MOST_MODELS:
        notices.append(f"The link compares with {len(others)} models; {MOST_MODELS - 1} fit beside the first.")

    def position(name: str) -> tuple[int, int] | None:
        value = one(name, "")
        if re.fullmatch(rf"[1-{MAX_ROWS}][1-9][0-9]{{0,4}}", value, re.ASCII):
            return int(value[0]), int(value[1:])
        if value or name in query:
            notices.append(f"The link chooses the position {_quote(value)}; write 12 for p12. Shown: p11.")
        return None

    step = one("step", "0")
    if step not in map(str, range(STEPS + 1)):
        notices.append(f"The link asks for step {_quote(step)}; steps run from 1 to {STEPS}. None is opened.")
        step = "0"
    texts = tuple(query.get("text", ()))
    if len(texts) > MAX_ROWS:
        notices.append(f"The link has {len(texts)} texts to compare; the page shows the first {MAX_ROWS}.")
    pair = tuple(query.get("pair", first.pair))
    if len(pair) != 2:
        notices.append(f"The link has {len(pair)} texts for a pair; two are needed. The page shows its own.")
        pair = first.pair
    return Settings(
        model=model if known(model) else first.model,
        inputs=inputs,
        targets=targets,
        at=position("at") or first.at,
        spot=position("spot"),
        units=cast(Units, choice("units", first.units, get_args(Units))),
        step=int(step),
        bos=choice("bos", "0", ("0", "1")) == "1",
        others=others[: MOST_MODELS - 1],
        texts=texts[:MAX_ROWS] or None,
        pair=(pair[0], pair[1]),
        comparing=cast(Comparing, choice("compare", first.comparing, get_args(Comparing))),
    ), notices


def joined(given: str, target: str) -> str:
    """An input and what its target has after it; the input alone if the target does not overlap it."""
    for start in range(1, len(given)):
        if target.startswith(given[start:]):
            return given + target[len(given) - start :]
    return given


def is_free_name(model: str) -> bool:
    """Whether this names a folder or a model of the Hugging Face hub, rather than one of the list.

    Never a folder of another machine: a link to it would make this one call there.
    """
    return not model.startswith(("//", "\\\\")) and (model.startswith("hf:") or "/" in model or "\\" in model)


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
