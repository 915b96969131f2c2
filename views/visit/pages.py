"""The pages of the app, in the order of the menu. A page that is not here is not in the menu."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Page:
    """A page: its file, its title, what stands under the title, and the group of the menu that it is in.

    With `start_token`, the sidebar lets the visitor put one before each text; a page without it asks elsewhere.
    A page may show `several_models` beside each other.
    """

    file: str
    title: str
    subtitle: str
    group: str
    start_token: bool = True
    several_models: bool = False


LOSS = Page(
    "app.py",
    "Loss, step by step",
    "Target tokens, their probabilities, one number. Choose a column to look inside.",
    "Learn",
)
TOKEN_PROBABILITIES = Page(
    "pages/token_probabilities.py",
    "Token probabilities",
    "What does the model expect here? All its tokens, not only the likeliest. Choose a token to look there.",
    "Explore",
)
SURPRISE = Page(
    "pages/surprise.py",
    "Surprise in a text",
    "The stronger its colour, the more a token surprised the model. Choose one to see what was expected there.",
    "Explore",
)
TEMPERATURE = Page(
    "pages/temperature.py",
    "Temperature and sampling",
    "How a token is drawn from the model’s probabilities, and what that does to them.",
    "Explore",
)
COMPARE = Page(
    "pages/compare.py",
    "Compare",
    "The same text under several models, or two texts under one.",
    "Explore",
    several_models=True,
)
DATA_SET_LOSS = Page(
    "pages/data_set_loss.py",
    "Data set loss",
    "From six tokens to a whole text: the loss on what a model learns from, and on what it never saw.",
    "Train",
    start_token=False,
)
PAGES = (LOSS, TOKEN_PROBABILITIES, SURPRISE, TEMPERATURE, COMPARE, DATA_SET_LOSS)
