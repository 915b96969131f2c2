"""Options of every command that scores: `--model`, and how it computes: `--kernel`, `--threads`, `--precision`."""

import argparse
import os
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from gptloss.errors import GptlossError
from gptloss.models import DEFAULT_MODEL, DType, load_model

if TYPE_CHECKING:
    from gptloss.models import LanguageModel

EXACT = ("float32", "float64")
PRECISIONS = (*EXACT, "bfloat16")


def add_compute(parser: argparse.ArgumentParser, precisions: Sequence[str] = EXACT) -> None:
    """Add the three options; `precisions` are those that the command can have."""
    parser.add_argument(
        "--kernel",
        metavar="NAME",
        help="what multiplies matrices: torch, onednn, packed or openblas; default: the quickest for each shape that"
        " is as exact, measured once on this machine (see gptloss doctor)",
    )
    parser.add_argument("--threads", type=int, metavar="N", help="compute on N threads; default: PyTorch's choice")
    lower = "; bfloat16 can be quicker and is less exact, by the deviation that is printed"
    parser.add_argument(
        "--precision",
        choices=precisions,
        default="float32",
        help="float64 is the reference, at twice the memory and time"
        f"{lower if 'bfloat16' in precisions else ''}; default: %(default)s",
    )


def use_compute(kernel: str | None, threads: int | None) -> None:
    """Make this process compute as the options say. Raises `GptlossError` for what it cannot do."""
    if kernel is not None:
        from gptloss.models.fast import plan

        os.environ[plan.VARIABLE] = plan.checked(kernel)
    if threads is not None:
        most = os.cpu_count() or 1
        if not 1 <= threads <= most:
            raise GptlossError(f"--threads is {threads}; use 1 to {most}, the processors of this machine.")
        use_threads(threads)


def use_threads(count: int) -> None:
    """Make PyTorch compute on this many threads."""
    import torch

    torch.set_num_threads(count)


def load(options: argparse.Namespace) -> "LanguageModel":
    """Set the process to compute as the options say, and load their model. Raises `GptlossError`."""
    use_compute(options.kernel, options.threads)
    dtype: DType = "float64" if options.precision == "float64" else "float32"
    return load_model(options.model, dtype=dtype, start_token=options.start_token)


def add_start_token(
    parser: argparse.ArgumentParser, help: str, bos: type[argparse.Action] | str = "store_true"
) -> None:
    """Add `--bos`, which `help` explains, and `--start-token ID`, which switches it on with a token of one's own."""
    parser.add_argument("--bos", action=bos, help=help)
    parser.add_argument(
        "--start-token",
        type=int,
        action=_StartToken,
        metavar="ID",
        help="--bos with this token instead of the model's; lm-evaluation-harness takes 1 for smollm2-135m",
    )


class _StartToken(argparse.Action):
    """Keeps the id, and switches `--bos` on."""

    def __call__(
        self, parser: argparse.ArgumentParser, namespace: argparse.Namespace, values: Any, option: str | None = None
    ) -> None:
        namespace.start_token, namespace.bos = values, True


def add_model(parser: argparse.ArgumentParser) -> None:
    """Add `--model NAME`, which every command that scores has."""
    parser.add_argument(
        "--model",
        default=DEFAULT_MODEL,
        metavar="NAME",
        help="a name, a folder or hf:owner/name; default: %(default)s",
    )
