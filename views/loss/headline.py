"""The loss and the perplexity, large, what they mean, and where the loss stands on a ruler."""

from dataclasses import dataclass
from html import escape
from pathlib import Path

import streamlit as st

from gptloss.lessons.ruler import choices_text
from gptloss.measures import uniform_loss
from gptloss.models import DEFAULT_MODEL, find
from gptloss.numbers import LOGARITHMS, Units, in_units, perplexity_text
from gptloss.scoring.batch import ScoredBatch
from views.shared.other_model import OtherModel
from views.visit.settings import Settings

STYLE = (Path(__file__).parent / "style.css").read_text("utf-8")
# So near to a blind guess, in nats per token, nothing has been learned.
NEAR = 0.5
# The share of the ruler that a label takes.
ROOM = 0.24


def headline(batch: ScoredBatch | None, other: OtherModel | None, settings: Settings) -> None:
    """Loss and perplexity, large; dashes while no row can be scored. Under them what the other model has."""
    v, units = find(settings.model).info.vocab_size, settings.units
    figures, meaning = st.columns([10, 9], gap="small", vertical_alignment="center")
    loss, perplexity = figures.columns(2, gap="small", wrap=False)
    loss.container(key="loss").metric(
        f"Loss, {units}/token",
        f"{in_units(batch.loss, units):.4f}" if batch else "–",
        f"{other.word} {in_units(other.loss, units):.4f}" if other else " ",
        delta_color="off",
        delta_arrow="off",
    )
    perplexity.metric(
        f"Perplexity, {LOGARITHMS[units].base}^loss",
        perplexity_text(batch.loss) if batch else "–",
        f"{other.word} {perplexity_text(other.loss)}" if other else " ",
        delta_color="off",
        delta_arrow="off",
    )
    if batch:
        with meaning.container(key="meaning"):
            st.text(
                f"As unsure as among {choices_text(batch.loss)} equally likely tokens; the vocabulary has {v:,}."
                f" {verdict(batch.loss, v, settings)}"
            )
        st.html(f"<style>{STYLE}</style>{ruler(batch.loss, v, other, units)}")


def verdict(loss: float, v: int, settings: Settings) -> str:
    """What a loss says beside that of a blind guess."""
    guess, units = uniform_loss(v), settings.units
    if abs(loss - guess) < NEAR:
        learned = "has learned nothing yet" if settings.model == DEFAULT_MODEL else "knows no more of this text"
        return f"About what a blind guess costs: this model {learned}."
    amount = f"{in_units(abs(loss - guess), units):.4f} {units} per token"
    if loss > guess:
        return f"{amount} above a blind guess: it bet on the wrong tokens."
    return f"{amount} below a blind guess: it knows something of this text."


def ruler(loss: float, v: int, other: OtherModel | None, units: Units) -> str:
    """A line from 0 to a blind guess with the loss on it, as HTML; all numbers are ours."""
    guess = uniform_loss(v)
    longest = max(guess, loss, other.loss if other else 0.0)
    marks = [_Mark("guess", guess / longest, f"{in_units(guess, units):.2f} blind guess", below=True)]
    if other:
        near = abs(other.loss - loss) < ROOM * longest
        name = f"{in_units(other.loss, units):.2f} {other.word}"
        marks.append(_Mark(other.word, other.loss / longest, name, below=near))
    marks.append(_Mark("this", loss / longest, f"{in_units(loss, units):.2f} this text"))
    alt = f"The loss on a ruler that begins at 0, certain: {', '.join(mark.label for mark in marks)}, in {units}"
    return (
        f'<div class="loss-ruler" role="img" aria-label="{escape(alt)}"><div class="line"></div>'
        f'<span class="label below zero">0 certain</span>{"".join(mark.html for mark in marks)}</div>'
    )


@dataclass(frozen=True)
class _Mark:
    """A dot on the ruler, at a share of its length, and its label above or below the line."""

    kind: str
    place: float
    label: str
    below: bool = False

    @property
    def html(self) -> str:
        """The label ends at its dot in the right half, and begins there in the left one."""
        at = min(self.place, 1 - 1.1 * ROOM) if self.below and self.kind != "guess" else self.place
        side = f"right: calc({100 - 100 * at:.2f}% - 0.5rem)" if at > 0.5 else f"left: calc({100 * at:.2f}% - 0.5rem)"
        where = f"label{' below' * self.below} {self.kind}"
        dot = f'<i class="{self.kind}" style="left: {100 * self.place:.2f}%"></i>'
        return f'{dot}<span class="{where}" style="{side}">{escape(self.label)}</span>'
