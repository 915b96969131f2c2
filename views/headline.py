"""The three numbers of the page: the loss, the perplexity and the blind guess."""

import streamlit as st

from gptloss.ladder import in_units
from gptloss.measures import uniform_loss
from gptloss.models import REGISTRY
from gptloss.numbers import perplexity_text
from gptloss.scoring import ScoredBatch
from views.settings import Settings


def headline(batch: ScoredBatch | None, settings: Settings) -> None:
    """Loss, perplexity and ln V, large; dashes while no row can be scored."""
    v = REGISTRY[settings.model].info.vocab_size
    base, log = ("e", "ln") if settings.units == "nats" else ("2", "log₂")
    guess = uniform_loss(v)
    loss, perplexity, uniform = st.columns(3, gap="small")
    loss.container(key="loss").metric(
        f"Loss ({settings.units} per token)",
        f"{in_units(batch.loss, settings.units):.4f}" if batch else "–",
        border=True,
        help="Cross-entropy: minus the mean of the logs of the target probabilities.",
    )
    perplexity.metric(
        f"Perplexity = {base}^loss",
        perplexity_text(batch.loss) if batch else "–",
        border=True,
        help="As unsure as a choice between this many equally likely tokens.",
    )
    uniform.metric(
        f"A blind guess: {log} {v:,}",
        f"{in_units(guess, settings.units):.4f}",
        border=True,
        help="The loss when every token of the vocabulary gets the same probability.",
    )
