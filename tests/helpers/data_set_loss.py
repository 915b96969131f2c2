"""The page "Data set loss", run without a browser."""

import json
from typing import Any

from streamlit.testing.v1 import AppTest

from gptloss import load_model
from gptloss.corpus.conventions import plan
from gptloss.corpus.scoring import scored_windows
from gptloss.corpus.tally import Tally
from tests.helpers.pages import button, query
from views.visit import pages

PAGE = pages.DATA_SET_LOSS


SPLIT, CONVENTION = range(2)  # drawn before a run


RULER, ALONG, HISTOGRAM, CONTEXT = 0, 3, 4, 5  # after it


def asked(app: AppTest) -> dict[str, Any]:
    """The link, without the rows of the other pages, which are other tokens to this model."""
    return {name: value for name, value in query(app).items() if name != "input"}


def charts(app: AppTest) -> list[dict[str, Any]]:
    assert not app.exception
    return [json.loads(chart.proto.spec) for chart in app.get("plotly_chart")]


def labels(app: AppTest) -> list[str]:
    return [each.label for each in app.button]


def ran(app: AppTest) -> AppTest:
    button(app, "Run").click().run()
    assert "Run" not in labels(app)
    assert "Stop" not in labels(app)
    return app


def library(text: str, split: float = 0.9, **how: Any) -> list[Tally]:
    """Training and validation by the library alone."""
    model, at = load_model("bigram"), int(split * len(text))
    made = []
    for part in (text[:at], text[at:]):
        tally = Tally(plan(how.get("convention", "book"), model.info, how.get("window", 256), how.get("stride")))
        for scored in scored_windows(model, [part], tally.plan):
            tally.add(scored)
        made.append(tally)
    return made


def upload(app: AppTest, *files: tuple[str, bytes]) -> AppTest:
    return app.file_uploader[0].set_value([(name, raw, "text/plain") for name, raw in files]).run()
