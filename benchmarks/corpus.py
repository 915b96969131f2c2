"""A whole job side by side with its peers: the log-likelihood of the same 4,000 tokens, one thread each.

    .venv/bin/python benchmarks/corpus.py [--long] [--rounds N]

The peers go into an environment of their own under the cache folder, with the PyTorch of requirements.txt; one that
cannot be installed is left out, and a line says so. The model is a GPT-2 124M with random weights in transformers'
format. Every scorer is a process that has its model ready; they run in turn, and CPU seconds count, because other
programs do not count in them. Then a file of 1 and of 10 million characters is scored, and its peak memory taken:
with the byte bigram, and with --long by a small GPT-2 too, which takes half an hour. Writes
benchmarks/results/corpus.json.
"""

import json
import os
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parent.parent
sys.path[:0] = [str(ROOT), str(ROOT / "benchmarks")]

from peers import JOBS  # noqa: E402
from platformdirs import user_cache_path  # noqa: E402

TOKENS, ROUNDS = 4_000, 3
RESULTS = Path(__file__).parent / "results" / "corpus.json"
STORY = ROOT / "gptloss" / "data" / "island.txt"
PEERS = {"lm-evaluation-harness": ("lm-eval==0.4.13",), "minicons": ("minicons==0.3.39",)}
# What is measured against what, and the target of the ratio of their speeds.
RATIOS = {
    ("ours, rolling", "lm-evaluation-harness"): 1.3,
    ("ours, book 256", "the book, 256"): 1.5,
    ("ours, strided 512", "transformers, strided 512"): None,
    ("ours, rolling", "minicons"): None,
    ("ours, rolling, bfloat16", "lm-evaluation-harness"): 2.5,
}
# The two that must find the same log-likelihood, and within what, relatively.
SAME = {
    ("ours, rolling", "lm-evaluation-harness"): 1e-5,
    ("ours, book 256", "the book, 256"): 1e-6,
    ("ours, strided 512", "transformers, strided 512"): 1e-5,
}

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
from gptloss import conventions, corpus, corpus_text, load_model
model = load_model(sys.argv[1])
plan = conventions.plan("rolling", model.info)
tally, start = corpus.Tally(plan), time.process_time()
for scored in corpus.scored_windows(model, corpus_text.pieces_of(Path(sys.argv[2])), plan):
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
def worker(python: str | Path, name: str, folder: Path, text: Path) -> Iterator[subprocess.Popen[str]]:
    """A scorer that waits for its turn."""
    command = [str(python), str(ROOT / "benchmarks" / "peers.py"), name, str(folder), str(text)]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.DEVNULL}
    with subprocess.Popen(command, text=True, env=os.environ | {"OMP_NUM_THREADS": "1"}, **pipes) as process:
        try:
            yield process
        finally:
            process.kill()


def ask(process: subprocess.Popen[str]) -> dict[str, float]:
    """One run of a scorer. Raises `EOFError` if it has failed."""
    assert process.stdin is not None
    assert process.stdout is not None
    process.stdin.write("\n")
    process.stdin.flush()
    for line in process.stdout:
        if line.startswith("ANSWER "):
            return dict(json.loads(line.removeprefix("ANSWER ")))
    raise EOFError


def race(pythons: dict[str, str | Path], folder: Path, text: Path, rounds: int) -> dict[str, dict[str, float]]:
    """All scorers in turn, several rounds; medians."""
    answers: dict[str, list[dict[str, float]]] = {name: [] for name in pythons}
    with ExitStack() as stack:
        running = {n: stack.enter_context(worker(python, n, folder, text)) for n, python in pythons.items()}
        for _ in range(rounds):
            for name, process in list(running.items()):
                try:
                    answers[name].append(ask(process))
                except (EOFError, BrokenPipeError):
                    print(f"{name} failed, and is left out.")
                    del running[name]
    return {name: _median(found) for name, found in answers.items() if found}


def _median(answers: list[dict[str, float]]) -> dict[str, float]:
    seconds = statistics.median(answer["seconds"] for answer in answers)
    return answers[-1] | {"seconds": seconds, "tokens_per_second": answers[-1]["tokens"] / seconds}


def compare(found: dict[str, dict[str, float]]) -> dict[str, dict[str, Any]]:
    """Ratios of speeds and differences of log-likelihoods, with their targets."""
    ratios, same = {}, {}
    for (a, b), target in RATIOS.items():
        if a in found and b in found:
            ratio = found[a]["tokens_per_second"] / found[b]["tokens_per_second"]
            ratios[f"{a} / {b}"] = {"ratio": ratio, "target": target}
    for (a, b), target in SAME.items():
        if a in found and b in found:
            difference = abs(found[a]["log_likelihood"] / found[b]["log_likelihood"] - 1)
            same[f"{a} = {b}"] = {"relative": difference, "target": target}
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
    rounds = int(sys.argv[sys.argv.index("--rounds") + 1]) if "--rounds" in sys.argv else ROUNDS
    peers = environment()
    pythons: dict[str, str | Path] = dict.fromkeys(JOBS, sys.executable)
    for name, packages in PEERS.items():
        problem = install(peers, *packages)
        pythons[name] = peers
        if problem:
            print(f"{name} cannot be installed here and is left out: {problem}")
            del pythons[name]
    with tempfile.TemporaryDirectory() as place:
        folder = checkpoint(Path(place) / "gpt2")
        found = race(pythons, folder, first_tokens(Path(place) / "text.txt"), rounds)
        result: dict[str, Any] = (
            {"rounds": rounds, "scorers": found} | compare(found) | {"bfloat16": deviation(found)}
        )
        show(result)
        keep(result)
        small = [str(checkpoint(Path(place) / "small", 2, 48))] if "--long" in sys.argv else []
        result["long"] = {}
        for model in ["bigram", *small]:
            result["long"][Path(model).name] = long_file(model, Path(place))
            keep(result)


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


def deviation(found: dict[str, dict[str, float]]) -> dict[str, float]:
    """What bfloat16 does to the perplexity, relatively: with random weights, and with SmolLM2's if they are here."""
    import math

    losses = [
        -found[name]["log_likelihood"] / found[name]["tokens"]
        for name in ("ours, rolling", "ours, rolling, bfloat16")
    ]
    result = {"random weights": math.exp(losses[1] - losses[0]) - 1}
    from gptloss.models import is_here

    if is_here("smollm2-135m"):
        from gptloss import conventions, load_model
        from gptloss.corpus import Tally, scored_windows
        from gptloss.models.fast.layers import bfloat16

        model = load_model("smollm2-135m")
        plan, losses = conventions.plan("rolling", model.info, 1024), []
        for which in (model, bfloat16(model)):
            tally = Tally(plan)
            for scored in scored_windows(which, [STORY.read_text("utf-8")], plan):
                tally.add(scored)
            losses.append(tally.snapshot().loss)
        result["SmolLM2 135M"] = math.exp(losses[1] - losses[0]) - 1
    return result


def show(result: dict[str, Any]) -> None:
    print(f"{'':28} {'tokens':>7} {'ln p':>14} {'seconds':>8} {'tokens/s':>9} {'peak':>8}")
    for name, row in result["scorers"].items():
        print(
            f"{name:28} {row['tokens']:7,.0f} {row['log_likelihood']:14.5f} {row['seconds']:8.2f}"
            f" {row['tokens_per_second']:9.0f} {row['peak_mb']:5.0f} MB"
        )
    for what, row in result["ratios"].items():
        print(f"{what:52} {row['ratio']:6.2f}x" + (f"  target {row['target']}x" if row["target"] else ""))
    for what, row in result["same"].items():
        print(f"{what:52} {row['relative']:.1e}  target {row['target']:.0e}")
    for what, share in result["bfloat16"].items():
        print(f"perplexity in bfloat16, {what:28} {100 * share:+.4f} %  target 0.3 %")


if __name__ == "__main__":
    main()
