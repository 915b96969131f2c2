"""The windows of a run in the order of the text, each with its place in it."""

from dataclasses import dataclass
from functools import lru_cache

from gptloss.charts.corpus import RunLosses, WindowLoss
from gptloss.corpus.job import PARTS
from gptloss.corpus.layout import DocumentPart, layout
from gptloss.models import find
from gptloss.serving.runs import BackgroundRun, PlacedWindow


def losses_of(run: BackgroundRun) -> RunLosses:
    """What there is of a run so far, for charts."""
    return _losses_of(run, len(run.windows))


def ordered(run: BackgroundRun) -> tuple[PlacedWindow, ...]:
    """The windows in the order of the text: number n is at n - 1."""
    return _ordered(run, len(run.windows))


def piece_of(run: BackgroundRun, done: PlacedWindow) -> DocumentPart:
    """The part of the document that a window is from."""
    job = run.job
    return layout(job.model, job.texts, job.split).by_part[done.part, done.document]


@dataclass(frozen=True)
class WindowText:
    """The text of a window: what is only read, and what is scored."""

    read: str
    scored: str


def words_of(run: BackgroundRun, done: PlacedWindow) -> WindowText:
    """What stands in a window."""
    piece, plan = piece_of(run, done), run.job.plan
    whole, scored = (piece.between(done.scored.window, plan, read) for read in (True, False))
    return WindowText(whole[: len(whole) - len(scored)], scored)


@lru_cache(maxsize=4)
def _ordered(run: BackgroundRun, count: int) -> tuple[PlacedWindow, ...]:
    parts = {part: n for n, part in enumerate(PARTS)}
    return tuple(sorted(run.windows[:count], key=lambda done: (done.document, parts[done.part])))


@lru_cache(maxsize=4)
def _losses_of(run: BackgroundRun, count: int) -> RunLosses:
    info, plan = find(run.job.model).info, run.job.plan
    windows = []
    for number, done in enumerate(_ordered(run, count), 1):
        piece, window = piece_of(run, done), done.scored.window
        begins, ends = piece.place(window.first, plan), piece.place(window.stop + 1, plan)
        loss = -done.scored.log_probas.double().mean().item()
        windows.append(WindowLoss(number, done.part, begins, ends, window.scored, loss))
    begun = {window.part for window in windows}  # meanwhile another part may have begun
    results = {part: result for part in PARTS if part in begun and (result := run.result(part))}
    return RunLosses(info.title, info.vocab_size, results, tuple(windows))
