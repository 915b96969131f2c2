"""The recorded runs: what they ended with, and that they are what is computed."""

import math

import pytest

from gptloss import GptlossError
from gptloss.corpus import samples
from gptloss.training.checkpoint import text_hash
from gptloss.training.recorded import FOLDER, MOST_TOKENS, NAMES, followed, model_at, recorded_run, turning_point
from gptloss.training.snapshot import Snapshot
from tests.helpers.record_runs import RECIPES, SEEN, UNSEEN, differences


def test_the_books_run_has_the_books_losses() -> None:
    """Chapter 5.2 prints 9.781 and 9.933 after the first step, and 0.391 and 6.452 after step 86."""
    run = recorded_run("book")
    by_step = {look.step: look for look in run.snapshots}
    assert [round(by_step[1].train_loss, 3), round(by_step[1].val_loss, 3)] == [9.781, 9.933]
    assert [round(by_step[86].train_loss, 3), round(by_step[86].val_loss, 3)] == [0.391, 6.452]
    assert run.snapshots[-1].train_loss < 1
    assert 6 < run.snapshots[-1].val_loss < 7
    assert run.turn
    assert run.watched[2:] == ("Every effort moves you", "I really like chocolate")


@pytest.mark.parametrize("name", NAMES)
def test_a_run_says_what_it_is_from(name: str) -> None:
    run = recorded_run(name)
    assert run.recipe == RECIPES[name]
    assert run.text_sha256 == text_hash(samples.BY_NAME[run.text])
    assert run.baselines.uniform == pytest.approx(math.log(run.vocab_size))
    assert run.snapshots[-1].step == run.recipe.steps
    assert all(len(look.watched) == len(run.watched) for look in run.snapshots)


@pytest.mark.parametrize(("name", "close"), [("small", 1e-3), ("rate", 0.2), ("dropout", 1e-3)])
def test_the_first_steps_again(name: str, close: float) -> None:
    """With a learning rate that is too large, the last digits of another processor grow fast."""
    found = differences(name, 20)
    assert [step for step, _ in found] == [0, 20]
    assert found[0][1] < 1e-3
    assert found[1][1] < close


def test_the_books_first_steps_again() -> None:
    """As many as a test may take; `python -m tests.helpers.record_runs --check book` runs 20."""
    found = differences("book", 1)
    assert [step for step, _ in found] == [0, 1]
    assert max(difference for _, difference in found) < 1e-3


def test_each_run_teaches_its_lesson() -> None:
    small, rate, dropout = (recorded_run(name) for name in ("small", "rate", "dropout"))
    assert small.turn
    assert small.turn.val_loss < small.baselines.bigram
    assert small.snapshots[-1].val_loss > small.baselines.unigram  # worse than counting
    assert min(look.val_loss for look in rate.snapshots) > rate.baselines.bigram
    assert rate.turn is None
    assert dropout.snapshots[-1].val_loss < small.turn.val_loss


def test_a_text_is_followed_from_noise_to_knowledge() -> None:
    run = recorded_run("small")
    text = followed("small", SEEN)
    assert text.tokens[:5] == ("I", "·", "H", "A", "D")
    assert len(text.log_probas) == len(run.kept)
    means = [sum(row) / len(row) for row in text.log_probas]
    assert means[0] < -4
    assert means[-1] > -0.5
    never = followed("small", UNSEEN)
    assert sum(never.log_probas[-1]) / len(never.log_probas[-1]) < means[-1] - 1


def test_the_kept_weights_are_those_of_the_record() -> None:
    """16 bits move a log-probability by less than a hundredth."""
    run = recorded_run("small")
    for step, row in zip(run.kept, followed("small", SEEN).log_probas, strict=True):
        look = next(look for look in run.snapshots if look.step == step)
        assert row == pytest.approx(look.watched[0].log_probas, abs=0.05)


def test_a_long_text_is_read_by_windows() -> None:
    text = followed("small", "the " * 30)
    assert len(text.tokens) == MOST_TOKENS > model_at("small", 0).info.context_length


@pytest.mark.parametrize("text", ["", "a"])
def test_a_text_without_a_second_letter_is_a_sentence(text: str) -> None:
    with pytest.raises(GptlossError, match="no second letter"):
        followed("small", text)


def test_an_unknown_run_names_those_there_are() -> None:
    with pytest.raises(GptlossError, match=r"'x'\. Recorded runs: small, rate, dropout, book"):
        recorded_run("x")


def test_the_files_are_small() -> None:
    assert sum(file.stat().st_size for file in FOLDER.rglob("*.*")) < 5_000_000


def test_a_sample_is_one_line() -> None:
    look = Snapshot(0, 0, 0, 1.0, 1.0, 0.0, 0.1, sample="a\n\x00é b")
    assert look.sample_line == "a↵�é b"


def looks(*losses: tuple[float, float]) -> list[Snapshot]:
    return [Snapshot(n, n, n, training, validation, 0.0, 0.1) for n, (training, validation) in enumerate(losses)]


def test_only_over_fitting_is_called_so() -> None:
    assert turning_point([]) is None
    assert turning_point(looks((5, 5), (3, 3), (2, 2))) is None
    assert turning_point(looks((5, 5), (3, 3), (3, 3.2))) is None  # both rose, or rest: noise
    found = turning_point(looks((5, 5), (3, 3), (1, 4)))
    assert found
    assert found.step == 1
