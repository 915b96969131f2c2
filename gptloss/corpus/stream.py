"""A text as the windows that a convention reads, in order. Only a few thousand tokens are kept at a time."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gptloss.corpus.conventions import Plan, Window, full, last
from gptloss.corpus.text import encoded
from gptloss.errors import GptlossError
from gptloss.models.base import LanguageModel
from gptloss.numbers import counted
from gptloss.scoring.rows import start_token
from gptloss.tokens import Token

# What is kept of a token: its id, its bytes, the first and the last word that it has a part of, from 1.
ID, SIZE, FIRST, LAST = range(4)
Columns = NDArray[np.int64]
# The last character that Python, and with it `str.split`, calls a blank is U+3000.
LAST_BLANK = 0x3000


class TooShortError(GptlossError):
    """A text of which the convention scores nothing."""


@dataclass(frozen=True, eq=False)
class Read:
    """A window, the ids that the model reads in it, the scored targets after them, and what those count for.

    `words` are those that no window before has a scored part of; `bytes` are of the targets.
    """

    window: Window
    ids: NDArray[np.int64]
    targets: NDArray[np.int64]
    words: int
    bytes: int


def reads(model: LanguageModel, pieces: Iterable[str], plan: Plan) -> Iterator[Read]:
    """The windows of a text, in order. Raises `TooShortError` for a text of which nothing is scored.

    They are those of `conventions.windows`, found without knowing how long the text is.
    """
    kept, start, k, counted = _before(model, plan), 0, 0, 0
    words = Words()
    for tokens in encoded(model.tokenizer, pieces):
        kept = np.concatenate([kept, words.columns(tokens)], 1)
        while (window := full(plan, k)).stop < start + kept.shape[1]:
            yield _read(window, kept, start, counted)
            counted = max(counted, int(kept[LAST, window.stop - start]))
            k += 1
        passed = full(plan, max(0, k - 1)).start - start
        kept, start = kept[:, passed:], start + passed
    rest = last(plan, k, start + kept.shape[1])
    if rest is not None:
        yield _read(rest, kept, start, counted)
    elif k == 0:
        raise _too_short(plan, kept.shape[1])


def _before(model: LanguageModel, plan: Plan) -> Columns:
    """The start token, if the plan has one: no bytes, and before every word."""
    return np.array([[start_token(model).id, 0, 1, 0]] if plan.bos else np.empty((0, 4)), np.int64).T


def _read(window: Window, kept: Columns, start: int, counted: int) -> Read:
    ids = kept[ID, window.start - start : window.stop - start]
    scored = kept[:, window.first - start : window.stop + 1 - start]
    fresh = max(int(scored[FIRST, 0]), counted + 1)
    return Read(
        window, ids, scored[ID], words=max(0, int(scored[LAST, -1]) + 1 - fresh), bytes=int(scored[SIZE].sum())
    )


def _too_short(plan: Plan, length: int) -> TooShortError:
    tokens = length - plan.bos
    if not tokens:
        return TooShortError("The text is empty; choose one with a few sentences.")
    has = f"The text has {counted(tokens, 'token')}"
    if plan.convention != "book":
        return TooShortError(f"{has}, so there is no next token to predict; choose a longer one.")
    return TooShortError(
        f"{has}, and book needs {plan.window + 1 - plan.bos:,} for one window of {plan.window:,} and the token after"
        " it; choose a smaller window, a longer text or rolling."
    )


class Words:
    """Counts words along a text that comes in pieces; a word is what blanks separate, as for `str.split`.

    lm-evaluation-harness counts one more for blanks at the beginning of a text, and one more for those at its end.
    """

    def __init__(self) -> None:
        self._begun = 0
        self._inside = False

    def columns(self, tokens: Sequence[Token]) -> Columns:
        """The four numbers that are kept of each of the next tokens."""
        blank = _blanks(b"".join(token.raw for token in tokens))
        starts = ~blank & np.concatenate([[not self._inside], blank])[:-1]
        begun = self._begun + np.concatenate([[0], starts.cumsum()])
        sizes = np.array([len(token.raw) for token in tokens], np.int64)
        ends = sizes.cumsum()
        # the word of the byte that a token begins with, or of the next one that is no blank
        nearest = np.append(begun[1:] + blank, begun[-1] + 1)
        if len(blank):
            self._begun, self._inside = int(begun[-1]), not blank[-1]
        ids = np.array([token.id for token in tokens], np.int64)
        return np.stack([ids, sizes, nearest[ends - sizes], begun[ends]])


def _blanks(raw: bytes) -> NDArray[np.bool_]:
    """For each byte whether it is of a blank; bytes that are no whole character are none."""
    text = raw.decode("utf-8", "surrogateescape")
    codes: NDArray[Any] = np.frombuffer(text.encode("utf-32-le", "surrogatepass"), np.uint32)
    sizes = 1 + (codes >= 0x80).astype(np.int64) + (codes >= 0x800) + (codes >= 0x10000)
    sizes[(codes >= 0xDC80) & (codes <= 0xDCFF)] = 1
    return np.repeat(_blank_codes()[np.minimum(codes, LAST_BLANK + 1)], sizes)


@cache
def _blank_codes() -> NDArray[np.bool_]:
    return np.array([chr(code).isspace() for code in range(LAST_BLANK + 2)])
