"""Recorded losses against the library and against the lecture."""

from dataclasses import replace

import pytest

from gptloss.corpus.job import PARTS
from gptloss.lessons.recorded import CLOSE, recorded
from tests.helpers.recorded import computed, jobs


def test_they_are_the_lectures() -> None:
    verdict = recorded(jobs()[0])
    assert verdict["training"].loss == pytest.approx(10.98758, abs=1e-5)
    assert verdict["validation"].loss == pytest.approx(10.98111, abs=1e-5)
    assert [len(verdict[part].window_tokens) for part in PARTS] == [18, 2]


def test_every_model_has_every_text() -> None:
    assert all(set(recorded(job)) == set(PARTS) for job in jobs())


def test_what_is_computed_here_agrees() -> None:
    """The validation part alone: all of it would take minutes."""
    job = jobs()[0]
    known = recorded(job)["validation"]
    result = computed(job, only="validation")["validation"]
    assert result.loss == pytest.approx(known.loss, abs=CLOSE)
    assert result.words == known.words
    assert result.window_log_likelihoods == pytest.approx(known.window_log_likelihoods, abs=256 * CLOSE)


def test_another_split_or_convention_was_not_recorded() -> None:
    job = jobs()[0]
    assert recorded(replace(job, split=0.8)) == {}
    assert recorded(replace(job, plan=replace(job.plan, window=128, stride=128))) == {}
