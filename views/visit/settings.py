"""The state of a visit, as a value. The fields of each page are declared in `fields`."""

from dataclasses import dataclass, replace
from dataclasses import fields as fields_of
from functools import cache, cached_property
from typing import Any
from urllib.parse import urlencode

from gptloss.serving.question import Question
from views.visit import pages
from views.visit.fields.compare import CompareFields
from views.visit.fields.dataset import DatasetFields
from views.visit.fields.gradient import GradientFields
from views.visit.fields.kinds import Kind
from views.visit.fields.perplexity import PerplexityFields
from views.visit.fields.probabilities import ProbabilitiesFields
from views.visit.fields.sampling import SamplingFields
from views.visit.fields.surprise import SurpriseFields
from views.visit.fields.text import TextFields
from views.visit.fields.training import TrainingFields

# Servers and chat programs cut longer links, so a longer text stays out of the address bar.
LINK_LIMIT = 8_000  # characters of the encoded query; one emoji is twelve

# The pages, in the order of the menu; each class holds the fields of one.
PARTS = {
    "Every page": TextFields,
    pages.PERPLEXITY.title: PerplexityFields,
    pages.TOKEN_PROBABILITIES.title: ProbabilitiesFields,
    pages.SURPRISE.title: SurpriseFields,
    pages.TEMPERATURE.title: SamplingFields,
    pages.COMPARE.title: CompareFields,
    pages.DATA_SET_LOSS.title: DatasetFields,
    pages.GRADIENT_STEP.title: GradientFields,
    pages.TRAINING.title: TrainingFields,
}


@dataclass(frozen=True)
class Settings(
    TrainingFields,
    GradientFields,
    DatasetFields,
    CompareFields,
    SamplingFields,
    SurpriseFields,
    ProbabilitiesFields,
    PerplexityFields,
    TextFields,
):
    """Everything that a link carries. `targets=None` means: the inputs shifted by one token.

    Until the visitor or a link has `chosen` a model or a text, each page shows its own.
    """

    chosen: bool = True

    @property
    def question(self) -> Question:
        """What the model is to read; the other fields only say how it is shown."""
        return Question(self.model, self.inputs, self.targets, self.bos)

    @cached_property
    def text_fits_link(self) -> bool:
        """Whether all texts are short enough to travel in a link."""
        if sum(len(text) for name, kind in KINDS.items() for text in kind.texts(getattr(self, name))) > LINK_LIMIT:
            return False
        texts = {kind.word: list(kind.texts(getattr(self, name))) for name, kind in KINDS.items()}
        return len(urlencode(texts, doseq=True)) <= LINK_LIMIT


KINDS: dict[str, Kind[Any]] = {
    field.name: field.metadata["kind"] for field in fields_of(Settings) if "kind" in field.metadata
}
OF_TEXT = tuple(field.name for field in fields_of(Settings) if field.metadata.get("of_text"))
FIRST = Settings()


@cache  # the menu asks for every page in every run
def first_on(page: pages.Page, trained: str | None) -> Settings:
    """What a page shows to a visitor who has chosen nothing; `trained` is the pretrained model, if it is here."""
    first = replace(FIRST, source="book" if page == pages.TEMPERATURE else "text", chosen=False)
    if page.opening is None or (trained is None and not page.brings_models):
        return first
    return replace(first, model=trained or first.model, inputs=page.opening.rows, targets=None, at=page.opening.at)
