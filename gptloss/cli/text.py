"""`gptloss text`: what every token of a text costs, and the text's loss, perplexity and bits per byte."""

import argparse
import hashlib
import json
import sys
from collections.abc import Iterator
from contextlib import nullcontext
from typing import TYPE_CHECKING, Any

from tqdm import tqdm

from gptloss.cli.options import add_compute, add_model, add_start_token, load
from gptloss.cli.table import aligned
from gptloss.corpus.text import encoded, line_ends_sentence, pieces_of, readable
from gptloss.errors import GptlossError
from gptloss.models import find
from gptloss.numbers import counted, odds_text, perplexity_text, proba_text
from gptloss.provenance import provenance, weights_line
from gptloss.tokens import Token, Tokenizer

if TYPE_CHECKING:
    from gptloss.models import LanguageModel
    from gptloss.scoring.batch import ScoredBatch

# Tokens of a text: they take 1 GB with GPT-2's states, each token 7 kB and then 2.5 kB to be written as JSON.
MOST = 100_000
# No text has this many characters a token. A text that cannot be cut into pieces is not read beyond that.
CHARACTERS = 32
# How many of the likeliest tokens are written for each position.
TOP = 5


def add_parser(commands: Any) -> None:
    """Add `text FILE` to the command line."""
    parser = commands.add_parser("text", help="the loss of a text, token by token; of any length")
    parser.add_argument("file", metavar="FILE", help="a text file in UTF-8; - reads standard input")
    add_model(parser)
    add_compute(parser)
    add_start_token(parser, "read the model's start token first, so that the first token counts too")
    parser.add_argument("--json", action="store_true", help="one JSON object at full precision; logs in nats")
    parser.set_defaults(run=_text)


def _text(options: argparse.Namespace) -> str:
    from gptloss.corpus.text import decoded

    name, raw = _read(options.file)
    text = decoded(raw, name)
    _check_length(name, text, find(options.model).tokenizer())
    if sentence := line_ends_sentence([text], name):
        print(f"gptloss: {sentence}", file=sys.stderr)
    model = load(options)
    batch, stride = _score(model, name, text, options.bos)
    if options.json:
        file = {"name": name, "bytes": len(raw), "sha256": hashlib.sha256(raw).hexdigest()}
        return json.dumps(text_as_json(batch, options.bos, stride, file), allow_nan=False)
    return text_as_text(batch, options.bos, stride)


def _read(file: str) -> tuple[str, bytes]:
    """The name of the text and its bytes, at most as many as the longest allowed text can have."""
    name = "Standard input" if file == "-" else file
    with readable(name), nullcontext(sys.stdin.buffer) if file == "-" else open(file, "rb") as source:
        raw = source.read(4 * CHARACTERS * MOST + 1)
    _check(name, len(raw) // (4 * CHARACTERS))
    return name, raw


def _check_length(name: str, text: str, tokenizer: Tokenizer) -> None:
    """Raise `GptlossError` for a text that is too long, before any weights are loaded."""
    _check(name, len(text) // CHARACTERS)
    tokens = 0
    for some in encoded(tokenizer, pieces_of(text)):
        tokens += len(some)
        _check(name, tokens)


def _check(name: str, tokens: int) -> None:
    if tokens > MOST:
        raise GptlossError(
            f"{name} is too long for gptloss text, which keeps about 10 kB of each token in memory and takes"
            f" {MOST:,} tokens; gptloss corpus --per-token FILE writes those of a text of any length into a file."
        )


def _score(model: "LanguageModel", name: str, text: str, bos: bool) -> tuple["ScoredBatch", int | None]:
    """The text scored, and the stride if it is longer than the context and was read in windows."""
    from gptloss.scoring.rows import read_row
    from gptloss.scoring.score import score_rows

    tokens = len(model.tokenizer.encode(text))
    if not tokens:
        raise GptlossError(f"{name} is empty; write at least two tokens into it.")
    if tokens == 1 and not bos:
        way = "write more, or use --bos" if model.info.bos_id is not None else "write more"
        raise GptlossError(f"{name} is one token, so there is no next token to predict; {way}.")
    row = read_row(model, 1, text, None, bos, slide=True)
    limit = model.info.context_length
    stride = max(1, limit // 2) if len(row.inputs) > limit else None
    # `disable=None`: no bar where nobody is watching
    with tqdm(total=len(row.targets), desc="Scoring", unit=" tokens", file=sys.stderr, disable=None) as bar:
        return score_rows(model, [row], stride, lambda done, _: _move(bar, done)), stride


def _move(bar: "tqdm[Any]", done: int) -> None:
    bar.update(done - bar.n)


def text_as_json(batch: "ScoredBatch", bos: bool, stride: int | None, file: dict[str, Any]) -> dict[str, Any]:
    """The text of a batch's one row as plain data, at full precision; logs and entropies in nats.

    `file` says what text it is.
    """
    from gptloss.analysis.words import totals

    info, result = batch.model.info, totals(batch)
    return {
        "command": "text",
        "model": info.as_json(),
        "file": file,
        "window": info.context_length if stride else None,
        "stride": stride,
        "bos": bos,
        "tokens": [*map(_unread_as_json, _only_read(batch)), *_tokens_as_json(batch)],
        "totals": {
            "loss": result.loss,
            "perplexity": result.perplexity,
            "bits_per_byte": result.bits_per_byte,
            "word_perplexity": result.word_perplexity,
            "tokens": result.tokens,
            "bytes": result.bytes,
            "words": result.words,
        },
        "provenance": _provenance(batch, bos, stride),
    }


def _provenance(batch: "ScoredBatch", bos: bool, stride: int | None) -> dict[str, Any]:
    if stride is None:
        return provenance(batch.model, bos=bos, precision=batch.precision)
    window = batch.model.info.context_length
    return provenance(
        batch.model, bos=bos, convention="sliding", window=window, stride=stride, precision=batch.precision
    )


def _only_read(batch: "ScoredBatch") -> tuple[Token, ...]:
    """The first token of the text, if nothing stands before it that could predict it."""
    row = batch.rows[0]
    return () if row.starts else row.inputs[:1]


def _named(token: Token) -> dict[str, Any]:
    return {"id": token.id, "text": token.text, "bytes": token.raw.hex()}


def _unread_as_json(token: Token) -> dict[str, Any]:
    return {**_named(token), "log_proba": None, "rank": None, "entropy": None, "top": None}


def _tokens_as_json(batch: "ScoredBatch") -> Iterator[dict[str, Any]]:
    numbers = (batch.log_probas, batch.ranks, batch.entropies, batch.top_ids[:, :TOP], batch.top_log_probas[:, :TOP])
    lines = zip(batch.targets, *(column.tolist() for column in numbers), strict=True)
    for token, log_proba, rank, entropy, *top in lines:
        yield {
            **_named(token),
            "log_proba": log_proba,
            "rank": rank,
            "entropy": entropy,
            "top": [
                {"id": id, "text": batch.model.tokenizer.token(id).text, "log_proba": log}
                for id, log in zip(*top, strict=True)
                if log > float("-inf")  # a model may rule tokens out
            ],
        }


def text_as_text(batch: "ScoredBatch", bos: bool, stride: int | None) -> str:
    """The text as a table to read, a line a token, then the totals and what each is spread over."""
    from gptloss.analysis.words import totals

    info, result = batch.model.info, totals(batch)
    head = ("#", "token", "id", "rank", "probability", "odds", "ln p", "entropy")
    unread = [("–", token.label, str(token.id), *"–––––") for token in _only_read(batch)]
    lines = [
        (
            str(number),
            token.label,
            str(token.id),
            f"{rank:,}",
            proba_text(log_proba),
            odds_text(log_proba),
            f"{log_proba:.4f}",
            f"{entropy:.4f}",
        )
        for number, (token, rank, log_proba, entropy) in enumerate(
            zip(
                batch.targets,
                batch.ranks.tolist(),
                batch.log_probas.tolist(),
                batch.entropies.tolist(),
                strict=True,
            ),
            1,
        )
    ]
    title = f"{info.name}: {info.parameters:,} parameters, context {info.context_length:,}"
    read = (
        f"Read in windows of {info.context_length:,} tokens that move on by {stride:,}."
        if stride
        else "Read at once."
    )
    per_word = result.word_loss
    sums = [
        ("loss", f"{result.loss:.4f}", f"nats per token, over {counted(result.tokens, 'token')}"),
        ("perplexity", perplexity_text(result.loss), "e^loss"),
        ("bits_per_byte", f"{result.bits_per_byte:.4f}", f"over {counted(result.bytes, 'byte')}"),
        (
            "word_perplexity",
            "–" if per_word is None else perplexity_text(per_word),
            f"e^(nats per word), over {counted(result.words, 'word')}",
        ),
    ]
    origin = weights_line(_provenance(batch, bos, stride))
    return "\n".join(
        [title, origin, read, "", *aligned([head, *unread, *lines], left={1}), "", *aligned(sums, left={0, 2})]
    )
