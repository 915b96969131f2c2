"""The pages of the app, in the order of the menu. A page that is not here is not in the menu."""

from dataclasses import dataclass

# A text that tells: under a pretrained model ` Tokyo` has p > 0.9 at the last place, and ` pizza` 5.6e-11.
CAPITALS = "The capital of France is Paris. The capital of Italy is Rome. The capital of Japan is pizza."
# A report in which one word is odd: the dearest token of the text.
ODD = (
    "The city council met on Tuesday evening to vote on the new bridge. Engineers had spent two years measuring the"
    " river, and the mayor thanked them for their patience. The bridge will carry four lanes of traffic, open in"
    " spring and, according to the final report, be made entirely of soup. Work on the northern bank begins"
    " next month."
)

# Two pieces of *The Verdict*: a model that trains on its first 90 % sees the first one, and never the second.
VERDICT = ("I HAD always thought Jack Gisburn", "The Strouds stand alone")


@dataclass(frozen=True)
class Opening:
    """What a page shows, with the pretrained model, to a visitor who has chosen neither a model nor a text.

    `at` is the position that is chosen in the rows of text.
    """

    rows: tuple[str, ...]
    at: tuple[int, int] = (1, 1)


@dataclass(frozen=True)
class Page:
    """A page: its file, its title, what stands under the title, and the group of the menu that it is in.

    With `start_token`, the sidebar lets the visitor put one before each text; a page without it asks elsewhere.
    A page may show `several_models` beside each other; one that `brings_models` of its own needs none to be chosen.
    Without an `opening` it opens with the lecture's example.
    """

    file: str
    title: str
    subtitle: str
    group: str
    start_token: bool = True
    several_models: bool = False
    brings_models: bool = False
    opening: Opening | None = None


LOSS = Page(
    "app.py",
    "Loss, step by step",
    "Target tokens, their probabilities, one number. Choose a column to look inside.",
    "Learn",
)
PERPLEXITY = Page(
    "pages/perplexity.py",
    "Perplexity and pitfalls",
    "Is the loss good, what is it in other units, and what do people compute wrongly?",
    "Learn",
)
COMPRESSION = Page(
    "pages/compression.py",
    "What a loss buys",
    "A loss in bits is the length of a code: the text packed by the model, and read back.",
    "Learn",
    start_token=False,
    opening=Opening((ODD,)),
)
TOKEN_PROBABILITIES = Page(
    "pages/token_probabilities.py",
    "Token probabilities",
    "What does the model expect here? All its tokens, not only the likeliest. Choose a token to look there.",
    "Explore",
    opening=Opening((CAPITALS,), (1, 19)),
)
SURPRISE = Page(
    "pages/surprise.py",
    "Surprise in a text",
    "The stronger its colour, the more a token surprised the model. Choose one to see what was expected there.",
    "Explore",
    opening=Opening((ODD,), (1, 56)),
)
TEMPERATURE = Page(
    "pages/temperature.py",
    "Temperature and sampling",
    "How a token is drawn from the model’s probabilities, and what that does to them.",
    "Explore",
    opening=Opening((CAPITALS,), (1, 12)),
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
GRADIENT_STEP = Page(
    "pages/gradient_step.py",
    "One gradient step",
    "How does the loss change the weights? Each target is pushed up, every other token down.",
    "Train",
)
TRAINING = Page(
    "pages/training.py",
    "Training",
    "Watch the probabilities climb, and see where learning turns into knowing by heart.",
    "Train",
    start_token=False,
    brings_models=True,
    opening=Opening(VERDICT),
)
PAGES = (
    LOSS,
    PERPLEXITY,
    COMPRESSION,
    TOKEN_PROBABILITIES,
    SURPRISE,
    TEMPERATURE,
    COMPARE,
    DATA_SET_LOSS,
    GRADIENT_STEP,
    TRAINING,
)
