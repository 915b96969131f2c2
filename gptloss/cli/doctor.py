"""`gptloss doctor`: says what this machine is, how it computes, and which models are on it."""

import argparse
import json
import os
import platform
import sys
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gptloss import __version__, models
from gptloss.cli.table import aligned
from gptloss.models import REGISTRY
from gptloss.models.checkpoints import weights
from gptloss.models.downloads import hub, store

if TYPE_CHECKING:
    from gptloss.models.fast.measure import Figures
    from gptloss.models.fast.shape import Shape

PACKAGES = (
    "torch",
    "numpy",
    "transformers",
    "tokenizers",
    "tiktoken",
    "safetensors",
    "streamlit",
    "plotly",
    "pandas",
)
# The matrices of the lecture's model, which are measured if nothing was.
LECTURE = ((768, 768), (768, 3072), (3072, 768), (768, 50_257))


def add_parser(commands: Any) -> None:
    """Add `doctor` to the command line."""
    parser = commands.add_parser("doctor", help="this machine: processor, kernels, threads, versions, models, memory")
    parser.add_argument("--measure", action="store_true", help="measure the kernels anew; last digits may change")
    parser.add_argument("--json", action="store_true", help="one JSON object; sizes in bytes, speeds in GFLOP/s")
    parser.set_defaults(run=_doctor)


def version_text() -> str:
    """`gptloss 0.4.0`, and the versions of what it uses."""
    return f"gptloss {__version__} (PyTorch {_version('torch')}, Python {platform.python_version()})"


def _version(package: str) -> str | None:
    """What is installed; None if it is not."""
    try:
        return version(package)
    except PackageNotFoundError:
        return None


def _doctor(options: argparse.Namespace) -> str:
    from gptloss.models.fast import plan, record
    from gptloss.models.fast.shape import Shape

    plan.told()
    found = record.again() if options.measure else {}
    found = found or record.read() or record.measured([Shape(d, e) for d, e in LECTURE])
    facts = as_json(found)
    return json.dumps(facts) if options.json else as_text(facts)


def as_json(found: "dict[Shape, Figures]") -> dict[str, Any]:
    """All facts as plain data."""
    import torch

    from gptloss.models.fast import plan, record

    return {
        "command": "doctor",
        "gptloss": __version__,
        "python": platform.python_version(),
        "packages": {name: _version(name) for name in PACKAGES},
        "processor": record.processor(),
        "cores": os.cpu_count(),
        "capability": torch.backends.cpu.get_cpu_capability(),
        "bfloat16_gain": record.bfloat16_gain(),
        "threads": torch.get_num_threads(),
        "memory_free": weights.free_memory(),
        "folders": {"gptloss": _folder(store.home()), "hub": _folder(hub.cache())},
        "models": [entry.info.name for entry in (*REGISTRY.values(), *models.pulled()) if entry.here()],
        "kernel_asked": plan.told(),
        "kernel_file": str(record.place()),
        "kernels": [row for shape, figures in sorted(found.items()) for row in _rows(shape, figures)],
    }


def _folder(path: Path) -> dict[str, Any]:
    return {"path": str(path), "free": store.free_space(path)}


def _rows(shape: "Shape", figures: "Figures") -> list[dict[str, Any]]:
    """A line for each number of rows: speeds, errors, and what is chosen."""
    from gptloss.models.fast import plan

    plain, packed = plan.choose(figures, pack=False), plan.choose(figures, pack=True)
    rows = []
    for size in figures["torch"]:
        chosen = next((kernel for start, kernel in reversed(plain) if size >= start), "torch")
        rows.append(
            {
                "shape": str(shape),
                "rows": size,
                "gflops": {kernel: round(sizes[size].speed / 1e9, 1) for kernel, sizes in figures.items()},
                "error": {kernel: sizes[size].error for kernel, sizes in figures.items()},
                "chosen": chosen,
                "chosen_for_long_texts": "packed" if packed == plan.PACKED else chosen,
            }
        )
    return rows


def as_text(facts: dict[str, Any]) -> str:
    """The same as a table to read."""
    packages = ", ".join(f"{name} {found}" for name, found in facts["packages"].items() if found)
    lines = [
        ("version", f"gptloss {facts['gptloss']}, Python {facts['python']}, {sys.platform}"),
        ("packages", packages),
        ("processor", f"{facts['processor']}: {facts['cores']} cores, {facts['capability']}"),
        ("bfloat16", f"{facts['bfloat16_gain']:.2f} times as fast as float32"),
        ("threads", f"{facts['threads']} (--threads N)"),
        ("memory", f"{store.size_text(facts['memory_free'])} free"),
        *((f"{name} cache", _place_text(folder)) for name, folder in facts["folders"].items()),
        ("models", ", ".join(facts["models"])),
        (
            "kernel",
            f"{facts['kernel_asked']} for every matrix" if facts["kernel_asked"] else "the quickest of these:",
        ),
    ]
    return "\n".join([*aligned(lines, left={0, 1}), "", *_kernels_as_text(facts["kernels"])])


def _place_text(folder: dict[str, Any]) -> str:
    return f"{folder['path']} ({store.size_text(folder['free'])} free)"


def _kernels_as_text(rows: list[dict[str, Any]]) -> list[str]:
    """A table: GFLOP/s of each kernel, the error of what is chosen and of F.linear, and the gain."""
    if not rows:
        return ["The kernels cannot be measured, because nothing can be kept in the cache folder: torch is used."]
    names = list(rows[0]["gflops"])
    head = ("matrix", "rows", *names, "chosen", "gain", "for long texts", "gain", "error")
    table = [
        (
            row["shape"],
            str(row["rows"]),
            *(f"{row['gflops'][name]:.0f}" for name in names),
            row["chosen"],
            _gain(row, row["chosen"]),
            row["chosen_for_long_texts"],
            _gain(row, row["chosen_for_long_texts"]),
            f"{row['error'][row['chosen']]:.1e} (torch {row['error']['torch']:.1e})",
        )
        for row in rows
    ]
    note = (
        "GFLOP/s on one thread. A gain is over torch, which is PyTorch's own choice; the error is that of a product,"
        " root mean square, of numbers of size 1, against float64."
    )
    return [*aligned([head, *table], left={0, len(names) + 2, len(names) + 4}), "", note]


def _gain(row: dict[str, Any], kernel: str) -> str:
    return "–" if kernel == "torch" else f"{row['gflops'][kernel] / row['gflops']['torch']:.2f}x"
