"""What every page must do, without a browser. The pages come from the menu, so a new one is guarded for nothing."""

import json
import re

import pytest
from streamlit.testing.v1 import AppTest

from tests.helpers.pages import opened, texts
from views.visit.pages import DATA_SET_LOSS, PAGES, Page

pytestmark = pytest.mark.filterwarnings("ignore")

HOSTILE = "<script>alert(1)</script> ![](http://x/y.png) **b** $x$ :red[z]"
QUICK = {"model": "bigram", "with": "uniform", "data": "island"}
every_page = pytest.mark.parametrize("page", PAGES, ids=lambda page: page.title)


def quick(page: Page, **query: str) -> AppTest:
    """The page under small models."""
    app = opened(page, **QUICK | query)
    assert not app.exception
    return app


def charts(app: AppTest) -> list[str]:
    return [chart.proto.spec for chart in app.get("plotly_chart")]


@every_page
def test_it_has_its_title_and_what_it_is_about(page: Page) -> None:
    app = quick(page)
    assert [title.value for title in app.title] == [page.title]
    assert page.subtitle == app.title[0].help


@every_page
def test_a_first_visitor_sees_something(page: Page) -> None:
    """Who touches nothing sees numbers or charts, and no error."""
    app = quick(page)
    assert charts(app) or app.metric
    assert not app.error


@every_page
def test_bits_change_every_unit(page: Page) -> None:
    app = quick(page, units="bits")
    labels = [*(metric.label for metric in app.metric), *(metric.delta for metric in app.metric)]
    said = [label for label in labels if label]
    layouts = [json.dumps(json.loads(chart)["layout"]) for chart in charts(app)]
    said += [
        layout for layout in layouts if "bits" not in layout or "perplexity" not in layout
    ]  # a ruler in all units
    assert [each for each in said if re.search(r"\bnats\b", each)] == []


@every_page
def test_no_table_is_made_before_somebody_asks(page: Page) -> None:
    assert not quick(page).dataframe


@every_page
def test_text_from_a_link_is_text(page: Page) -> None:
    app = quick(page, input=HOSTILE, text=HOSTILE)
    markup = [element.value for element in (*app.markdown, *app.caption, *app.header, *app.subheader)]
    assert [each for each in markup if "<script" in each or "![](" in each] == []
    if page != DATA_SET_LOSS:  # whose texts are never in a link
        boxes = [box.value for box in (*app.text_input, *app.text_area)]
        assert any(HOSTILE in (value or "") for value in boxes) or HOSTILE in texts(app)


@every_page
def test_a_bad_value_in_a_link_falls_back_alone(page: Page) -> None:
    app = quick(page, model="gtp2", units="miles", step="99")
    assert "There is no model called 'gtp2' here." in texts(app)
    assert "The link asks for units 'miles'; use nats or bits. Shown: nats." in texts(app)
    assert app.segmented_control(key="units").value == "nats"
