"""The token strip: the tokens of a text as chips or as running text. Click or arrow keys choose one."""

from base64 import b64encode
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from hashlib import blake2b
from typing import Any

import numpy as np
import streamlit as st

from gptloss.numbers import Units, position_name
from gptloss.scoring.batch import ScoredBatch
from gptloss.scoring.rows import Row
from gptloss.tokens import Token
from views.components.bundle import FOLDER, bundle
from views.components.choice import sent
from views.visit import session
from views.visit.fields.surprise import Colour

# Stands between texts that travel together: a carriage return inside one is shown as ␍.
BETWEEN = "\r"
# The likeliest tokens at a position: label or running text, and natural log of the probability.
Top = tuple[tuple[str, float], ...]

SCRIPT = bundle("token_strip.js")

_mount = st.components.v2.component(
    "gptloss_token_strip",
    html="<div class='strip'></div>\n",
    css=(FOLDER / "token_strip.css").read_text("utf-8"),
    js=SCRIPT,
)


@dataclass(frozen=True)
class Cell:
    """One token of the strip, and what the model made of it. Logs and entropies are in nats.

    `k` is its number in the flattened list; -1: it was read, not predicted, and cannot be chosen. `text` is the token
    in running text (see `running_text`), if that is not its `label`; `given` the label of the token read before it,
    where that does not stand before it in the strip; `top` the likeliest tokens, label and log-probability.
    """

    label: str
    k: int = -1
    title: str = ""
    given: str = ""
    log_proba: float | None = None
    rank: int = 0
    entropy: float = 0.0
    top: Top = ()
    text: str = ""


@dataclass(frozen=True)
class _Told:
    """The token that the browser was last told to mark, the number of that message, and the token it marks now."""

    at: int
    turn: int
    marked: int


def token_strip(
    data: dict[str, Any],
    at: int | None,
    key: str,
    on_choose: Callable[[], None] | None,
    *,
    flow: bool = False,
    colour: Colour | None = None,
    figures: bool = False,
    units: Units = "nats",
    named: bool = False,
    legend: bool = True,
    mono: bool = False,
) -> None:
    """Draw the strip with token `at` chosen (None: none), as chips or, with `flow`, as running text.

    `mono` has letters of one width, for program code.

    What the colours mean stands above it, unless `legend` is off; data without a token draw that alone.

    In `on_choose`, `choice.chosen(key, batch)` is the visitor's choice. What the visitor chose is marked in
    the browser already: `at` is only told again when it is another, so a click does not send the data anew.
    """
    told, count = _tell(key, -1 if at is None else at), data["count"]

    def choose() -> None:
        session.remember(_name(key), replace(session.recall(_name(key), told), marked=sent(key, count)))
        if on_choose:
            on_choose()

    shown = {
        "flow": flow,
        "colour": colour,
        "figures": figures,
        "units": units,
        "named": named,
        "legend": legend,
        "mono": mono,
    }
    now = {"key": key, "at": [told.at, told.turn], "asks": on_choose is not None}
    _mount(data={**data, **shown, **now}, key=key, on_chosen_change=choose if on_choose else None)


def _name(key: str) -> str:
    return f"{key}-told"


def _tell(key: str, at: int) -> _Told:
    """What to tell the browser: the same as before, unless it marks another token.

    It remembers what was chosen since, also when the strip is drawn anew after another page.
    """
    told: _Told | None = session.recall(_name(key), None)
    if told is None or told.marked != at:
        told = _Told(at, told.turn + 1 if told else 0, marked=at)
        session.remember(_name(key), told)
    return told


def strip_data(
    rows: Sequence[Sequence[Cell]], vocab_size: int, numbers: Sequence[int] | None = None
) -> dict[str, Any]:
    """What the browser needs of these cells: each word once, numbers packed, logs and entropies as float32 in nats.

    `numbers` are those of the rows, 1 and up if left out.

    With GPT-2's ten likeliest at most 175 bytes a token.
    """
    cells = [cell for row in rows for cell in row]
    words = _Words()
    tops = [[(words[label], log) for label, log in cell.top] for cell in cells]
    width = max(map(len, tops), default=0)
    filled = [pair for top in tops for pair in (*top, *((0, np.nan),) * (width - len(top)))]
    data = {
        "count": 1 + max((cell.k for cell in cells), default=-1),
        "v": vocab_size,
        "rows": [len(row) for row in rows],
        "numbers": list(range(1, len(rows) + 1) if numbers is None else numbers),
        "width": width,
        "titles": BETWEEN.join(cell.title for cell in cells),
        "ks": _packed((cell.k for cell in cells), np.int32),
        "texts": _packed((words[cell.text or cell.label] for cell in cells), np.int32),
        "givens": _packed((words[cell.given] for cell in cells), np.int32),
        "log_probas": _packed((np.nan if cell.log_proba is None else cell.log_proba for cell in cells), np.float32),
        "ranks": _packed((cell.rank for cell in cells), np.int32),
        "entropies": _packed((cell.entropy for cell in cells), np.float32),
        "top_log_probas": _packed((log for _, log in filled), np.float32),
        "top_texts": _packed((index for index, _ in filled), np.uint16 if len(words) <= 1 << 16 else np.int32),
        "words": BETWEEN.join(words),
    }
    return {**data, "digest": blake2b(repr(data).encode(), digest_size=8).hexdigest()}


class _Words(dict[str, int]):
    """Text -> its number, given when it is first asked for; the first is the empty one."""

    def __init__(self) -> None:
        super().__init__({"": 0})

    def __missing__(self, text: str) -> int:
        return self.setdefault(text.replace(BETWEEN, "␍"), len(self))


def _packed(values: Iterable[float], kind: type[np.number[Any]]) -> str:
    return b64encode(np.array([*values], kind).tobytes()).decode()


def batch_data(batch: ScoredBatch) -> dict[str, Any]:
    """A scored batch as a strip, a line for each row: the token that is only read first, then the targets."""
    texts = _texts(batch)
    tops = [
        tuple((texts[id], log) for id, log in zip(ids, logs, strict=True))
        for ids, logs in zip(batch.top_ids.tolist(), batch.top_log_probas.tolist(), strict=True)
    ]
    columns = zip(batch.log_probas.tolist(), batch.ranks.tolist(), batch.entropies.tolist(), tops, strict=True)
    scored = iter(enumerate(columns))
    rows = [_row(row, scored, texts) for row in batch.rows]
    return strip_data(rows, batch.model.info.vocab_size, [row.number for row in batch.rows])


def _row(
    row: Row, scored: Iterator[tuple[int, tuple[float, int, float, Top]]], texts: Mapping[int, str]
) -> list[Cell]:
    """The cells of a row. Where its targets do not follow its inputs in one text, each target says what was read."""
    follows = row.inputs[1:] == row.targets[:-1]
    start = row.inputs[0]
    cells = [Cell(start.label, text=texts[start.id])] if follows and not row.starts else []
    for j, (given, target) in enumerate(zip(row.inputs, row.targets, strict=True), 1):
        k, (log_proba, rank, entropy, top) = next(scored)
        name, before = position_name(row.number, j), "" if follows else texts[given.id]
        cells.append(Cell(target.label, k, name, before, log_proba, rank, entropy, top, texts[target.id]))
    return cells


def _texts(batch: ScoredBatch) -> dict[int, str]:
    """Id -> running text, of all tokens that the strip shows."""
    ids = {token.id for token in (*batch.inputs, *batch.targets)} | set(batch.top_ids.flatten().tolist())
    return {id: running_text(batch.model.tokenizer.token(id)) for id in ids}


def running_text(token: Token) -> str:
    """The token as it stands in running text: blanks, tabs and newlines are kept, all else is as in its label."""
    try:
        text = token.raw.decode("utf-8")
    except UnicodeDecodeError:
        return token.label
    if text and text.replace("\n", " ").replace("\t", " ").isprintable():
        return text
    return "".join(c if c in " \n\t" else Token(token.id, c.encode()).label for c in text) or token.label
