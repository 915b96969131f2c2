"""What was measured of the kernels on this machine, in a file that every later process reads."""

import hashlib
import json
import os
import platform
from collections.abc import Iterable, Mapping
from contextlib import suppress
from functools import cache
from pathlib import Path
from typing import Any

import torch
from filelock import FileLock

from gptloss.models.downloads import store
from gptloss.models.fast import measure
from gptloss.models.fast.measure import Figures, figures, figures_as_json, figures_from_json
from gptloss.models.fast.shape import Shape

# Another way of measuring, another file.
RULES = 1
# What the libraries can be told of the processor; it changes digits and speeds.
TOLD = (
    "ATEN_CPU_CAPABILITY",
    "ONEDNN_MAX_CPU_ISA",
    "DNNL_MAX_CPU_ISA",
    "MKL_ENABLE_INSTRUCTIONS",
    "OPENBLAS_CORETYPE",
)
# Seconds to wait for another process that measures.
PATIENCE = 60
# What reading a missing or damaged file may raise.
UNREADABLE = (OSError, ValueError, KeyError, TypeError, AttributeError)


def measured(shapes: Iterable[Shape]) -> dict[Shape, Figures]:
    """What each kernel does with these shapes here; measured now where it was not before, and kept.

    Empty for what cannot be kept.
    """
    found = read()
    missing = [shape for shape in shapes if shape not in found]
    if not missing:
        return found
    with suppress(OSError):
        place().parent.mkdir(parents=True, exist_ok=True)
        with FileLock(place().with_suffix(".lock"), timeout=PATIENCE):
            found = read()
            for shape in missing:
                if shape not in found:  # another process may have measured it meanwhile
                    write({**found, shape: figures(shape)})
                    found = read()
    return found


@cache
def bfloat16_gain() -> float:
    """How many times as fast as in float32 this machine multiplies in bfloat16; measured once, and kept."""
    with suppress(*UNREADABLE):
        return float(json.loads(place().read_text("utf-8"))["bfloat16_gain"])
    gain = round(measure.bfloat16_gain(), 3)
    with suppress(OSError):
        place().parent.mkdir(parents=True, exist_ok=True)
        with FileLock(place().with_suffix(".lock"), timeout=PATIENCE):
            write(read(), gain)
    return gain


def again() -> dict[Shape, Figures]:
    """Measure anew what was measured before. Raises `GptlossError` if it cannot be kept."""
    shapes = list(read())
    with store.disk_errors("The choice of kernels", 0):
        place().unlink(missing_ok=True)
    return measured(shapes)


def read() -> dict[Shape, Figures]:
    """What was measured on this machine so far; nothing, if the file is damaged."""
    with suppress(*UNREADABLE):
        stored = json.loads(place().read_text("utf-8"))["products"]
        return {Shape.named(name): figures_from_json(entry) for name, entry in stored.items()}
    return {}


def write(found: Mapping[Shape, Figures], gain: float | None = None) -> None:
    """Write the file, whole or not at all; a gain of bfloat16 that is in it stays."""
    with suppress(*UNREADABLE):
        gain = gain or json.loads(place().read_text("utf-8"))["bfloat16_gain"]
    products = {str(shape): figures_as_json(entry) for shape, entry in sorted(found.items())}
    part = place().with_suffix(f".{os.getpid()}.part")
    content = {"machine": machine(), "products": products} | ({"bfloat16_gain": gain} if gain else {})
    try:
        part.write_text(json.dumps(content, indent=1) + "\n", "utf-8")
        part.replace(place())
    finally:
        part.unlink(missing_ok=True)


def place() -> Path:
    """The file for this processor and these libraries."""
    name = hashlib.sha256(json.dumps(machine(), sort_keys=True).encode()).hexdigest()[:16]
    return store.home() / "kernels" / f"{name}.json"


def machine() -> dict[str, Any]:
    """What kernels and digits depend on."""
    import numpy

    return {
        "rules": RULES,
        "processor": processor(),
        "capability": torch.backends.cpu.get_cpu_capability(),
        "torch": torch.__version__,
        "numpy": numpy.__version__,
        "told": {name: os.environ[name] for name in TOLD if name in os.environ},
    }


def processor() -> str:
    """The name of the processor."""
    with suppress(OSError):
        lines = Path("/proc/cpuinfo").read_text("utf-8", "replace").splitlines()
        return next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), "")
    return platform.processor() or platform.machine()
