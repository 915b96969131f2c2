"""Mistakes in what the loss is divided by: words, bytes, the tokens of another tokenizer."""

import math

from gptloss.errors import GptlossError
from gptloss.lessons.pitfalls.case import Comparison, Lab, Outcome, perplexity
from gptloss.lessons.pitfalls.means import PERPLEXITY, losses_of
from gptloss.measures import bits_per_byte
from gptloss.models import LanguageModel
from gptloss.scoring.batch import ScoredBatch
from gptloss.scoring.rows import Row
from gptloss.scoring.score import score


def per_word(lab: Lab) -> Comparison:
    """The loss for each word of the text, where others have it for each token."""
    total, tokens = math.fsum(losses_of(lab.batch)), len(lab.batch)
    words = sum(len(raw_of(row).split()) for row in lab.batch.rows)
    if not words:
        raise GptlossError("The text has no word, only blanks; write some words.")
    right = perplexity(f"per token, {tokens:,} of them", "math.exp(sum_of_losses / len(targets))", total / tokens)
    wrong = perplexity(f"per word, {words:,} of them", "math.exp(sum_of_losses / len(text.split()))", total / words)
    return Comparison(PERPLEXITY, right, (wrong,))


def raw_of(row: Row) -> bytes:
    """The text of a row in bytes: its targets, after the first input where they go on from it."""
    first = row.inputs[:1] if row.inputs[1:] == row.targets[:-1] and not row.starts else ()
    return b"".join(token.raw for token in (*first, *row.targets))


def miscounted_bytes(lab: Lab) -> Comparison:
    """Bytes of text counted from decoded tokens, without leading blanks, with CRLF as one."""
    raws = [token.raw for token in lab.batch.targets]
    whole = b"".join(raws)
    return Comparison(
        "Bits per byte",
        _per_byte(lab.batch, "bytes of the tokens", "size = sum(len(raw(id)) for id in targets)", len(whole)),
        (
            _per_byte(
                lab.batch,
                "without leading blanks",
                "size = sum(len(piece.lstrip('▁')) for piece in pieces)",
                sum(len(raw.removeprefix(b" ")) for raw in raws),
            ),
            _per_byte(
                lab.batch,
                "each token decoded alone",
                "size = sum(len(decode([id]).encode()) for id in targets)",
                sum(len(raw.decode("utf-8", "replace").encode()) for raw in raws),
            ),
            _per_byte(
                lab.batch,
                "CRLF read as LF",
                "size = len(open(file).read().encode())",
                len(whole.replace(b"\r\n", b"\n")),
            ),
        ),
    )


def _per_byte(batch: ScoredBatch, name: str, code: str, size: int) -> Outcome:
    """Bits per byte; no number where no byte is counted."""
    if not size:
        return Outcome(f"{name}: 0", code, None, "no number")
    value = bits_per_byte(batch.loss * len(batch), size)
    return Outcome(f"{name}: {size:,}", code, value, f"{value:.4f}")


def other_tokens(lab: Lab) -> Comparison:
    """Two models with other tokens, compared by the loss of a token; right is by byte.

    Both read the same bytes and are asked for the same bytes. The quantity is how many times as much as under the
    other model the text costs.
    """
    batch, other = lab.batch, lab.other
    bits = batch.loss * len(batch) / math.log(2) / batch.target_bytes
    ours, theirs = batch.model.info.name, other.info.name
    lengths = [sum(len(token.raw) for token in row.targets) for row in batch.rows]
    nats, tokens, size = 0.0, 0, 0
    for row, length in zip(batch.rows, lengths, strict=True):
        costs = _costs(other, raw_of(row), length)
        nats, tokens, size = nats + costs[0], tokens + costs[1], size + costs[2]
    by_byte, by_token = nats / math.log(2) / size, nats / tokens
    return Comparison(
        f"Cost under {ours}, with {theirs} as 1",
        Outcome(
            f"by byte: {bits:.2f} against {by_byte:.2f} bits",
            "sum_of_bits / len(text.encode())",
            bits / by_byte,
            f"{bits / by_byte:.2f} times",
        ),
        (
            Outcome(
                f"by token: {batch.loss:.2f} against {by_token:.2f} nats",
                "sum_of_losses / len(targets)",
                batch.loss / by_token,
                f"{batch.loss / by_token:.2f} times",
            ),
        ),
    )


def _costs(model: LanguageModel, raw: bytes, last: int) -> tuple[float, int, int]:
    """(nats, tokens, bytes) of the tokens that begin in the last bytes of a text."""
    text = raw.decode("utf-8", "replace")
    scored = score(model, text)
    at, nats, tokens, size = len(scored.inputs[0].raw), 0.0, 0, 0
    for token, cost in zip(scored.targets, losses_of(scored), strict=True):
        if at >= len(text.encode()) - last:
            nats, tokens, size = nats + cost, tokens + 1, size + len(token.raw)
        at += len(token.raw)
    if not tokens:
        raise GptlossError(f"{model.info.name} has one token for this text, so it predicts none; write more.")
    return nats, tokens, size
