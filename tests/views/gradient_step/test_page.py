"""The page "One gradient step" without a browser."""

import json
import math
from collections.abc import Iterator
from dataclasses import replace

import pytest
import torch
from streamlit.testing.v1 import AppTest
from transformers import GPT2Config, GPT2LMHeadModel

from gptloss.serving.optimizer_steps import desk
from gptloss.training.optimizer_steps import LayerMove, OptimizerStep
from tests.helpers.pages import numbers, opened, query, texts
from views.gradient_step.steps import RATES, verdict
from views.visit import access, pages

pytestmark = pytest.mark.filterwarnings("ignore")


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A small model with random weights, the same each time."""
    folder = tmp_path_factory.mktemp("small")
    torch.manual_seed(123)
    GPT2LMHeadModel(GPT2Config(n_layer=2, n_embd=32, n_head=2, n_positions=64)).save_pretrained(folder)
    return str(folder)


@pytest.fixture(autouse=True)
def alone(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A visitor on the machine itself, who may name a folder; no copy is left to the next test."""
    monkeypatch.setattr(access, "any_model", lambda: True)
    yield
    desk.clear()


def charts(app: AppTest) -> list[str]:
    return [json.loads(chart.proto.spec)["layout"]["title"]["text"] for chart in app.get("plotly_chart")]


def test_the_first_visitor_sees_the_lectures_gradient() -> None:
    app = opened(pages.GRADIENT_STEP)
    assert not app.exception
    assert charts(app) == [
        "<b>The push on each logit at p<sub>11</sub></b>",
        "<b>Loss at p<sub>11</sub> against the target’s logit</b>",
    ]
    assert "-0.1667" in app.latex[0].value
    assert app.button(key="steps-over").disabled


def test_a_step_lowers_the_loss_and_back_is_the_start(small: str) -> None:
    app = opened(pages.GRADIENT_STEP, model=small, rate="0.1")
    app.button(key="take-step").click().run()
    before, after, predicted, actual, _ = numbers(app)
    assert float(after) < float(before)
    assert float(actual) == pytest.approx(float(after) - float(before), abs=2e-4)  # three numbers are rounded
    assert float(predicted) < 0
    assert "of what the slope promised" in texts(app)
    assert len(charts(app)) == 4
    app.button(key="take-step").click().run()
    again = numbers(app)
    assert again[0] == after
    assert [metric.delta for metric in app.metric][1] == "step 2, rate 0.1"
    app.button(key="steps-over").click().run()
    assert app.metric.values == []
    app.button(key="take-step").click().run()
    assert numbers(app)[:2] == [before, after]


def test_another_text_or_optimiser_begins_anew(small: str) -> None:
    app = opened(pages.GRADIENT_STEP, model=small)
    app.button(key="take-step").click().run()
    assert len(app.metric) == 5
    app.segmented_control(key="optimizer").set_value("adamw").run()
    assert len(app.metric) == 0
    assert query(app)["optimizer"] == ["adamw"]


def test_the_rate_is_in_the_link(small: str) -> None:
    app = opened(pages.GRADIENT_STEP, model=small, rate="0.03")
    assert app.select_slider(key="rate").value == 0.03
    app.select_slider(key="rate").set_value(0.5).run()
    assert query(app)["rate"] == ["0.5"]
    assert (RATES[0], RATES[-1], len(RATES)) == (1e-6, 1.0, 19)


def test_what_cannot_learn_says_so() -> None:
    app = opened(pages.GRADIENT_STEP, model="bigram")
    app.button(key="take-step").click().run()
    assert not app.exception
    assert "bigram has no weights that a gradient could change" in app.warning[0].value


def test_a_long_text_is_refused_for_steps(small: str) -> None:
    app = opened(pages.GRADIENT_STEP, model=small, input="word " * 300)
    app.button(key="take-step").click().run()
    assert "steps are taken on 256 at most" in app.warning[0].value


def step(number: int, predicted: float, actual: float, rate: float = 0.1) -> OptimizerStep:
    layers = (LayerMove("head", 1.0, 0.1),)
    return OptimizerStep(number, rate, 10.0, 10.0 + actual, (-10.0,), (-10.0 - actual,), predicted, layers)


def test_the_verdict_is_true_for_every_kind_of_step() -> None:
    short, long, rose = step(1, -0.1, -0.095), step(2, -10.0, -4.0), step(3, -10.0, 5.0, 0.5)
    assert verdict((short,)) == "The loss fell by 95.0% of what the slope promised: the step is short enough."
    assert "the slope changes on the way" in verdict((short, long))
    assert "the loss went up" in verdict((short, long, rose))
    after = verdict((short, long, rose, replace(short, number=4)))
    assert after.endswith("The loss first went up at step 3, with a learning rate of 0.5.")
    assert "the loss is no number" in verdict((step(1, -1.0, float("nan")),))
    assert "rounding hides what it changed" in verdict((step(1, -1e-9, 2e-7),))
    assert "this move went uphill, and the loss rose" in verdict((step(1, 0.1, 0.2),))
    assert "this move went uphill, and the loss fell all the same" in verdict((step(1, 0.1, -0.2),))


def test_a_row_longer_than_the_context_is_refused(small: str) -> None:
    app = opened(pages.GRADIENT_STEP, model=small, input="word " * 100)
    app.button(key="take-step").click().run()
    assert not app.exception
    assert "Row 1 has" in app.warning[0].value
    assert "a step reads 64 at most" in app.warning[0].value


def test_steps_that_diverge_are_drawn_and_explained(small: str) -> None:
    app = opened(pages.GRADIENT_STEP, model=small, optimizer="adamw", rate="1")
    for _ in range(3):
        app.button(key="take-step").click().run()
    assert not app.exception
    assert len(charts(app)) == 4
    assert "The loss first went up at step 1, with a learning rate of 1." in texts(app)


def test_a_copy_that_had_to_go_is_said(small: str) -> None:
    app = opened(pages.GRADIENT_STEP, model=small)
    app.button(key="take-step").click().run()
    assert len(app.warning) == 0
    desk.clear()  # as when another visitor takes its place
    app.button(key="take-step").click().run()
    assert "the steps began at the start again" in app.warning[0].value
    assert [metric.delta for metric in app.metric][1].startswith("step 1,")


def test_bits_change_all_figures_of_a_step(small: str) -> None:
    app = opened(pages.GRADIENT_STEP, model=small, rate="0.1")
    app.button(key="take-step").click().run()
    nats = [float(value) for value in numbers(app)]
    app.segmented_control(key="units").set_value("bits").run()
    assert [float(value) for value in numbers(app)] == pytest.approx(
        [value / math.log(2) for value in nats], abs=2e-3
    )
    assert not [metric for metric in app.metric if "nats" in f"{metric.label} {metric.delta}"]
