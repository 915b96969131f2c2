"""`gptloss generate`: continue a text, token by token."""

import argparse
import codecs
import json
import sys
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict
from itertools import islice
from typing import TYPE_CHECKING, Any

from gptloss.cli.options import add_compute, add_model, add_start_token, load
from gptloss.errors import GptlossError
from gptloss.provenance import provenance
from gptloss.tokens import text_of

if TYPE_CHECKING:
    from gptloss.models import LanguageModel
    from gptloss.prediction.sampling import SampledToken, Sampler


def add_parser(commands: Any) -> None:
    """Add `generate PROMPT` to the command line."""
    parser = commands.add_parser("generate", help="continue a text, token by token; prints what is added to it")
    parser.add_argument("prompt", metavar="PROMPT", help="the text to continue; - reads standard input")
    add_model(parser)
    add_compute(parser)
    parser.add_argument("--tokens", type=int, default=20, metavar="N", help="how many; default: %(default)s")
    parser.add_argument(
        "--temperature",
        type=float,
        default=1.0,
        metavar="T",
        help="what logits are divided by; 0 always takes the first choice; default: %(default)s",
    )
    parser.add_argument(
        "--top-k", type=int, default=0, metavar="K", help="choose among the K likeliest; default: 0, all"
    )
    parser.add_argument(
        "--top-p",
        type=float,
        default=1.0,
        metavar="P",
        help="choose among the fewest tokens that have the mass P together; default: 1, all",
    )
    parser.add_argument(
        "--seed", type=int, default=123, metavar="N", help="the same seed, the same text; default: %(default)s"
    )
    add_start_token(parser, "put the model's start token in front of the prompt")
    parser.add_argument("--json", action="store_true", help="one JSON object at full precision; logs in nats")
    parser.set_defaults(run=_generate)


def _generate(options: argparse.Namespace) -> str | Iterator[str]:
    """The text in pieces as it is made, or JSON."""
    from gptloss.prediction.sampling import Sampler, generate, until_end

    if options.tokens < 1:
        raise GptlossError(f"--tokens is {options.tokens}, so there is nothing to generate; ask for 1 or more.")
    sampler = Sampler(options.temperature, options.top_k, options.top_p)
    prompt = _prompt(options.prompt)
    model = load(options)
    made = generate(model, prompt, sampler, seed=options.seed, bos=options.bos)
    steps = until_end(model, islice(made, options.tokens))
    if not options.json:
        return text_pieces(steps, model.info.eos_ids)
    result = made_as_json(model, prompt, options.bos, options.seed, sampler, tuple(steps))
    return json.dumps(result, allow_nan=False)


def _prompt(given: str) -> str:
    if given != "-":
        return given
    from gptloss.corpus.text import decoded

    return decoded(sys.stdin.buffer.read(), "Standard input")


def text_pieces(steps: Iterable["SampledToken"], ends: Sequence[int] = ()) -> Iterator[str]:
    """The text as it grows: half a character waits for its other half, and becomes U+FFFD if that never comes.

    A token that ends the text is not a part of it; a sentence on standard error says that it came.
    """
    decoder = codecs.getincrementaldecoder("utf-8")("replace")
    for count, step in enumerate(steps, 1):
        if step.token.id in ends:
            print(f"gptloss: token {count} is {step.token.label}, which ends the text.", file=sys.stderr)
        else:
            yield decoder.decode(step.token.raw)
    yield decoder.decode(b"", final=True)


def made_as_json(
    model: "LanguageModel", prompt: str, bos: bool, seed: int, sampler: "Sampler", steps: tuple["SampledToken", ...]
) -> dict[str, Any]:
    """What was generated, and from what, as plain data at full precision; logs and entropies in nats."""
    return {
        "command": "generate",
        "model": model.info.as_json(),
        "prompt": prompt,
        "bos": bos,
        "seed": seed,
        **asdict(sampler),
        "text": text_of(step.token for step in steps),
        "tokens": [_step_as_json(step) for step in steps],
        "provenance": _provenance(model, len(model.tokenizer.encode(prompt)) + bos + len(steps) - 1, bos),
    }


def _provenance(model: "LanguageModel", read: int, bos: bool) -> dict[str, Any]:
    """The provenance after so many tokens: when the context is full, the last ones are read anew at every step."""
    if read <= (limit := model.info.context_length):
        return provenance(model, bos=bos)
    return provenance(model, bos=bos, convention="sliding", window=limit, stride=1)


def _step_as_json(step: "SampledToken") -> dict[str, Any]:
    return {
        "id": step.token.id,
        "text": step.token.text,
        "bytes": step.token.raw.hex(),
        "proba": step.proba,
        "log_proba": step.log_proba,
        "rank": step.rank,
        "entropy": step.entropy,
        "top": [
            {"id": prediction.token.id, "text": prediction.token.text, "log_proba": prediction.log_proba}
            for prediction in step.top
            if prediction.log_proba > float("-inf")  # a model may rule tokens out
        ],
    }
