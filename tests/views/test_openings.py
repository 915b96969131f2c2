"""What a page shows to a visitor who has chosen nothing, and whether its example is what it says it is."""

import pytest
from streamlit.testing.v1 import AppTest

from gptloss import load_model, score
from gptloss.models import LanguageModel
from gptloss.models.catalogue import smollm2
from tests.helpers.pages import button, numbers, opened, query, texts
from views.loss.examples import PRESETS
from views.visit import pages
from views.visit.pages import CAPITALS, ODD

pytestmark = [
    pytest.mark.filterwarnings("ignore"),
    pytest.mark.skipif(not smollm2.here(), reason="smollm2-135m is not here: gptloss models pull smollm2-135m"),
]
WITH_OPENING = [page for page in pages.PAGES if page.opening and page != pages.TEMPERATURE and not page.brings_models]


@pytest.fixture(scope="module")
def trained() -> LanguageModel:
    return load_model("smollm2-135m")


def switch(app: AppTest, model: str) -> AppTest:
    return app.segmented_control(key="trained").set_value(model).run()


def test_the_first_text_tells(trained: LanguageModel) -> None:
    batch = score(trained, CAPITALS)
    assert batch.target_probas.max() > 0.9
    assert batch.targets[18].text == " pizza"
    assert batch.ranks[18] == pytest.approx(16_777, abs=200)  # the last digits of a logit differ by machine
    assert batch.top(1, 19, 1)[0].token.text == " Tokyo"
    assert batch.top(1, 19, 1)[0].proba == pytest.approx(0.9093, abs=1e-3)


def test_the_odd_word_is_one_token_in_both_vocabularies_and_the_dearest(trained: LanguageModel) -> None:
    assert "soup" in ODD
    for model in (trained, load_model("gpt2-untrained")):
        assert len(model.tokenizer.encode(" soup")) == 1
    batch = score(trained, ODD)
    opening = pages.SURPRISE.opening
    assert opening
    assert batch.targets[int(batch.log_probas.argmin())].text == " soup"
    assert batch.targets[batch.index(*opening.at)].text == " soup"


def test_the_predictable_text_is_predictable(trained: LanguageModel) -> None:
    (preset,) = [preset for preset in PRESETS if preset.name == "Predictable"]
    for text in preset.inputs:
        assert score(trained, text).loss < 1.5


@pytest.mark.parametrize("page", WITH_OPENING, ids=lambda page: page.title)
def test_it_opens_with_the_pretrained_model_on_its_own_text(page: pages.Page) -> None:
    app = opened(page, own=True)
    assert app.segmented_control(key="trained").value == "smollm2-135m"
    assert page.opening
    assert app.text_area(key="own-text").value == "\n".join(page.opening.rows)
    assert query(app) == {}


def test_the_main_page_opens_untrained_with_the_trained_one_beside_it() -> None:
    app = opened(pages.LOSS)
    assert app.segmented_control(key="trained").value == "gpt2-untrained"
    assert [metric.delta for metric in app.metric] == ["trained 8.0909", "trained 3,264.6"]
    switch(app, "smollm2-135m")
    assert numbers(app)[0] == "8.0909"
    assert app.metric[0].delta == "untrained 10.7940"


def test_the_switch_keeps_the_text_and_the_place() -> None:
    app = opened(pages.TOKEN_PROBABILITIES, own=True)
    assert "Probability of ·pizza" in app.metric[0].label.replace("\\", "")
    switch(app, "gpt2-untrained")
    assert query(app)["input"] == [CAPITALS]
    assert "Probability of ·pizza" in app.metric[0].label.replace("\\", "")
    switch(app, "smollm2-135m")
    assert "Probability of ·pizza" in app.metric[0].label.replace("\\", "")


def test_what_was_chosen_follows_to_the_other_pages() -> None:
    app = opened(pages.LOSS)
    button(app, "Predictable").click().run()
    app.query_params.clear()
    app.switch_page(pages.TOKEN_PROBABILITIES.file).run()
    assert app.text_area(key="own-text").value.startswith("Monday, Tuesday")
    assert app.segmented_control(key="trained").value == "gpt2-untrained"


def test_a_link_to_the_lecture_is_the_lecture() -> None:
    app = opened(pages.LOSS)
    button(app, "Lecture").click().run()
    app.query_params.clear()
    app.switch_page(pages.TOKEN_PROBABILITIES.file).run()
    assert query(app) == {"model": ["gpt2-untrained"]}
    assert app.text_area(key="own-text").value == "every effort moves you\nI really like chocolate"


def test_where_the_pretrained_model_is_not_here_the_switch_offers_it(
    monkeypatch: pytest.MonkeyPatch, tmp_path: object
) -> None:
    monkeypatch.setenv("GPTLOSS_HOME", str(tmp_path))
    app = opened(pages.TOKEN_PROBABILITIES, own=True)
    assert app.segmented_control(key="trained").value == "gpt2-untrained"
    switch(app, "smollm2-135m")
    assert "SmolLM2 135M is not on this machine." in texts(app)
    assert app.segmented_control(key="trained").value == "gpt2-untrained"


def test_compare_is_never_alone() -> None:
    for model in ("smollm2-135m", "gpt2-untrained"):
        app = opened(pages.COMPARE, model=model)
        assert len(app.metric) == 6
        assert (
            "SmolLM2 135M needs 0.94 bits per byte, GPT-2, untrained 3.43; the largest gain is at ·cools."
            in texts(app)
        )


def test_the_start_token_is_the_one_that_separated_documents(trained: LanguageModel) -> None:
    """Mean loss of " capital of France is Paris": without 3.00, after <|im_start|> 4.59, after <|endoftext|> 2.37."""
    text = "The capital of France is Paris"
    assert trained.info.bos_id == 0
    assert "separated the documents" in trained.info.bos_source
    means = {}
    for name, model in {"states": trained, "chat": load_model("smollm2-135m", start_token=1)}.items():
        means[name] = -score(model, text, bos=True).log_probas[1:].mean().item()
    assert score(trained, text).loss == pytest.approx(3.00, abs=0.02)
    assert means == pytest.approx({"states": 2.37, "chat": 4.59}, abs=0.02)
