"""What a server allows: read from the environment once it starts, every mistake in a sentence.

GPTLOSS_PROFILE    local (the visitor sits at this machine) or hosted (strangers do)
GPTLOSS_MODELS     the models to choose from, comma-separated; without it, hosted: those of the registry
GPTLOSS_TRAINING   0 leaves visitors the recorded runs of "Training"
GPTLOSS_UPLOAD_MB  the largest file that a visitor may upload
GPTLOSS_VISIT_MB   the most that a visitor may upload in all
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal, cast, get_args

from gptloss.errors import GptlossError
from gptloss.models import REGISTRY
from gptloss.models.names import is_free_name

Name = Literal["local", "hosted"]
# (largest file, all of a visit) in MB. At home a model's zip file is loaded too.
UPLOADS: dict[Name, tuple[int, int]] = {"local": (200, 2_000), "hosted": (2, 20)}
MOST_MB = 10_000


@dataclass(frozen=True)
class Profile:
    """What holds: `models` is empty where all of the registry may be chosen; uploads are in MB."""

    name: Name = "local"
    models: tuple[str, ...] = ()
    training: bool = True
    upload: int = UPLOADS["local"][0]
    visit: int = UPLOADS["local"][1]

    @property
    def lines(self) -> list[tuple[str, str, str]]:
        """(variable, value, meaning) of each, for a table."""
        free = "any model of the hub, any folder" if self.name == "local" else "the registry"
        return [
            ("GPTLOSS_PROFILE", self.name, "who opens the page"),
            ("GPTLOSS_MODELS", ",".join(self.models) or "–", f"the models to choose from; without any: {free}"),
            ("GPTLOSS_TRAINING", str(int(self.training)), "whether visitors may train"),
            ("GPTLOSS_UPLOAD_MB", f"{self.upload:,}", "the largest file, MB"),
            ("GPTLOSS_VISIT_MB", f"{self.visit:,}", "all files of a visit, MB"),
        ]


def profile(environ: Mapping[str, str]) -> Profile:
    """The profile that these variables ask for. Raises `GptlossError` with a sentence for each mistake."""
    said: list[str] = []
    name = environ.get("GPTLOSS_PROFILE") or "local"
    if name not in get_args(Name):
        said.append(f"GPTLOSS_PROFILE is {name!r}; use {' or '.join(get_args(Name))}.")
        name = "hosted"
    largest, in_all = UPLOADS[cast(Name, name)]
    made = Profile(
        cast(Name, name),
        _models(environ.get("GPTLOSS_MODELS", ""), said),
        _switch(environ.get("GPTLOSS_TRAINING", ""), said),
        _megabytes("GPTLOSS_UPLOAD_MB", environ, largest, said),
        _megabytes("GPTLOSS_VISIT_MB", environ, in_all, said),
    )
    if not said and made.visit < made.upload:
        said.append(
            f"GPTLOSS_VISIT_MB is {made.visit}, less than one file of {made.upload} MB; use {made.upload} or more."
        )
    if said:
        raise GptlossError(" ".join(said))
    return made


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


def _megabytes(variable: str, environ: Mapping[str, str], default: int, said: list[str]) -> int:
    value = environ.get(variable, "")
    if not value:
        return default
    if not (value.isascii() and value.isdigit()) or not 1 <= int(value[:9]) <= MOST_MB:
        said.append(f"{variable} is {value!r}; use a whole number of MB from 1 to {MOST_MB:,}.")
        return default
    return int(value)
