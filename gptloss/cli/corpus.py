"""`gptloss corpus`: the loss of whole texts of any length, under a convention that the output names."""

import argparse
import json
import shutil
import signal
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, nullcontext
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tqdm import tqdm

from gptloss.cli.options import PRECISIONS, add_compute, add_model, add_start_token, load, use_threads
from gptloss.corpus import conventions
from gptloss.corpus.conventions import CONVENTIONS
from gptloss.corpus.outputs import alone, check_apart
from gptloss.corpus.text import check_fraction, line_ends_sentence, pieces_of
from gptloss.errors import GptlossError
from gptloss.provenance import provenance

if TYPE_CHECKING:
    from gptloss.corpus.conventions import Plan
    from gptloss.corpus.files import Text
    from gptloss.corpus.parquet import PerToken
    from gptloss.corpus.run import CorpusRun, Deviation
    from gptloss.models import LanguageModel
    from gptloss.models.fast.plan import Kernels

WORDS = (
    "A word is what stands between blanks. lm-evaluation-harness counts one word more for blanks at the beginning of"
    " a text and one more for blanks at its end, so that its word_perplexity of such a text is a little lower."
)


def add_parser(commands: Any) -> None:
    """Add `corpus FILE...` to the command line."""
    parser = commands.add_parser("corpus", help="loss and perplexity of whole texts, of any length", epilog=WORDS)
    parser.add_argument("files", nargs="+", metavar="FILE", help="a text file in UTF-8; - reads standard input")
    add_model(parser)
    parser.add_argument(
        "--convention",
        choices=CONVENTIONS,
        default="rolling",
        help="which tokens count: book (whole windows, the rest is dropped), rolling (each token once, as"
        " lm-evaluation-harness; the default: it leaves nothing out, and others publish the same number) or strided"
        " (each token once with more before it, as the guide of transformers)",
    )
    parser.add_argument(
        "--window", type=int, metavar="N", help="tokens that are read at once; default: the model's context"
    )
    parser.add_argument(
        "--stride", type=int, metavar="N", help="strided: tokens from a window to the next; default: half a window"
    )
    add_start_token(
        parser,
        "read the model's start token first; default: with rolling, if the model has one",
        argparse.BooleanOptionalAction,
    )
    parser.add_argument(
        "--split",
        type=float,
        metavar="F",
        help="score the first part of each text, 0.9 of its characters for example, and the rest apart",
    )
    add_compute(parser, PRECISIONS)
    parser.add_argument("--per-token", metavar="FILE", help="write each scored token to a Parquet file; logs in nats")
    parser.add_argument(
        "--overwrite", action="store_true", help="let --per-token replace a file that is not of its kind"
    )
    parser.add_argument("--resume", metavar="LOG", help="keep what is scored in a file, or go on from what is in it")
    parser.add_argument("--json", action="store_true", help="one JSON object at full precision; logs in nats")
    parser.set_defaults(run=_corpus)


def _corpus(options: argparse.Namespace) -> Iterator[str]:
    """Score the texts and give the printed result; after Ctrl-C, what is known so far."""
    with ExitStack() as stack:
        _check_outputs(options)
        texts = [_text(file, stack) for file in options.files]
        _tell_line_ends(texts)
        per_token = _per_token(options, stack)
        if options.split is not None:
            check_fraction(options.split)
        model, kernels = _loaded(options)
        plan = conventions.plan(options.convention, model.info, options.window, options.stride, options.bos)
        model, deviation = _in_precision(model, options, kernels, texts, plan)
        origin = provenance(model, **asdict(plan), precision=options.precision)
        if per_token:
            per_token.describe(origin)
        run = _run(model, plan, options, texts, per_token, stack)
        stopped = _score(run, texts)
    for skipped in run.skipped:
        print(f"gptloss: {skipped.sentence}", file=sys.stderr)
    return _told(run, options.json, origin, deviation, stopped)


def _text(file: str, stack: ExitStack) -> "Text":
    """A file that can be read more than once; standard input and pipes are kept in one first."""
    from gptloss.corpus.files import Text

    if file != "-" and not _is_pipe(file):
        next(pieces_of(Path(file)), None)
        return Text.of(file, Path(file))
    name = "Standard input" if file == "-" else file
    kept = Path(stack.enter_context(tempfile.TemporaryDirectory())) / "text"
    try:
        with kept.open("wb") as copy, nullcontext(sys.stdin.buffer) if file == "-" else open(file, "rb") as source:
            shutil.copyfileobj(source, copy)
    except OSError as error:
        raise GptlossError(f"{name} cannot be kept ({error.strerror or error}); save it as a file first.") from None
    return Text.of(name, kept)


def _tell_line_ends(texts: "Sequence[Text]") -> None:
    """Say which texts have CRLF. That reads every text once, so bad files are reported before a model is loaded."""
    for text in texts:
        if sentence := line_ends_sentence(pieces_of(text.path, text.name), text.name):
            print(f"gptloss: {sentence}", file=sys.stderr)


def _is_pipe(file: str) -> bool:
    try:
        return Path(file).is_fifo() or Path(file).is_char_device()
    except (OSError, ValueError):
        return False


def _loaded(options: argparse.Namespace) -> "tuple[LanguageModel, Kernels | None]":
    """The model, and the kernels that it must use: a resumed run computes as it began."""
    from gptloss.corpus.log import computed
    from gptloss.models.fast import plan

    before = computed(Path(options.resume)) if options.resume else None
    model = load(options)
    if before and options.threads is None:
        use_threads(before.threads)
    return model, before.kernels if before and plan.told() is None else None


def _in_precision(
    model: "LanguageModel",
    options: argparse.Namespace,
    kernels: "Kernels | None",
    texts: "Sequence[Text]",
    plan: "Plan",
) -> "tuple[LanguageModel, Deviation | None]":
    """The model that scores, and what its precision does to the loss."""
    from gptloss.corpus.precision import in_precision
    from gptloss.corpus.run import deviation

    scorer = in_precision(model, options.precision, kernels)
    lower = options.precision == "bfloat16"
    if lower:
        _warn_if_slow()
    return scorer, deviation(model, scorer, texts, plan, options.split) if lower else None


def _warn_if_slow() -> None:
    from gptloss.models.fast.record import bfloat16_gain

    if (gain := bfloat16_gain()) < 1:
        print(
            f"gptloss: This processor multiplies {1 / gain:.1f} times slower in bfloat16 than in float32; leave"
            " --precision out to be quick and exact.",
            file=sys.stderr,
        )


def _check_outputs(options: argparse.Namespace) -> None:
    """Raise `GptlossError` if the log or the Parquet file is a text to score, or if they are one file."""
    from gptloss.corpus.parquet import unfinished

    texts = [Path("/dev/stdin" if file == "-" else file) for file in options.files]
    outputs = [("--resume", Path(options.resume))] if options.resume else []
    if options.per_token:
        path = Path(options.per_token)
        outputs += [("--per-token", file) for file in (path, *([unfinished(path)] if path.name else []))]
    check_apart(texts, outputs)


def _per_token(options: argparse.Namespace, stack: ExitStack) -> "PerToken | None":
    """Open the Parquet file, and keep other runs from writing the log."""
    from gptloss.corpus.parquet import PerToken

    if options.resume:
        stack.enter_context(alone(Path(options.resume)))
    if not options.per_token:
        return None
    exact = options.precision == "float64"
    return stack.enter_context(PerToken(Path(options.per_token), options.overwrite, exact))


def _run(
    model: "LanguageModel",
    plan: "Plan",
    options: argparse.Namespace,
    texts: "Sequence[Text]",
    per_token: "PerToken | None",
    stack: ExitStack,
) -> "CorpusRun":
    from gptloss.corpus.log import Log, run_of
    from gptloss.corpus.run import CorpusRun

    log = None
    if options.resume:
        same = run_of(model, plan, options.precision, options.split, [text.path for text in texts])
        log = stack.enter_context(Log(Path(options.resume), same))
    return CorpusRun(model, plan, options.split, log, per_token)


def _score(run: "CorpusRun", texts: "Sequence[Text]") -> bool:
    """Score until the end or until Ctrl-C. Returns whether it was stopped.

    Raises `KeyboardInterrupt` if nothing is known yet.
    """
    total = sum(text.bytes for text in texts)
    # `disable=None`: no bar where nobody is watching
    with (
        _Stop() as stop,
        tqdm(total=total, desc="Scoring", unit="B", unit_scale=True, file=sys.stderr, disable=None) as bar,
    ):
        for size in run.score(texts):
            bar.set_postfix_str(f"loss {run.loss:.4f}", refresh=False)
            bar.update(size)
            if stop.asked:
                return True
    return False


class _Stop:
    """Ctrl-C or SIGTERM in this block asks to stop after the forward pass that runs; once more stops at once."""

    def __init__(self) -> None:
        self.asked = False

    def __enter__(self) -> "_Stop":
        self._before = {number: signal.signal(number, self._ask) for number in (signal.SIGINT, signal.SIGTERM)}
        return self

    def _ask(self, *_: object) -> None:
        self.asked = True
        for number in self._before:
            signal.signal(number, signal.default_int_handler)

    def __exit__(self, *_: object) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)


def _told(
    run: "CorpusRun", as_data: bool, origin: dict[str, Any], deviation: "Deviation | None", stopped: bool
) -> Iterator[str]:
    """Give the result, then pass a stop on to `main`."""
    from gptloss.cli.corpus_output import as_json, as_text

    if as_data:
        yield json.dumps(as_json(run, origin, deviation, stopped), allow_nan=False)
    else:
        yield as_text(run, origin, deviation, stopped)
    if stopped:
        raise KeyboardInterrupt
