"""The scorers that benchmarks/corpus.py compares, each a process of its own.

    python peers.py NAME CHECKPOINT TEXT THREADS

Each line on standard input is one run; the answer is a line of JSON: tokens scored, their summed ln p, seconds of the
whole job from the text to the sum, megabytes at the peak. On one thread the seconds are those in which the process
computed, on several those that passed. Imports nothing at the top that both environments do not have.
"""

import json
import os
import sys
import time
from collections.abc import Callable
from pathlib import Path

os.environ |= {"HF_HUB_OFFLINE": "1", "TOKENIZERS_PARALLELISM": "false"}
sys.path.insert(0, str(Path(__file__).parent.parent))

import torch
from torch import nn

WINDOW, SMOLLM2_START = 1_024, 1
# Summed ln p of a text, and how many tokens that is.
Job = Callable[[str], tuple[float, int]]


def ours(folder: str, convention: str, window: int, precision: str = "float32") -> Job:
    from gptloss import load_model
    from gptloss.corpus import conventions, scoring
    from gptloss.corpus.precision import in_precision
    from gptloss.corpus.tally import Tally

    name = "smollm2-135m" if "smollm2-135m" in folder else folder  # so that our own Llama reads it
    model = load_model(name, dtype="float64" if precision == "float64" else "float32")
    model = in_precision(model, precision)  # type: ignore[arg-type]
    plan = conventions.plan(convention, model.info, window)  # type: ignore[arg-type]

    def job(text: str) -> tuple[float, int]:
        tally = Tally(plan)
        for scored in scoring.scored_windows(model, [text], plan):
            tally.add(scored)
        return tally.log_likelihood, tally.tokens

    return job


def lm_eval(folder: str) -> Job:
    """lm-evaluation-harness, `loglikelihood_rolling`, as its command line sets it up for a CPU.

    The context and the start token are those of ours, of which the checkpoint of SmolLM2 says another or nothing.
    """
    from lm_eval.api.instance import Instance
    from lm_eval.models.huggingface import HFLM

    start = SMOLLM2_START if "smollm2" in folder else None
    model = HFLM(
        pretrained=folder, device="cpu", dtype="float32", batch_size=1, max_length=WINDOW, prefix_token_id=start
    )

    def job(text: str) -> tuple[float, int]:
        request = Instance(request_type="loglikelihood_rolling", doc={}, arguments=(text,), idx=0)
        (total,) = model.loglikelihood_rolling([request], disable_tqdm=True)
        return total, len(model.tok_encode(text, add_special_tokens=False))

    return job


def strided(folder: str) -> Job:
    """The loop of transformers' guide "Perplexity of fixed-length models", stride 512."""
    from transformers import AutoModelForCausalLM, AutoTokenizer

    model, tokenizer = AutoModelForCausalLM.from_pretrained(folder), AutoTokenizer.from_pretrained(folder)

    def job(text: str) -> tuple[float, int]:
        ids = tokenizer(text, return_tensors="pt").input_ids
        total, tokens, before = 0.0, 0, 0
        for begin in range(0, ids.size(1), 512):
            end = min(begin + 1024, ids.size(1))
            window, target = ids[:, begin:end], ids[:, begin:end].clone()
            target[:, : -(end - before)] = -100
            scored = int((target[:, 1:] != -100).sum())
            with torch.no_grad():
                total -= model(window, labels=target).loss.item() * scored
            tokens, before = tokens + scored, end
            if end == ids.size(1):
                break
        return total, tokens

    return job


def minicons(folder: str) -> Job:
    """minicons, `token_score` of pieces of the text: it takes none that is longer than the context."""
    from minicons.scorer import IncrementalLMScorer

    model = IncrementalLMScorer(folder, device="cpu")

    def job(text: str) -> tuple[float, int]:
        ids = model.tokenizer(text).input_ids
        pieces = [model.tokenizer.decode(ids[start : start + 1000]) for start in range(0, len(ids), 1000)]
        scores = [score for piece in pieces for _, score in model.token_score([piece])[0][1:]]
        return sum(scores), len(scores)

    return job


def book(folder: str) -> Job:
    """Chapters 4 and 5 of *Build a Large Language Model (From Scratch)*: batches of two windows of 256."""
    from transformers import AutoTokenizer

    model, tokenizer = _books_model(folder), AutoTokenizer.from_pretrained(folder)

    def job(text: str) -> tuple[float, int]:
        ids = torch.tensor(tokenizer(text).input_ids)
        starts = range(0, len(ids) - 256, 256)
        total, tokens = 0.0, 0
        for batch in (starts[k : k + 2] for k in range(0, len(starts), 2)):
            inputs, targets = (torch.stack([ids[s + d : s + d + 256] for s in batch]) for d in (0, 1))
            with torch.no_grad():
                loss = nn.functional.cross_entropy(model(inputs).flatten(0, 1), targets.flatten())
            total, tokens = total - loss.item() * targets.numel(), tokens + targets.numel()
        return total, tokens

    return job


def _books_model(folder: str) -> nn.Module:
    """The book's classes say each step by hand: that is what they are for, and what makes them slow."""
    from safetensors.torch import load_file

    stored = {name.removeprefix("transformer."): t for name, t in load_file(f"{folder}/model.safetensors").items()}

    class Norm(nn.Module):
        def __init__(self, name: str) -> None:
            super().__init__()
            self.scale, self.shift = (nn.Parameter(stored[f"{name}.{end}"]) for end in ("weight", "bias"))

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            mean, var = x.mean(dim=-1, keepdim=True), x.var(dim=-1, keepdim=True, unbiased=False)
            return self.scale * ((x - mean) / torch.sqrt(var + 1e-5)) + self.shift

    class Gelu(nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            inner = torch.sqrt(torch.tensor(2.0 / torch.pi)) * (x + 0.044715 * torch.pow(x, 3))
            return 0.5 * x * (1 + torch.tanh(inner))

    def linear(name: str, part: int = 0, parts: int = 1) -> nn.Linear:
        weight, bias = (stored[f"{name}.{end}"].chunk(parts, -1)[part] for end in ("weight", "bias"))
        layer = nn.utils.skip_init(nn.Linear, *weight.shape)
        layer.weight, layer.bias = nn.Parameter(weight.T.contiguous()), nn.Parameter(bias.contiguous())
        return layer

    class Attention(nn.Module):
        def __init__(self, name: str) -> None:
            super().__init__()
            self.W_query, self.W_key, self.W_value = (linear(f"{name}.c_attn", part, 3) for part in range(3))
            self.out_proj = linear(f"{name}.c_proj")
            self.register_buffer("mask", torch.triu(torch.ones(1024, 1024), diagonal=1))

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            b, t, d = x.shape
            keys, queries, values = (
                layer(x).view(b, t, 12, 64).transpose(1, 2) for layer in (self.W_key, self.W_query, self.W_value)
            )
            scores = queries @ keys.transpose(2, 3)
            scores.masked_fill_(self.mask.bool()[:t, :t], -torch.inf)
            weights = torch.softmax(scores / keys.shape[-1] ** 0.5, dim=-1)
            return self.out_proj((weights @ values).transpose(1, 2).contiguous().view(b, t, d))

    class Block(nn.Module):
        def __init__(self, name: str) -> None:
            super().__init__()
            self.att = Attention(f"{name}.attn")
            self.ff = nn.Sequential(linear(f"{name}.mlp.c_fc"), Gelu(), linear(f"{name}.mlp.c_proj"))
            self.norm1, self.norm2 = Norm(f"{name}.ln_1"), Norm(f"{name}.ln_2")

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            x = self.att(self.norm1(x)) + x
            return self.ff(self.norm2(x)) + x

    class Model(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.tok_emb, self.pos_emb = (
                nn.Embedding.from_pretrained(stored[f"{name}.weight"]) for name in ("wte", "wpe")
            )
            self.blocks = nn.Sequential(*(Block(f"h.{n}") for n in range(12)))
            self.final_norm = Norm("ln_f")
            self.out_head = nn.utils.skip_init(nn.Linear, 768, 50257, bias=False)
            self.out_head.weight = nn.Parameter(stored["wte.weight"].clone())

        def forward(self, ids: torch.Tensor) -> torch.Tensor:
            x = self.tok_emb(ids) + self.pos_emb(torch.arange(ids.shape[1]))
            return self.out_head(self.final_norm(self.blocks(x)))

    return Model().eval()


JOBS: dict[str, Callable[[str], Job]] = {
    "the book, 256": book,
    "lm-evaluation-harness": lm_eval,
    "transformers, strided 512": strided,
    "minicons": minicons,
    "ours, book 256": lambda folder: ours(folder, "book", 256),
    "ours, rolling": lambda folder: ours(folder, "rolling", WINDOW),
    "ours, strided 512": lambda folder: ours(folder, "strided", WINDOW),
    "ours, rolling, bfloat16": lambda folder: ours(folder, "rolling", WINDOW, "bfloat16"),
    "ours, rolling, float64": lambda folder: ours(folder, "rolling", WINDOW, "float64"),
}


def peak_mb() -> float:
    """This process alone: the usual ru_maxrss counts what the process that started it had, too."""
    status = Path("/proc/self/status").read_text()
    return int(status.split("VmHWM:")[1].split()[0]) / 1024


def main() -> None:
    """Warm up on the beginning of the text, then answer."""
    name, folder, file, threads = sys.argv[1:]
    torch.set_num_threads(int(threads))
    clock = time.process_time if threads == "1" else time.perf_counter
    text = Path(file).read_text("utf-8")
    job = JOBS[name](folder)
    job(text[:2500])
    for _ in sys.stdin:
        start = clock()
        log_likelihood, tokens = job(text)
        seconds = clock() - start
        peak = peak_mb()
        answer = {"tokens": tokens, "log_likelihood": log_likelihood, "seconds": seconds, "peak_mb": peak}
        print("ANSWER " + json.dumps(answer), flush=True)


if __name__ == "__main__":
    main()
