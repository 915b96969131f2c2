"""The distribution that is shown: at a position of the visitor's text, or the book's nine words."""

from functools import lru_cache

import pandas as pd
import torch
from jaxtyping import Int
from torch import Tensor

from gptloss.charts.loss import position_title
from gptloss.charts.sampling import shown_ids
from gptloss.models import find
from gptloss.prediction.sampled import SampledDistribution
from gptloss.prediction.sampling import Sampler, draw, draw_one_by_one
from gptloss.scoring.batch import logits_by_chunks
from gptloss.serving.question import Question
from gptloss.serving.readings import batch_of
from views.shared.scored_text import scored
from views.temperature.controls import BOOK_WORDS, sampler_of
from views.visit.settings import Settings

# The book's logits for its nine words.
BOOK_LOGITS = (4.51, 0.89, -1.90, 6.75, 1.63, -1.62, -1.89, 6.28, 1.79)

# Where the distribution comes from: the rows and a position in them, or the book (None).
Subject = tuple[Question, tuple[int, int]] | None


def subject_of(settings: Settings) -> Subject:
    """What the charts are about; None for the book, and if no row can be scored."""
    if settings.source == "book" or scored(settings) is None:
        return None
    return settings.question, settings.at


@lru_cache(maxsize=8)
def choice_of(subject: Subject, sampler: Sampler) -> SampledDistribution:
    """The three charts of a distribution ask for the same one."""
    if subject is None:
        return SampledDistribution(torch.tensor(BOOK_LOGITS), BOOK_WORDS.__getitem__, sampler)
    question, at = subject
    batch, tokenizer = batch_of(question), find(question.model).tokenizer()
    target = batch.targets[batch.index(*at)].id
    return SampledDistribution(batch.logits_at(*at), lambda id: tokenizer.token(id).label, sampler, target)


def title_of(subject: Subject) -> str:
    """Which distribution it is, for the title of a chart: `p12 after “every effort”`."""
    if subject is None:
        return "After “every effort moves you”"
    question, at = subject
    return position_title(batch_of(question), *at)


def counts_of(subject: Subject, sampler: Sampler, n: int, seed: int) -> Int[Tensor, " v"]:
    """How often each token comes in n draws; the book's words are drawn as in the book."""
    logits = choice_of(subject, sampler).logits
    drawn = (draw if subject else draw_one_by_one)(sampler.probas(logits), n, seed)
    return torch.bincount(drawn, minlength=len(logits))


@lru_cache(maxsize=64)
def cut_off_targets(question: Question, sampler: Sampler) -> tuple[int, ...]:
    """The numbers k of the targets in the flattened list that top-k or top-p leaves no probability."""
    batch = batch_of(question)
    return tuple(
        k
        for start, logits in logits_by_chunks(batch.model, batch.hidden)
        for k, line in enumerate(logits, start)
        if not sampler.keeps(line)[batch.targets[k].id]
    )


def token_table(subject: Subject, settings: Settings) -> pd.DataFrame:
    """The tokens of the charts: logit, probability before and after, and how often each was drawn."""
    sampler = sampler_of(settings)
    choice, counts = choice_of(subject, sampler), counts_of(subject, sampler, settings.draws, settings.seed)
    ids = list(shown_ids(choice))
    return pd.DataFrame(
        {
            "id": ids,
            "token": [choice.label(id) for id in ids],
            "logit": choice.logits[ids].tolist(),
            "before": choice.before.log_probas[ids].exp().tolist(),
            "after": choice.after[ids].exp().tolist(),
            "drawn": counts[ids].tolist(),
        }
    )
