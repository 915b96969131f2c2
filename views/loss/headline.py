"""The loss, the perplexity and the blind guess, large."""

import streamlit as st

from gptloss.measures import uniform_loss
from gptloss.models import find
from gptloss.numbers import LOGARITHMS, in_units, perplexity_text
from gptloss.scoring.batch import ScoredBatch
from views.visit.settings import Settings


def headline(batch: ScoredBatch | None, settings: Settings) -> None:
    """Loss, perplexity and ln V, large; dashes while no row can be scored."""
    v = find(settings.model).info.vocab_size
    base, log = LOGARITHMS[settings.units].base, LOGARITHMS[settings.units].symbol
    guess = uniform_loss(v)
    loss, perplexity, uniform = st.columns(3, gap="xsmall", wrap=False)
    loss.container(key="loss").metric(
        f"Loss, {settings.units} per token",
        f"{in_units(batch.loss, settings.units):.4f}" if batch else "–",
        border=True,
    )
    perplexity.metric(
        f"Perplexity = {base}^loss",
        perplexity_text(batch.loss) if batch else "–",
        border=True,
    )
    uniform.metric(
        f"Blind guess: {log} {v:,}",
        f"{in_units(guess, settings.units):.4f}",
        border=True,
    )
    if batch:
        verdict = _verdict(in_units(guess - batch.loss, settings.units), settings.units)
        st.text(f"{verdict} a blind guess.")


def _verdict(gain: float, units: str) -> str:
    if abs(gain) < 0.00005:
        return "The same as"
    return f"{abs(gain):.4f} {units} per token {'better' if gain > 0 else 'worse'} than"
