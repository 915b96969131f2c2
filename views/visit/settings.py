"""Settings: the state of a visit. Pure Python; `links` brings it to the address bar and back."""

from dataclasses import dataclass
from typing import Literal
from urllib.parse import urlencode

from gptloss.corpus.conventions import Convention
from gptloss.models import DEFAULT_MODEL
from gptloss.numbers import Units

MAX_ROWS = 8
STEPS = 7
# Longer links are cut by servers and chat programs, so a longer text stays out of the address bar.
LINK_LIMIT = 8_000  # characters of the encoded query; one emoji is twelve

MOST_MODELS = 4
# Positions or tokens beside the chosen one on "Token probabilities".
MOST_PINS = 3
FEWEST_SHOWN, MOST_SHOWN = 5, 50
HOTTEST = 5.0
LARGEST_SEED = 2**31 - 1
# Tokens that "Temperature and sampling" makes.
MOST_MADE = 100
DRAWS = (10, 100, 1_000, 10_000)
# The share of a text that is for training, on "Data set loss".
SMALLEST_SPLIT, LARGEST_SPLIT = 0.5, 0.95

LECTURE_INPUTS = ("every effort moves", "I really like")
LECTURE_TARGETS = (" effort moves you", " really like chocolate")


# Compare opens with a plain paragraph under the lecture's sentences, or with two texts of which one is odd.
PARAGRAPH = (
    "Water covers most of the earth. When the sun warms the sea, some of the water turns into vapor and rises into"
    " the air. High above the ground it cools and forms clouds, and when the clouds grow heavy the water falls back"
    " to the ground as rain."
)
PAIR = (
    "She poured hot water over the tea leaves and waited for five minutes.",
    "She poured hot water over the car keys and waited for five minutes.",
)

Comparing = Literal["models", "texts"]
View = Literal["probas", "logits"]
Colour = Literal["loss", "probability", "rank", "entropy"]
Source = Literal["text", "book"]
# The text of "Data set loss": one that ships with gptloss, the book's, the visitor's files, what they pasted.
Data = Literal["island", "verdict", "files", "paste"]
# A position (i, j), or the id of a token.
Pin = tuple[int, int] | int
# What a reading depends on: the model, the inputs, the targets, and whether there is a start token.
Asked = tuple[str, tuple[str, ...], tuple[str, ...] | None, bool]


@dataclass(frozen=True)
class Settings:
    """The state of a visit. `targets=None` means: the inputs shifted by one token.

    `at` is the chosen (i, j), `step` the step that is explained, 0 for none; with `bos` each row starts with the
    model's start token, if it has one. On the page Compare, `model` stands beside the models `others` on `texts`
    (None: the rows and a paragraph), or reads the two texts of `pair`; `comparing` says which, and `spot` is the
    chosen (line, token) there (None: the last line, where the runs differ most).

    On "Token probabilities" the `shown` likeliest tokens stand as a `view`, beside the `token` that was searched for
    and the `pins`. On "Surprise in a text" tokens have a `colour`, and `figures` under them. `temperature` (0:
    greedy), `top_k` (0: all tokens) and `top_p` (1: all) say how a token is sampled, `seed` which one; `made` tokens
    have been made, and `draws` are drawn from one position of the text, or from the book's example (`source`).

    On "Data set loss" the text `data` is cut in two at `split` and read by windows as the `convention` says, with a
    start token if `start` (None: as the convention has it); `stride` counts in `strided` alone. A `second` model
    reads the same, and `look` is the number of the window that is looked at.
    """

    model: str = DEFAULT_MODEL
    inputs: tuple[str, ...] = LECTURE_INPUTS
    targets: tuple[str, ...] | None = LECTURE_TARGETS
    at: tuple[int, int] = (1, 1)
    units: Units = "nats"
    step: int = 0
    bos: bool = False
    others: tuple[str, ...] = ("smollm2-135m",)
    texts: tuple[str, ...] | None = None
    pair: tuple[str, str] = PAIR
    comparing: Comparing = "models"
    spot: tuple[int, int] | None = None
    shown: int = 10
    view: View = "probas"
    token: int | None = None
    pins: tuple[Pin, ...] = ()
    colour: Colour = "loss"
    figures: bool = False
    temperature: float = 1.0
    top_k: int = 0
    top_p: float = 1.0
    seed: int = 123
    made: int = 0
    source: Source = "text"
    draws: int = 1_000
    data: Data = "island"
    split: float = 0.9
    convention: Convention = "book"
    window: int = 256
    stride: int = 128
    start: bool | None = None
    second: str = ""
    look: int | None = None

    @property
    def asked(self) -> Asked:
        """What the model is to read; other fields only say how it is shown."""
        return self.model, self.inputs, self.targets, self.bos

    @property
    def text_fits_link(self) -> bool:
        """Whether all texts are short enough to travel in a link."""
        texts = {"input": self.inputs, "target": self.targets or (), "text": self.texts or (), "pair": self.pair}
        return len(urlencode(texts, doseq=True)) <= LINK_LIMIT


def joined(given: str, target: str) -> str:
    """An input and what its target has after it; the input alone if the target does not overlap it."""
    for start in range(1, len(given)):
        if target.startswith(given[start:]):
            return given + target[len(given) - start :]
    return given
