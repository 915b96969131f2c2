"""The page "Temperature and sampling", run without a browser."""

from typing import Any

from streamlit.testing.v1 import AppTest

from tests.helpers.driver import ROOT

BOOK = "Every effort moves you"


TOY = {"model": "bigram", "input": "The clock on the wall"}


def open_page(**query: Any) -> AppTest:
    app = AppTest.from_file(str(ROOT / "app.py"), default_timeout=60)
    for name, value in query.items():
        app.query_params[name.rstrip("_")] = value
    app.switch_page("pages/temperature.py")
    return app.run()


def continuations(app: AppTest) -> list[str]:
    """The greedy and the sampled text, as they are shown to copy."""
    assert not app.exception
    return [code.value for code in app.code]
