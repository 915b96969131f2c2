"""The page "Temperature and sampling", run without a browser."""

from streamlit.testing.v1 import AppTest

BOOK = "Every effort moves you"


TOY = {"model": "bigram", "input": "The clock on the wall"}


def continuations(app: AppTest) -> list[str]:
    """The greedy and the sampled text, as they are shown to copy."""
    assert not app.exception
    return [code.value for code in app.code]
