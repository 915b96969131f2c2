"""Runs in the background: shared, taking turns, stopped, resumed, bounded."""

import time
from collections.abc import Iterator
from itertools import count
from threading import Event
from typing import Any

import pytest

from gptloss import load_model
from gptloss.corpus import scoring
from gptloss.corpus.conventions import Plan, plan
from gptloss.corpus.job import PARTS, Document, Job, Texts, texts_of
from gptloss.corpus.layout import layout
from gptloss.corpus.run import score_parts
from gptloss.corpus.scoring import scored_windows
from gptloss.corpus.tally import Tally
from gptloss.errors import GptlossError
from gptloss.models import find
from gptloss.serving import runs
from gptloss.serving.runs import find_run, kept, leave, start, under_way

BIGRAM = find("bigram").info
TEXT = "It was a bright cold day in April, and the clocks were striking thirteen. " * 40
_numbers = count()


def job(text: str = TEXT, model: str = "bigram", **more: Any) -> Job:
    how = more.pop("plan", plan("book", BIGRAM, 64))
    return Job(model, texts_of((Document("a", text),)), how, more.pop("split", 0.9))


def fresh(text: str = TEXT) -> Job:
    """A job that no test before has run."""
    return job(f"{next(_numbers)} {text}")


def finished(one: Job, seconds: float = 20) -> runs.BackgroundRun:
    run = find_run(one)
    assert run is not None
    run.wait(seconds)
    assert not run.running
    return run


# How many runs were inside a forward pass at the same time, at each pass.
at_once: list[int] = []


@pytest.fixture
def slow(monkeypatch: pytest.MonkeyPatch) -> Iterator[Event]:
    """A forward pass takes 20 ms, until the event is set."""
    hurry = Event()
    inside: list[None] = []
    at_once.clear()

    monkeypatch.setattr(scoring, "TOKENS", 64)  # a window a pass

    def slowed(*args: Any, **more: Any) -> Iterator[Any]:
        for scored in score_parts(*args, **more):
            inside.append(None)
            hurry.wait(0.02)
            at_once.append(len(inside))
            inside.pop()
            yield scored

    monkeypatch.setattr(runs, "score_parts", slowed)
    yield hurry
    hurry.set()
    runs.stop_and_forget_all()


def until(true: Any, seconds: float = 10) -> None:
    end = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < end
        time.sleep(0.01)


def test_a_run_ends_with_the_librarys_numbers() -> None:
    one = fresh()
    start([one], "me")
    run = finished(one)
    assert (run.state, run.error) == ("done", "")
    text, model = one.texts.documents[0].text, load_model("bigram")
    at = int(0.9 * len(text))
    for part, piece in zip(PARTS, (text[:at], text[at:]), strict=True):
        tally = Tally(one.plan)
        for scored in scored_windows(model, [piece], one.plan):
            tally.add(scored)
        result = run.result(part)
        assert result is not None
        assert result.loss == pytest.approx(tally.snapshot().loss)
        assert result.window_starts == tally.snapshot().window_starts
    assert run.tokens == layout("bigram", one.texts, 0.9).scored(one.plan)
    assert run in kept("me")


def test_equal_jobs_are_one_run() -> None:
    one, again = job("same " * 99), job("same " * 99)
    assert one == again
    assert one != job("other" * 99)
    assert one != job("same " * 99, split=0.8)
    start([one], "me")
    finished(one)
    run = find_run(one)
    start([again], "you")
    assert find_run(again) is run
    assert run is not None
    assert run.state == "done"
    assert run in kept("you")


def test_stopped_half_way_it_goes_on_and_ends_with_the_same_numbers(slow: Event) -> None:
    one = fresh()
    start([one], "me")
    run = find_run(one)
    assert run is not None
    until(lambda: run.tokens >= 3 * 64)
    assert under_way("me") == [run]
    leave("me")
    assert (run.running, run.state) == (False, "stopped")
    run.wait(5)
    part = run.tokens
    assert 0 < part < layout("bigram", one.texts, 0.9).scored(one.plan)
    incomplete = run.result("training")
    assert incomplete is not None
    assert incomplete.tokens_scored == part
    assert run.tokens == part  # its thread has ended
    slow.set()
    start([one], "me")
    assert finished(one).state == "done"
    unbroken = runs.BackgroundRun(one)
    unbroken.visitors["me"] = time.monotonic()
    unbroken.begin()
    unbroken.wait(20)
    for name in PARTS:
        mine, theirs = run.result(name), unbroken.result(name)
        assert mine is not None
        assert theirs is not None
        assert (mine.log_likelihood, mine.window_starts) == (theirs.log_likelihood, theirs.window_starts)


def test_it_stops_when_all_who_wanted_it_have_left(slow: Event, monkeypatch: pytest.MonkeyPatch) -> None:
    gone: set[str] = set()
    monkeypatch.setattr(runs, "AWAY", 0.2)
    one = fresh(TEXT * 20)
    start([one], "me", lambda visitor: visitor not in gone)
    start([one], "you", lambda visitor: visitor not in gone)
    run = find_run(one)
    assert run is not None
    until(lambda: run.tokens > 0)
    gone.add("me")
    before = run.tokens
    until(lambda: run.tokens > before + 40 * 64)  # more passes than fit into the time that one may be away
    assert run.running
    gone.add("you")
    run.wait(5)
    assert run.state == "stopped"
    assert not run.running


def test_one_visitor_stops_it_for_themselves_alone(slow: Event) -> None:
    one = fresh(TEXT * 20)
    start([one], "me")
    start([one], "you")
    run = find_run(one)
    assert run is not None
    leave("me")
    assert run.running
    assert under_way("me") == []
    leave("you")
    assert not run.running


def test_another_run_takes_the_place_of_the_first(slow: Event) -> None:
    one, other = fresh(TEXT * 20), fresh()
    start([one], "me")
    start([other], "me")
    first = find_run(one)
    assert first is not None
    assert not first.running
    assert [run.job for run in under_way("me")] == [other]


def test_runs_take_turns(slow: Event) -> None:
    jobs = [fresh(TEXT * 5) for _ in range(3)]
    for k, one in enumerate(jobs):
        start([one], f"visitor {k}")
    made = [run for one in jobs if (run := find_run(one))]
    until(lambda: sum(run.tokens for run in made) > 64 * 30)
    assert min(run.tokens for run in made) > 64 * 3
    assert set(at_once) == {1}


def test_the_second_waits_for_the_first(slow: Event) -> None:
    one, other = fresh(), fresh()
    start([one, other], "me")
    first, second = find_run(one), find_run(other)
    assert first is not None
    assert second is not None
    until(lambda: first.tokens > 0)
    assert (second.state, second.tokens) == ("waiting", 0)
    assert second.running
    slow.set()
    assert finished(other).state == "done"
    assert first.state == "done"


def test_too_many_runs_at_once_are_refused(slow: Event, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(runs, "MOST_RUNNING", 2)
    jobs = [fresh(TEXT * 20) for _ in range(3)]
    start(jobs[:1], "a")
    start(jobs[1:2], "b")
    with pytest.raises(GptlossError, match="2 other visitors compute on this machine; try again in 2 minutes"):
        start(jobs[2:], "c")
    assert find_run(jobs[2]) is None


def test_all_runs_of_one_visitor_take_one_place(slow: Event, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(runs, "MOST_RUNNING", 2)
    jobs = [fresh(TEXT * 20) for _ in range(9)]
    start(jobs[:8], "a")
    start(jobs[8:], "b")
    assert [run.state for run in map(find_run, jobs[1:8]) if run] == ["waiting"] * 7
    slow.set()
    assert finished(jobs[8]).state == "done"


def test_a_run_that_has_worked_for_long_makes_way_and_goes_on_later(
    slow: Event, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(runs, "MOST_RUNNING", 1)
    monkeypatch.setattr(runs, "MAKES_WAY", 0.0)
    long, other = fresh(TEXT * 20), fresh(TEXT * 20)
    start([long], "a")
    first = find_run(long)
    assert first is not None
    until(lambda: first.tokens > 0)
    start([other], "b")
    assert (first.state, first.error) == ("stopped", runs.MADE_WAY)
    slow.set()
    assert finished(other).state == "done"
    start([long], "a")
    assert finished(long).state == "done"
    assert first.error == ""


def test_few_are_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(runs, "MOST_KEPT", 3)
    jobs = [fresh("few words here " * 20) for _ in range(5)]
    for one in jobs:
        start([one], "me")
        run = find_run(one)
        assert run is not None
        run.wait(10)
    assert [find_run(one) is not None for one in jobs] == [False, False, True, True, True]


def test_the_same_text_under_another_name_is_another_job() -> None:
    assert texts_of((Document("mine", TEXT),)) != texts_of((Document("yours", TEXT),))
    assert texts_of((Document("a", TEXT),)) == texts_of((Document("a", TEXT),))


def test_a_limit_ends_it(slow: Event, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(runs, "MOST_SECONDS", 0.1)
    one = fresh(TEXT * 20)
    start([one], "me")
    run = finished(one)
    assert run.state == "stopped"
    before = run.tokens
    start([one], "me")  # "Go on" has the whole time again
    assert finished(one).tokens > before


def test_a_part_that_is_too_short_is_said_and_the_rest_is_scored() -> None:
    one = fresh("some words " * 20)
    start([one], "me")
    run = finished(one)
    assert run.state == "done"
    assert run.result("training") is not None
    assert run.result("validation") is None
    (said,) = run.short["validation"]
    assert "book needs 65" in said


def test_several_documents_are_cut_each_by_itself() -> None:
    texts = texts_of((Document("a", "x" * 1000), Document("b", "y" * 500)))
    one = Job("bigram", texts, plan("rolling", BIGRAM, 64), 0.8)
    start([one], "me")
    run = finished(one)
    seen = {(done.part, done.document): 0 for done in run.windows}
    for done in run.windows:
        seen[done.part, done.document] += done.scored.window.scored
    assert seen == {("training", 0): 799, ("training", 1): 399, ("validation", 0): 199, ("validation", 1): 99}
    places = layout("bigram", texts, 0.8)
    assert [(piece.part, piece.begins, len(piece.text)) for piece in places.pieces] == [
        ("training", 0, 800),
        ("validation", 800, 200),
        ("training", 1000, 400),
        ("validation", 1400, 100),
    ]


def test_what_goes_wrong_is_a_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*args: Any, **more: Any) -> Any:
        raise GptlossError("The model is broken; take another.")

    monkeypatch.setattr(runs, "score_parts", broken)
    one = fresh()
    start([one], "me")
    run = finished(one)
    assert (run.state, run.error) == ("failed", "The model is broken; take another.")
    monkeypatch.undo()
    start([one], "me")
    assert finished(one).state == "done"


def test_what_nobody_foresaw_is_logged(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    monkeypatch.setattr(runs, "score_parts", lambda *args, **more: 1 / 0)
    one = fresh()
    start([one], "me")
    assert finished(one).error == runs.BUSY
    assert "ZeroDivisionError" in caplog.text


def test_the_time_left_follows_the_pace() -> None:
    run = runs.BackgroundRun(fresh())
    assert run.seconds_left(300) is None
    run.state, run._since = "running", (time.monotonic() - 10, 0)
    assert run.seconds_left(300) is None
    run._tallies["training"].tokens = 100
    assert run.seconds_left(300) == pytest.approx(20, abs=1)


def test_a_token_ends_where_the_last_whole_character_ends() -> None:
    places = layout("bigram", texts_of((Document("a", "é💙a" + "." * 3),)), 0.5)
    assert [piece.ends.tolist() for piece in places.pieces] == [[0, 1, 1, 1, 1, 2, 3], [4, 5, 6]]


@pytest.mark.parametrize("how", [Plan("book", 16, 16, False), Plan("strided", 16, 5, False)])
@pytest.mark.parametrize("text", ["plain letters only, and more of them", "naïve 💙 café — “quotes” 猫が好き" * 3])
def test_the_layout_gives_each_window_its_text(text: str, how: Plan) -> None:
    texts: Texts = texts_of((Document("a", text * 4),))
    one = Job("bigram", texts, how, 0.5)
    start([one], "me")
    run = finished(one)
    place, token = layout("bigram", texts, 0.5), find("bigram").tokenizer().token
    for done in run.windows:
        raw = b"".join(token(id).raw for id in done.scored.ids.tolist())
        between = place.by_part[done.part, done.document].between(done.scored.window, how)
        assert raw.decode("utf-8", "ignore").strip() in between or not raw.decode("utf-8", "ignore").strip()
        assert abs(len(between.encode()) - len(raw)) < 4
