"""What a server allows: read from the environment once it starts, every mistake in a sentence.

GPTLOSS_PROFILE    local (the visitor sits at this machine) or hosted (strangers do)
GPTLOSS_MODELS     the models to choose from, comma-separated; without it, hosted: those of the registry
GPTLOSS_TRAINING   0 leaves visitors the recorded runs of "Training"
GPTLOSS_UPLOAD_MB  the largest file that a visitor may upload
GPTLOSS_VISIT_MB   the most that a visitor may upload in all
GPTLOSS_TEXT       the longest text that a page scores, in tokens
GPTLOSS_RUNS       the visitors whose data set runs may be at work at the same time
GPTLOSS_QUEUE      the visitors who may wait for an answer
GPTLOSS_RATE       the changes of a visitor in ten seconds that are answered without a pause
GPTLOSS_MEMORY_MB  the memory of the process that computes; only a hosted app has one, and only Linux holds it to that
"""

import os
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from typing import Literal, cast, get_args

from gptloss.errors import GptlossError
from gptloss.models import REGISTRY
from gptloss.models.names import is_free_name

Name = Literal["local", "hosted"]


@dataclass(frozen=True)
class Number:
    """A limit: its variable, what it means, its value at home and on a server, and the values it may have."""

    field: str
    variable: str
    means: str
    local: int
    hosted: int
    least: int
    most: int


NUMBERS = (
    Number("upload", "GPTLOSS_UPLOAD_MB", "the largest file, MB", 200, 2, 1, 10_000),
    Number("visit", "GPTLOSS_VISIT_MB", "all files of a visit, MB", 2_000, 20, 1, 10_000),
    Number("text", "GPTLOSS_TEXT", "the longest text that a page scores, tokens", 10_000, 10_000, 10, 100_000),
    Number("runs", "GPTLOSS_RUNS", "visitors whose data set runs are at work", 8, 4, 1, 100),
    Number("queue", "GPTLOSS_QUEUE", "visitors who may wait for an answer", 500, 500, 1, 10_000),
    Number("rate", "GPTLOSS_RATE", "changes in 10 s without a pause", 1_000, 60, 5, 1_000),
    Number("memory", "GPTLOSS_MEMORY_MB", "memory of the process that computes, MB", 0, 6_000, 0, 10_000_000),
)


@dataclass(frozen=True)
class Profile:
    """What holds: `models` is empty where all of the registry may be chosen; files and memory are in MB."""

    name: Name = "local"
    models: tuple[str, ...] = ()
    training: bool = True
    upload: int = NUMBERS[0].local
    visit: int = NUMBERS[1].local
    text: int = NUMBERS[2].local
    runs: int = NUMBERS[3].local
    queue: int = NUMBERS[4].local
    rate: int = NUMBERS[5].local
    memory: int = NUMBERS[6].local

    @property
    def lines(self) -> list[tuple[str, str, str]]:
        """(variable, value, meaning) of each, for a table."""
        free = "any model of the hub, any folder" if self.name == "local" else "the registry"
        return [
            ("GPTLOSS_PROFILE", self.name, "who opens the page"),
            ("GPTLOSS_MODELS", ",".join(self.models) or "–", f"the models to choose from; without any: {free}"),
            ("GPTLOSS_TRAINING", str(int(self.training)), "whether visitors may train"),
            *((number.variable, f"{getattr(self, number.field):,}", number.means) for number in NUMBERS),
        ]


def profile(environ: Mapping[str, str]) -> Profile:
    """The profile that these variables ask for. Raises `GptlossError` with a sentence for each mistake."""
    made, said = _read(environ)
    if said:
        raise GptlossError(" ".join(said))
    return made


@cache
def in_force() -> Profile:
    """What holds in this process. A mistaken variable counts as not set here: a server has ended for it before."""
    return _read(os.environ)[0]


def _read(environ: Mapping[str, str]) -> tuple[Profile, list[str]]:
    said: list[str] = []
    name = environ.get("GPTLOSS_PROFILE") or "local"
    if name not in get_args(Name):
        said.append(f"GPTLOSS_PROFILE is {name!r}; use {' or '.join(get_args(Name))}.")
        name = "hosted"
    made = Profile(
        cast(Name, name),
        _models(environ.get("GPTLOSS_MODELS", ""), said),
        _switch(environ.get("GPTLOSS_TRAINING", ""), said),
        **{number.field: _number(number, environ, getattr(number, name), said) for number in NUMBERS},
    )
    if not said and made.visit < made.upload:
        said.append(
            f"GPTLOSS_VISIT_MB is {made.visit}, less than one file of {made.upload} MB; use {made.upload} or more."
        )
    return made, said


def has_worker(environ: Mapping[str, str]) -> bool:
    """Whether a process of its own computes for the visitors."""
    return environ.get("GPTLOSS_PROFILE") == "hosted"


def _models(listed: str, said: list[str]) -> tuple[str, ...]:
    names = tuple(name.strip() for name in listed.split(",") if name.strip())
    said += [
        f"GPTLOSS_MODELS names {name!r}, which is no model; use {', '.join(REGISTRY)}, a folder or hf:owner/name."
        for name in names
        if name not in REGISTRY and not is_free_name(name)
    ]
    return names


def _switch(value: str, said: list[str]) -> bool:
    if value not in ("", "0", "1"):
        said.append(f"GPTLOSS_TRAINING is {value!r}; use 0 or 1.")
    return value != "0"


def _number(number: Number, environ: Mapping[str, str], default: int, said: list[str]) -> int:
    value = environ.get(number.variable, "")
    if not value:
        return default
    if not (value.isascii() and value.isdigit()) or not number.least <= int(value[:9]) <= number.most:
        said.append(f"{number.variable} is {value!r}; use a whole number from {number.least:,} to {number.most:,}.")
        return default
    return int(value)
