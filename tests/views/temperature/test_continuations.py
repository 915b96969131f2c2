"""Generating on "Temperature and sampling": the continuations, run without a browser."""

import gc
import weakref
from dataclasses import replace
from itertools import islice

import pytest
from streamlit.testing.v1 import AppTest

from gptloss import load_model
from gptloss.prediction.sampling import Sampler, generate
from gptloss.serving import continuations as serving
from gptloss.serving import models
from gptloss.serving.continuations import Start, continuation
from gptloss.tokens import ByteTokenizer
from tests.helpers.pages import button, opened, query, texts
from tests.helpers.temperature import BOOK, TOY, continuations
from views.temperature.continuations import visible
from views.visit import pages
from views.visit.fields.sampling import MOST_MADE

pytestmark = pytest.mark.filterwarnings("ignore")


def expected(sampler: Sampler, count: int, prompt: str = TOY["input"], model: str = "bigram", seed: int = 123) -> str:
    steps = islice(generate(load_model(model), prompt, sampler, seed=seed), count)
    return visible([*load_model(model).tokenizer.encode(prompt), *(step.token for step in steps)])


def test_step_goes_on_by_one_token_on_both_paths() -> None:
    app = opened(pages.TEMPERATURE, input=BOOK, temperature="1")
    assert continuations(app) == [BOOK, BOOK]
    for _ in range(2):
        button(app, "Step").click().run()
    greedy, sampled = continuations(app)
    assert greedy == BOOK + " rentingetic"
    assert sampled == expected(Sampler(), 2, BOOK, "gpt2-untrained")
    assert query(app)["made"] == ["2"]
    button(app, "Start over").click().run()
    assert continuations(app) == [BOOK, BOOK]
    assert "made" not in query(app)


def settled(app: AppTest) -> AppTest:
    """A page that makes many tokens does so at every tick, which comes only in a browser."""
    for _ in range(60):
        if not any("tokens are being made" in caption.value for caption in app.caption):
            return app
        app.run()
    raise AssertionError("the tokens were never made")


def test_a_link_makes_the_same_continuation_again() -> None:
    app = settled(opened(pages.TEMPERATURE, input=BOOK, made="10", temperature="1.5", top_k="40", seed="5"))
    greedy, sampled = continuations(app)
    assert greedy == BOOK + " rentingetic wasnم refres RexMeCHicular stren"
    assert sampled == expected(Sampler(1.5, 40), 10, BOOK, "gpt2-untrained", seed=5)
    assert "Sampled path: temperature 1.5, top-k 40, seed 5" in texts(app)


def test_play_makes_a_token_at_every_run_until_it_is_stopped() -> None:
    app = opened(pages.TEMPERATURE, **TOY)
    button(app, "Play").click().run()
    app.run()
    made = len(continuations(app)[0]) - len(TOY["input"])
    assert made == 2
    assert button(app, "Step").disabled
    button(app, "Stop").click().run()
    app.run()
    assert len(continuations(app)[0]) - len(TOY["input"]) == made
    assert query(app)["made"] == [str(made)]
    assert button(app, "Play")


def test_a_hundred_tokens_are_the_end() -> None:
    app = settled(opened(pages.TEMPERATURE, **TOY, made=str(MOST_MADE - 1)))
    assert "the page makes no more" not in texts(app)
    button(app, "Play").click().run()
    app.run()
    assert "100 tokens are made, and the page makes no more." in texts(app)
    assert button(app, "Play").disabled
    assert button(app, "Step").disabled
    assert continuations(app)[0] == expected(Sampler(0), 100)


def test_at_temperature_zero_both_paths_are_one() -> None:
    app = settled(opened(pages.TEMPERATURE, **TOY, made="12", temperature="0"))
    assert len(set(continuations(app))) == 1
    assert "both paths are the same" in texts(app)


def test_the_sampler_and_the_row_change_the_continuation() -> None:
    app = settled(opened(pages.TEMPERATURE, model="bigram", input=["one two", "tea time"], made="8", temperature="1"))
    assert continuations(app) == [expected(Sampler(0), 8, "one two"), expected(Sampler(), 8, "one two")]
    app.slider(key="temperature").set_value(0.4).run()
    assert settled(app).code[1].value == expected(Sampler(0.4), 8, "one two")
    app.session_state["settings"] = replace(app.session_state["settings"], at=(2, 3))
    app.run()
    assert settled(app).code[0].value == expected(Sampler(0), 8, "tea time")
    assert any("goes on after row 2" in caption.value for caption in app.caption)


def test_typing_starts_over() -> None:
    app = settled(opened(pages.TEMPERATURE, **TOY, made="5"))
    app.text_area(key="own-text").set_value("Now").run()
    assert continuations(app) == ["Now", "Now"]


def test_each_path_says_what_its_last_token_was_worth() -> None:
    app = settled(opened(pages.TEMPERATURE, **TOY, made="4"))
    (*_, last) = islice(generate(load_model("bigram"), TOY["input"], Sampler(0)), 4)
    assert f"Newest: {last.token.label} · probability " in texts(app)
    assert "rank 1" in texts(app)
    assert any("4 tokens; the loss of the path is" in caption.value for caption in app.caption)


def test_half_a_character_is_bytes_until_it_is_whole() -> None:
    tokens = ByteTokenizer().encode("a💙é")
    assert [visible(tokens[:n]) for n in (1, 3, 5, 6, 7)] == ["a", "a<F0 9F>", "a💙", "a💙<C3>", "a💙é"]


def test_who_leaves_while_it_plays_finds_it_stopped() -> None:
    app = opened(pages.TEMPERATURE, **TOY)
    button(app, "Play").click().run()
    app.query_params.clear()
    app.switch_page("app.py").run()
    app.query_params.clear()
    app.switch_page("pages/temperature.py").run()
    made = len(continuations(app)[0])
    app.run()
    assert len(continuations(app)[0]) == made
    assert button(app, "Play")


def start(prompt: str) -> Start:
    return Start("bigram", tuple(prompt.encode()), Sampler(), 123)


def test_a_continuation_is_made_once_for_all_and_goes_on_after_it_was_put_away() -> None:
    shared = continuation(start("shared"))
    assert continuation(start("shared")) is shared
    for n in range(1, 31):
        if n % 10 == 0:  # others push its reader out
            for k in range(serving.MOST_READERS + 1):
                continuation(start(f"other {n} {k}")).grow(1)
        shared.grow(n)
        shared.grow(n)  # it is there already
    assert len(shared.tokens) == 30
    ids = [made.token.id for made in islice(generate(load_model("bigram"), "shared", Sampler()), 30)]
    assert [made.token.id for made in shared.tokens] == ids


def test_no_more_continuations_are_kept_than_said() -> None:
    first = weakref.ref(continuation(start("many 0")))
    for k in range(1, serving.MOST_CONTINUATIONS):
        continuation(start(f"many {k}"))
    assert first() is not None
    continuation(start("one too many"))
    gc.collect()
    assert first() is None


def test_what_reads_goes_with_its_model() -> None:
    continuation(start("gone")).grow(1)
    model = weakref.ref(models.loaded("bigram").model)
    models.unload_all()
    gc.collect()
    assert model() is None
