"""The result of `gptloss corpus`: as JSON, and as a table to read."""

import re
import sys
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path
from typing import Any

from gptloss.cli.table import aligned
from gptloss.corpus import conventions
from gptloss.corpus.files import WHOLE
from gptloss.corpus.run import CorpusRun, Deviation
from gptloss.corpus.tally import CorpusLoss
from gptloss.numbers import counted, perplexity_text
from gptloss.provenance import weights_line


def as_json(run: CorpusRun, origin: dict[str, Any], deviation: Deviation | None, stopped: bool) -> dict[str, Any]:
    """The whole as plain data at full precision, and each part under its name; logs in nats, memory in MB.

    `origin` is the run's provenance. A part of which nothing is scored yet is None. `incomplete` is there only after
    a stop, `deviation` only for a lower precision than float32.
    """
    whole, *parts = [_part_as_json(run, part, origin["precision"]) for part in run.parts]
    result = {"command": "corpus", "model": run.model.info.as_json(), **(whole or {})}
    result |= dict(zip(run.parts[1:], parts, strict=True))
    if deviation is not None:
        result |= {"deviation": deviation.loss, "deviation_tokens": deviation.tokens}
    if stopped:
        result["incomplete"] = True
    skipped = [{"file": gone.text, "part": gone.part, "reason": gone.reason} for gone in run.skipped]
    return {**result, "files": list(_files_as_json(run)), "skipped": skipped, "provenance": origin}


def _files_as_json(run: CorpusRun) -> Iterator[dict[str, Any]]:
    for text, parts in run.files:
        numbers = {part: _numbers(sums.result(run.plan)) for part, sums in parts.items()}
        yield {"name": text.name, "bytes": text.bytes, "sha256": text.sha256, "parts": numbers}


def _numbers(result: CorpusLoss | None) -> dict[str, Any] | None:
    """The sums and means of scored tokens; None if there are none."""
    if result is None:
        return None
    return {
        "tokens_scored": result.tokens_scored,
        "words": result.words,
        "bytes": result.bytes,
        "log_likelihood": result.log_likelihood,
        "loss": result.loss,
        "perplexity": result.perplexity,
        "word_perplexity": result.word_perplexity,
        "byte_perplexity": result.byte_perplexity,
        "bits_per_byte": result.bits_per_byte,
    }


def _part_as_json(run: CorpusRun, part: str, precision: str) -> dict[str, Any] | None:
    if not run.tallies[part].tokens:
        return None
    result, seconds = run.tallies[part].snapshot(), run.seconds[part]
    return {
        **asdict(run.plan),
        **(_numbers(result) or {}),
        "loss_stderr": result.loss_stderr,
        "seconds": seconds,
        "tokens_per_second": result.tokens_scored / seconds,
        "peak_rss_mb": peak_rss_mb(),
        "precision": precision,
    }


def peak_rss_mb() -> float | None:
    """The most memory that this process has had so far, in MB of a million bytes; None where it cannot be asked."""
    if sys.platform == "win32":
        return None
    with suppress(OSError):  # Linux: what getrusage says may be of the process that started this one
        if peak := re.search(r"VmHWM:\s*(\d+) kB", Path("/proc/self/status").read_text("utf-8")):
            return int(peak[1]) * 1024 / 1e6
    import resource

    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / 1e6


def as_text(run: CorpusRun, origin: dict[str, Any], deviation: Deviation | None, stopped: bool) -> str:
    """Model, its weights and convention, then a table for each part."""
    info, count = run.model.info, run.tallies[WHOLE].tokens
    lines = [f"{info.name}: {info.parameters:,} parameters, context {info.context_length:,}"]
    lines += [weights_line(origin), conventions.sentence(run.plan)]
    if stopped:
        lines.append(f"Incomplete: stopped after {counted(count, 'token')}.")
    for part in run.apart:
        lines += ["", *_part_as_text(run, part)]
    return "\n".join([*lines, "", *aligned(list(_costs(run, origin["precision"], deviation)), left={0, 2})])


def _part_as_text(run: CorpusRun, part: str) -> list[str]:
    if not run.tallies[part].tokens:
        return [f"{part}: nothing is scored"]
    title = [] if part == WHOLE else [part]
    return [*title, *aligned(list(_lines(run.tallies[part].snapshot())), left={0, 2})]


def _lines(result: CorpusLoss) -> Iterator[tuple[str, str, str]]:
    stderr = result.loss_stderr
    windows = len(result.window_tokens)
    yield "loss", f"{result.loss:.5f}", f"nats per token, over {counted(result.tokens_scored, 'token')}"
    yield "loss_stderr", "–" if stderr is None else f"{stderr:.5f}", f"by {counted(windows, 'window')}"
    yield "perplexity", _perplexity(result, result.tokens_scored), "e^loss"
    yield (
        "word_perplexity",
        _perplexity(result, result.words),
        f"e^(nats per word), over {counted(result.words, 'word')}",
    )
    yield (
        "byte_perplexity",
        _perplexity(result, result.bytes),
        f"e^(nats per byte), over {counted(result.bytes, 'byte')}",
    )
    yield "bits_per_byte", f"{result.bits_per_byte:.4f}", "the loss in bits, over the bytes"
    yield "log_likelihood", f"{result.log_likelihood:.4f}", "nats, the sum over all tokens"


def _perplexity(result: CorpusLoss, count: int) -> str:
    return perplexity_text(-result.log_likelihood / count) if count else "–"


def _costs(run: CorpusRun, precision: str, deviation: Deviation | None) -> Iterator[tuple[str, str, str]]:
    seconds, memory = run.seconds[WHOLE], peak_rss_mb()
    if run.skipped:
        what = "text" if run.fraction is None else "part"
        all_ = counted(len(run.files) * len(run.apart), what)
        yield "skipped", f"{len(run.skipped):,}", f"of {all_}, empty or too short"
    told = ""
    if deviation is not None:
        told = (
            f"{deviation.loss:+.5f} nats per token against float32, on the first {counted(deviation.tokens, 'token')}"
        )
    yield "precision", precision, told
    yield "seconds", f"{seconds:.1f}", f"{run.tallies[WHOLE].tokens / seconds:,.0f} tokens per second"
    if memory is not None:
        yield "peak_rss_mb", f"{memory:,.0f}", "MB, the weights included"
