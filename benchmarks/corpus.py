"""A whole job side by side with its peers: the log-likelihood of the same text, 4,000 tokens of GPT-2's.

    .venv/bin/python benchmarks/corpus.py [--long] [--rounds N]

The peers go into an environment of their own under the cache folder, with the PyTorch of requirements.txt. The models
are a GPT-2 124M with random weights in transformers' format, and SmolLM2 135M, if it is here. Every scorer is a
process that has its model ready; they run in turn. First on one thread, where CPU seconds count, because other
programs do not count in them; then ours and lm-evaluation-harness on all cores, where the seconds that pass count.
Float64 is the reference of the sums. What is not here, or takes too long, is left out, and a line says so.

Then a file of 1 and of 10 million characters is scored, and its peak memory taken: with the byte bigram, and with
--long by a small GPT-2 too, which takes half an hour. Writes benchmarks/results/corpus.json.
"""

import json
import math
import os
import select
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parent.parent
sys.path[:0] = [str(ROOT), str(ROOT / "benchmarks")]

from peers import JOBS  # noqa: E402
from platformdirs import user_cache_path  # noqa: E402

TOKENS, ROUNDS = 4_000, 3
# Seconds that one run of a scorer may take, and after which no other round of a race is begun.
PATIENCE, BUDGET = 300, 240
LM_EVAL, REFERENCE = "lm-evaluation-harness", "ours, rolling, float64"
# A bfloat16 that is slower than float32 by more than this is not waited for.
SLOW = 0.5
RESULTS = Path(__file__).parent / "results" / "corpus.json"
STORY = ROOT / "gptloss" / "data" / "island.txt"
PEERS = {LM_EVAL: ("lm-eval==0.4.13",), "minicons": ("minicons==0.3.39",)}
# What is measured against what, and the target of the ratio of their speeds.
RATIOS = {
    ("ours, rolling", LM_EVAL): 1.3,
    ("ours, book 256", "the book, 256"): 1.5,
    ("ours, strided 512", "transformers, strided 512"): None,
    ("ours, rolling", "minicons"): None,
    ("ours, rolling, bfloat16", LM_EVAL): 2.5,
}
# The two that find the same log-likelihood but for what float32 does to each.
SAME = (
    ("ours, rolling", REFERENCE),
    (LM_EVAL, REFERENCE),
    ("ours, rolling", LM_EVAL),
    ("ours, book 256", "the book, 256"),
    ("ours, strided 512", "transformers, strided 512"),
)
# What reads SmolLM2, and what runs on all cores.
TRAINED = ("ours, rolling", LM_EVAL, "ours, rolling, bfloat16", REFERENCE)
ALL_CORES = ("ours, rolling", LM_EVAL)

MAKE = """
import sys, torch
from transformers import GPT2Config, GPT2LMHeadModel
torch.manual_seed(0)
GPT2LMHeadModel(GPT2Config(n_layer=int(sys.argv[2]), n_embd=int(sys.argv[3]))).save_pretrained(sys.argv[1])
"""

LONG = """
import sys, time, torch
from pathlib import Path
from peers import peak_mb
torch.set_num_threads(1)
from gptloss import load_model
from gptloss.corpus import conventions
from gptloss.corpus.scoring import scored_windows
from gptloss.corpus.tally import Tally
from gptloss.corpus.text import pieces_of
model = load_model(sys.argv[1])
plan = conventions.plan("rolling", model.info)
tally, start = Tally(plan), time.process_time()
for scored in scored_windows(model, pieces_of(Path(sys.argv[2])), plan):
    tally.add(scored)
print(tally.tokens, time.process_time() - start, peak_mb())
"""


def environment() -> Path:
    """The python of the peers, with the PyTorch and the transformers of requirements.txt."""
    folder = user_cache_path("gptloss") / "benchmarks" / "peers"
    python = folder / "bin" / "python"
    if not python.exists():
        subprocess.run([sys.executable, "-m", "venv", folder], check=True)
    wanted = (ROOT / "requirements.txt").read_text().split()
    pinned = [
        line for line in wanted if line.startswith(("torch==", "transformers==", "tokenizers==", "safetensors=="))
    ]
    install(python, *pinned)
    return python


def install(python: Path, *packages: str) -> str:
    """Why it could not be installed, in a line; nothing if it is there now."""
    command = [python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", *packages]
    run = subprocess.run(command, capture_output=True, text=True)
    said = [line for line in run.stderr.splitlines() if line.startswith("ERROR")]
    return "" if run.returncode == 0 else (said or ["pip failed"])[0]


def checkpoint(folder: Path, layers: int = 12, width: int = 768) -> Path:
    """A GPT-2 with seeded random weights, with its tokenizer, as transformers saves them."""
    import logging

    from tiktoken.load import load_tiktoken_bpe
    from tokenizers.pre_tokenizers import ByteLevel
    from transformers import PreTrainedTokenizerFast
    from transformers.convert_slow_tokenizer import TikTokenConverter

    logging.disable(logging.WARNING)
    subprocess.run([sys.executable, "-c", MAKE, folder, str(layers), str(width)], check=True, capture_output=True)
    end = "<|endoftext|>"
    ranks = load_tiktoken_bpe(str(ROOT / "gptloss" / "data" / "gpt2.tiktoken"))
    converter = TikTokenConverter(vocab_file="", extra_special_tokens=[end])
    converter.load_tiktoken_bpe = lambda _: ranks
    converted = converter.converted()
    converted.pre_tokenizer = ByteLevel(add_prefix_space=False)
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=converted, bos_token=end, eos_token=end)
    tokenizer.save_pretrained(folder)
    return folder


@contextmanager
def worker(python: str | Path, name: str, folder: Path, text: Path, threads: int) -> Iterator[subprocess.Popen[str]]:
    """A scorer that waits for its turn; it is gone when the block ends."""
    command = [str(python), str(ROOT / "benchmarks" / "peers.py"), name, str(folder), str(text), str(threads)]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.DEVNULL}
    with subprocess.Popen(command, text=True, env=os.environ | {"OMP_NUM_THREADS": str(threads)}, **pipes) as process:
        try:
            yield process
        finally:
            process.kill()


def ask(process: subprocess.Popen[str]) -> dict[str, float]:
    """One run of a scorer. Raises `EOFError` if it has failed, and `TimeoutError`."""
    assert process.stdin is not None
    assert process.stdout is not None
    process.stdin.write("\n")
    process.stdin.flush()
    end = time.monotonic() + PATIENCE
    while select.select([process.stdout], [], [], max(0, end - time.monotonic()))[0]:
        line = process.stdout.readline()
        if line.startswith("ANSWER "):
            return dict(json.loads(line.removeprefix("ANSWER ")))
        if not line:
            raise EOFError("failed")
    raise TimeoutError(f"took more than {PATIENCE} seconds")


def race(
    pythons: dict[str, str | Path], folder: Path, text: Path, rounds: int, threads: int = 1
) -> dict[str, dict[str, float]]:
    """All scorers in turn, several rounds; medians."""
    answers: dict[str, list[dict[str, float]]] = {name: [] for name in pythons}
    begun = time.monotonic()
    with ExitStack() as stack:
        running = {n: stack.enter_context(worker(python, n, folder, text, threads)) for n, python in pythons.items()}
        for number in range(rounds):
            if number and time.monotonic() - begun > BUDGET:
                print(f"{rounds - number} of {rounds} rounds are left out: they would take too long here.")
                break
            for name, process in list(running.items()):
                try:
                    answers[name].append(ask(process))
                except (EOFError, OSError) as error:
                    print(f"{name} {error if str(error) else 'failed'}, and is left out.")
                    del running[name]
                if name == REFERENCE:
                    running.pop(name, None)  # its sum is the same each time
    return {name: _median(found) for name, found in answers.items() if found}


def _median(answers: list[dict[str, float]]) -> dict[str, float]:
    seconds = statistics.median(answer["seconds"] for answer in answers)
    return answers[-1] | {"seconds": seconds, "tokens_per_second": answers[-1]["tokens"] / seconds}


def compare(found: dict[str, dict[str, float]]) -> dict[str, dict[str, Any]]:
    """Ratios of speeds with their targets, and relative differences of log-likelihoods."""
    ratios, same = {}, {}
    for (a, b), target in RATIOS.items():
        if a in found and b in found:
            ratio = found[a]["tokens_per_second"] / found[b]["tokens_per_second"]
            ratios[f"{a} / {b}"] = {"ratio": ratio, "target": target}
    for a, b in SAME:
        if a in found and b in found:
            same[f"{a} = {b}"] = abs(found[a]["log_likelihood"] / found[b]["log_likelihood"] - 1)
    return {"ratios": ratios, "same": same}


def long_file(model: str, folder: Path) -> dict[str, dict[str, float]]:
    """Tokens, CPU seconds and peak megabytes for 1 and for 10 million characters."""
    story, results = STORY.read_text("utf-8"), {}
    for characters in (1_000_000, 10_000_000):
        file = folder / "long.txt"
        file.write_text((story * (1 + characters // len(story)))[:characters], "utf-8")
        run = subprocess.run(
            [sys.executable, "-c", LONG, model, file],
            capture_output=True,
            text=True,
            check=True,
            env=os.environ | {"PYTHONPATH": f"{ROOT}{os.pathsep}{ROOT / 'benchmarks'}"},
        )
        tokens, seconds, peak = map(float, run.stdout.split())
        results[f"{characters:,}"] = {"tokens": tokens, "seconds": seconds, "peak_mb": peak}
        print(
            f"{Path(model).name}, {characters:>10,} characters: {tokens:,.0f} tokens, {seconds:.0f} s, {peak:.0f} MB"
        )
    return results


def main() -> None:
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that no scorer outlives this process
    rounds = int(sys.argv[sys.argv.index("--rounds") + 1]) if "--rounds" in sys.argv else ROUNDS
    pythons = scorers()
    result: dict[str, Any] = {"machine": machine(), "rounds": rounds, "races": {}}
    print(f"{result['machine']['processor']}, {result['machine']['capability']}, {os.cpu_count()} cores")
    with tempfile.TemporaryDirectory() as place:
        text = first_tokens(Path(place) / "text.txt")
        folders = {"GPT-2 124M, random weights": (checkpoint(Path(place) / "gpt2"), tuple(JOBS))}
        from gptloss.models import is_here
        from gptloss.models.downloads import store

        if is_here("smollm2-135m"):
            folders["SmolLM2 135M"] = (store.folder("smollm2-135m"), TRAINED)
        else:
            print("SmolLM2 is not here and is left out: `gptloss models pull smollm2-135m` fetches it.")
        for title, (folder, names) in folders.items():
            for threads, chosen in ((1, names), (os.cpu_count() or 1, ALL_CORES)):
                here = {name: python for name, python in pythons.items() if name in chosen}
                found = race(here, folder, text, rounds, threads)
                race_of = {"scorers": found, **compare(found), "bfloat16": deviation(found)}
                result["races"][f"{title}, {threads} thread{'' if threads == 1 else 's'}"] = race_of
                show(f"{title}, {threads} thread{'' if threads == 1 else 's'}", race_of)
                keep(result)
        small = [str(checkpoint(Path(place) / "small", 2, 48))] if "--long" in sys.argv else []
        result["long"] = {}
        for model in ["bigram", *small]:
            result["long"][Path(model).name] = long_file(model, Path(place))
            keep(result)


def scorers() -> dict[str, str | Path]:
    """The scorers that can run here, and the Python of each."""
    peers = environment()
    pythons: dict[str, str | Path] = dict.fromkeys(JOBS, sys.executable)
    for name, packages in PEERS.items():
        problem = install(peers, *packages)
        pythons[name] = peers
        if problem:
            print(f"{name} cannot be installed here and is left out: {problem}")
            del pythons[name]
    from gptloss.models.fast.record import bfloat16_gain

    if (gain := bfloat16_gain()) < SLOW:
        print(f"bfloat16 is left out: this processor multiplies {1 / gain:.0f} times slower in it than in float32.")
        del pythons["ours, rolling, bfloat16"]
    return pythons


def machine() -> dict[str, Any]:
    from gptloss.models.fast import record

    return record.machine() | {"cores": os.cpu_count()}


def keep(result: dict[str, Any]) -> None:
    RESULTS.parent.mkdir(exist_ok=True)
    RESULTS.write_text(json.dumps(result, indent=1) + "\n")


def first_tokens(file: Path) -> Path:
    """The beginning of a story, 4,000 tokens of it."""
    from gptloss.tokens import gpt2_tokenizer

    tokens = gpt2_tokenizer().encode(STORY.read_text("utf-8"))[:TOKENS]
    text = b"".join(token.raw for token in tokens).decode()
    assert len(gpt2_tokenizer().encode(text)) == TOKENS
    file.write_text(text, "utf-8")
    return file


def deviation(found: dict[str, dict[str, float]]) -> float | None:
    """What bfloat16 does to the perplexity, relatively."""
    names = ("ours, rolling", "ours, rolling, bfloat16")
    if not all(name in found for name in names):
        return None
    exact, lower = (-found[name]["log_likelihood"] / found[name]["tokens"] for name in names)
    return math.exp(lower - exact) - 1


def show(title: str, result: dict[str, Any]) -> None:
    print(f"\n{title:28} {'tokens':>7} {'ln p':>16} {'seconds':>8} {'tokens/s':>9} {'peak':>8}")
    for name, row in result["scorers"].items():
        print(
            f"{name:28} {row['tokens']:7,.0f} {row['log_likelihood']:16.7f} {row['seconds']:8.2f}"
            f" {row['tokens_per_second']:9.0f} {row['peak_mb']:5.0f} MB"
        )
    for what, row in result["ratios"].items():
        print(f"{what:52} {row['ratio']:6.2f}x" + (f"  target {row['target']}x" if row["target"] else ""))
    for what, difference in result["same"].items():
        print(f"{what:52} {difference:.1e}")
    if result["bfloat16"] is not None:
        print(f"{'perplexity in bfloat16':52} {100 * result['bfloat16']:+.4f} %  target 0.3 %", flush=True)


if __name__ == "__main__":
    main()
