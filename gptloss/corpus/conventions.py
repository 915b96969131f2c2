"""Which tokens of a long text are scored, and with how much context: three conventions.

A perplexity is only a number of a text and a model together with its convention: where the windows begin, whether a
start token is read, and which tokens of each window count.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import count
from typing import Literal, get_args

from gptloss.errors import GptlossError
from gptloss.models.base import ModelInfo

Convention = Literal["book", "rolling", "strided"]
CONVENTIONS: tuple[Convention, ...] = get_args(Convention)


@dataclass(frozen=True)
class Plan:
    """A convention with its numbers: tokens in a window, tokens from one window to the next, and the start token."""

    convention: Convention
    window: int
    stride: int
    bos: bool


@dataclass(frozen=True)
class Window:
    """One run of the model on a part of the stream s: the text's tokens, after the start token if there is one.

    The model reads s[start:stop], and the targets s[first : stop + 1] are scored; places count from 0.
    """

    start: int
    stop: int
    first: int

    @property
    def scored(self) -> int:
        """How many targets count."""
        return self.stop + 1 - self.first


def plan(
    convention: Convention,
    info: ModelInfo,
    window: int | None = None,
    stride: int | None = None,
    bos: bool | None = None,
) -> Plan:
    """A convention for a model. An argument that is left out takes the convention's own value.

    The window is the model's context. The stride is the window; in `strided`, half of it. Only `rolling` reads a
    start token, if the model has one. Raises `GptlossError` for numbers that the model or the convention cannot have.
    """
    if convention not in CONVENTIONS:
        raise GptlossError(f"There is no convention {convention!r}; use {', '.join(CONVENTIONS)}.")
    window = info.context_length if window is None else window
    if not 2 <= window <= info.context_length:
        raise GptlossError(
            f"{info.name} cannot read windows of {window:,} tokens; use 2 to {info.context_length:,}, its context."
        )
    if stride is None:
        stride = window // 2 if convention == "strided" else window
    _check_stride(convention, window, stride)
    if bos and info.bos_id is None:
        raise GptlossError(f"{info.name} has no start token; score without one.")
    starts = convention == "rolling" and info.bos_id is not None if bos is None else bos
    return Plan(convention, window, stride, starts)


def _check_stride(convention: Convention, window: int, stride: int) -> None:
    if not 1 <= stride <= window:
        raise GptlossError(f"A stride of {stride:,} leaves out tokens or stands still; use 1 to {window:,}.")
    if convention != "strided" and stride != window:
        raise GptlossError(
            f"In the convention {convention} windows follow each other, so the stride is the window, {window:,},"
            f" and not {stride:,}; leave it out, or use strided."
        )


def sentence(plan: Plan) -> str:
    """The convention and its numbers as a sentence."""
    start = "the start token first" if plan.bos else "no start token"
    moves = "one after the other" if plan.stride == plan.window else f"that move on by {plan.stride:,}"
    context = f"{plan.window - plan.stride:,} or more before it after the first window"
    counts = {
        "book": "what is left at the end is dropped",
        "rolling": "the last one filled leftwards, each token scored once",
        "strided": f"each token scored once, with {context}",
    }[plan.convention]
    if plan.convention == "strided" and plan.stride == plan.window:
        counts = "the first token of each not scored"
    return f"{plan.convention}: windows of {plan.window:,} tokens, {moves}, {counts}; {start}."


def windows(plan: Plan, length: int) -> Iterator[Window]:
    """The windows on a stream of `length` tokens, in order; every target that the convention scores is in one.

    - `book`: as the book's data loader, every `stride` tokens a window with one more token after it to predict; what
      is left at the end is dropped (S. Raschka, *Build a Large Language Model (From Scratch)*, 2024, chapter 2).
    - `rolling`: runs of `window` targets; the last run is shorter and reads as many tokens before it as fit
      (`get_rolling_token_windows` of lm-evaluation-harness with one token of context).
    - `strided`: s[b : b + window] for b = 0, stride, 2 stride, ...; scored is what no window before has scored,
      except a token with nothing before it in its window (the perplexity guide of transformers).
    """
    for k in count():
        window = full(plan, k)
        if window.stop >= length:
            break
        yield window
    rest = last(plan, k, length)
    if rest is not None:
        yield rest


def full(plan: Plan, k: int) -> Window:
    """Window k, from 0, of a stream that is long enough for it: longer than its `stop`."""
    start = k * plan.stride
    if plan.convention != "strided":
        return Window(start, start + plan.window, start + 1)
    return Window(start, start + plan.window - 1, max(start + 1, _scored_before(plan, k)))


def last(plan: Plan, k: int, length: int) -> Window | None:
    """What follows after k full windows on a stream of `length` tokens; None if nothing is left to score."""
    start, stop = k * plan.stride, length - 1
    if plan.convention == "book":
        return None
    if plan.convention == "rolling":
        start, first = max(0, stop - plan.window), start + 1
    else:
        first = max(start + 1, _scored_before(plan, k))
    return Window(start, stop, first) if first <= stop else None


def _scored_before(plan: Plan, k: int) -> int:
    """Where the windows before window k of `strided` end."""
    return (k - 1) * plan.stride + plan.window if k else 0
