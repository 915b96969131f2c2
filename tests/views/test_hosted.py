"""Every page of a hosted app, whose models are in the worker: the same numbers as at home."""

from collections.abc import Iterator

import pytest

from gptloss.corpus import samples
from gptloss.serving import compressions, continuations, models, pitfalls, readings, runs
from gptloss.serving.make_once import MakeOnceCache
from gptloss.serving.worker.client import WORKER
from gptloss.serving.worker.model import WorkerModel
from tests.helpers.pages import button, numbers, opened
from views.visit import pages
from views.visit.pages import PAGES, Page

QUERY = {"model": "bigram", "input": "tea time is at five", "made": "3", "with_": "uniform", "top_k": "5"}


def forget_all(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is known of any text or model."""
    models.unload_all()
    for module, names in (
        (readings, ("_readings", "_long")),
        (continuations, ("_continuations",)),
        (pitfalls, ("_comparisons",)),
    ):
        for name in names:
            monkeypatch.setattr(module, name, MakeOnceCache(64))
    compressions._by_model.clear()
    continuations._by_model.clear()
    runs.stop_and_forget_all()


@pytest.fixture
def hosted(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setenv("GPTLOSS_PROFILE", "hosted")
    forget_all(monkeypatch)
    yield
    models.unload_all()
    WORKER.end()


def shown(page: Page) -> list[str]:
    app = opened(page, **QUERY)
    if page == pages.DATA_SET_LOSS:
        button(app, "Run").click().run()
        for run in runs.all_runs():
            run.wait(60)
        app.run()
    return numbers(app)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.title)
def test_it_shows_what_it_shows_at_home(
    page: Page, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest
) -> None:
    at_home = shown(page)
    request.getfixturevalue("hosted")
    assert shown(page) == at_home
    if page not in (pages.TRAINING,):
        assert isinstance(models.loaded("bigram").model, WorkerModel)


def test_a_run_of_a_whole_text_is_computed_there(hosted: None) -> None:
    """The worker sends the log-probabilities and not the logits of every token."""
    from gptloss import load_model
    from gptloss.corpus import conventions
    from gptloss.corpus.scoring import scored_windows
    from gptloss.corpus.tally import Tally

    losses = []
    for model in (models.loaded("bigram").model, load_model("bigram")):
        plan = conventions.plan("rolling", model.info)
        tally = Tally(plan)
        for window in scored_windows(model, [samples.verdict()[:6000]], plan):
            tally.add(window)
        losses.append(tally.snapshot().loss)
    assert losses[0] == pytest.approx(losses[1], abs=1e-6)
