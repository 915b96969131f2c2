"""Pages run without a browser."""

from typing import Any

from streamlit.testing.v1 import AppTest

from tests.helpers.driver import ROOT
from views.visit import pages
from views.visit.pages import Page


def opened(page: Page, own: bool = False, **query: Any) -> AppTest:
    """A page opened by a link; a word of Python is written with a line after it, as `with_` and `from_`.

    A link without a model and a text names the untrained one, unless the page's `own` example is meant.
    """
    if page.opening and not own and not {"model", "input", "target"} & set(query):
        query["model"] = "gpt2-untrained"
    app = AppTest.from_file(str(ROOT / "app.py"), default_timeout=120)
    for name, value in query.items():
        app.query_params[name.rstrip("_")] = value
    if page != pages.LOSS:
        app.switch_page(page.file)
    return app.run()


def numbers(app: AppTest) -> list[str]:
    assert not app.exception
    return [metric.value for metric in app.metric]


def texts(app: AppTest) -> str:
    return "\n".join(text.value for text in app.text)


def query(app: AppTest) -> dict[str, list[str]]:
    return {name: value if isinstance(value, list) else [value] for name, value in app.query_params.items()}


def button(app: AppTest, label: str) -> Any:
    return next(button for button in app.button if button.label == label)
