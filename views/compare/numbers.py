"""A card for each side with its loss. The sides are read one after the other."""

from collections.abc import Sequence

import streamlit as st
from streamlit.delta_generator import DeltaGenerator

from gptloss.analysis.alignment import Shared, Span, aligned_tokens, shared, widest
from gptloss.errors import GptlossError
from gptloss.measures import bits_per_byte
from gptloss.models import find
from gptloss.numbers import in_units, perplexity_text
from gptloss.scoring.batch import ScoredBatch
from gptloss.serving.models import fit
from gptloss.serving.readings import Reading, reading
from views.compare.sides import UnreadSide, compute_while_loaded, sides, spans, unread_sides
from views.shared.markdown import literal
from views.shared.scored_text import report
from views.visit.settings import Settings

WHY_BYTES = (
    "Each model cuts text into tokens of its own, so a loss per token is not the same thing for two models."
    " Bits per byte spreads the whole loss over the bytes of the scored text: compare that."
)


def side_cards(settings: Settings) -> list[UnreadSide]:
    """A card for each side: loss, bits per byte and perplexity; and what could not be read. Gives what could be."""
    found = _read_all(settings)
    scored = {side.n: result.batch for side, result in found if result.batch}
    several = settings.comparing == "models" and len(found) > 1
    common = shared(list(scored.values())) if several and len(scored) > 1 else None
    per_byte = dict(zip(scored, _bits_per_byte(list(scored.values()), common), strict=True))
    for column, (side, result) in zip(st.columns(max(len(found), 2)), found, strict=False):
        with column.container(border=True, key=f"run-{side.colour}", gap="xsmall"):
            heading(side.title, f"run-{side.colour}")
            _card(side.n, result, per_byte.get(side.n, "–"), settings)
    if several:
        st.caption(" ".join([WHY_BYTES, *(_what_is_compared(list(scored.values()), common) if common else [])]))
    return [side for side, result in found if result.batch]


def summary(unread: Sequence[UnreadSide], settings: Settings) -> None:
    """What the comparison shows, in a sentence: who is better by how much, and where the difference is largest."""
    scored = [(side, batch) for side in unread[:2] if (batch := reading(side.question).batch)]
    if len(scored) < 2:
        return
    (one, first), (other, second) = scored
    both = {row.number for row in first.rows} & {row.number for row in second.rows}
    rows = [spans(aligned_tokens(first, i), aligned_tokens(second, i), settings) for i in sorted(both)]
    span = widest([span for row in rows for span in row])
    if span is None:
        return
    with st.container(key="compare-summary"):
        st.text(_summary(one, other, first, second, span, settings))


def _summary(
    one: UnreadSide, other: UnreadSide, first: ScoredBatch, second: ScoredBatch, span: Span, settings: Settings
) -> str:
    if settings.comparing == "texts":
        losses = [
            f"{in_units(batch.loss, settings.units):.2f} {settings.units} per token" for batch in (first, second)
        ]
        return f"Text A costs {losses[0]}, Text B {losses[1]}; they differ most at {span.label}."
    common = shared([first, second])
    per_byte = dict(zip((one.title, other.title), _bits_per_byte([first, second], common), strict=True))
    better, worse = sorted(per_byte, key=lambda title: (per_byte[title] == "–", per_byte[title]))
    gain = "largest gain" if (span.difference > 0) == (better == other.title) else "largest difference"
    return (
        f"{better} needs {float(per_byte[better]):.2f} bits per byte, {worse} {float(per_byte[worse]):.2f};"
        f" the {gain} is at {span.label}."
        if "–" not in per_byte.values()
        else f"The largest difference is at {span.label}."
    )


def heading(text: str, key: str) -> None:
    """A heading that is never Markdown: a folder may be called anything."""
    with st.container(key=f"title-{key}"):
        st.text(text)


def _read_all(settings: Settings) -> list[tuple[UnreadSide, Reading]]:
    """What each side scored. If the models do not fit in memory together, each computes all that is shown at once."""
    place, found = st.empty(), list[tuple[UnreadSide, Reading]]()
    wanted = unread_sides(settings)
    crowded = not fit(side.question.model for side in wanted)
    for side in wanted:
        with place.container():
            bar = st.empty()
            with st.spinner(_doing(side, len(wanted), settings)):  # it shows itself only if this takes long
                found.append((side, _read(side, bar)))
                if crowded:
                    so_far = sides([side for side, result in found if result.batch], settings)
                    compute_while_loaded(so_far if len(so_far) > 1 else [], settings.units)
    place.empty()
    return found


def _doing(side: UnreadSide, count: int, settings: Settings) -> str:
    model = literal(find(side.question.model).info.title)
    if settings.comparing == "texts":
        return f"{model} reads {side.title} …"
    return f"Model {side.n + 1} of {count}: {model} reads the text …"


def _read(side: UnreadSide, bar: DeltaGenerator) -> Reading:
    """The rows, scored. If the model cannot be loaded, that is the error of all rows."""
    try:
        return reading(side.question, lambda done, total: report(bar, done, total))
    except GptlossError as error:
        return Reading(None, {0: error.with_traceback(None)})


def _bits_per_byte(batches: Sequence[ScoredBatch], common: Shared | None) -> list[str]:
    """Of each side; where models are compared, over what all of them scored."""
    if common is None:
        return [f"{batch.bits_per_byte:.4f}" for batch in batches]
    return [f"{bits_per_byte(nats, common.size):.4f}" if common.size else "–" for nats in common.nats]


def _card(n: int, result: Reading, per_byte: str, settings: Settings) -> None:
    batch = result.batch
    with st.container(horizontal=True, gap="small", key=f"figures-{n}"):
        st.metric(
            f"Loss, {settings.units} per token", f"{in_units(batch.loss, settings.units):.4f}" if batch else "–"
        )
        st.metric("Bits per byte", per_byte)
        st.metric("Perplexity", perplexity_text(batch.loss) if batch else "–")
    if batch:
        lines = f" of {len(batch.rows)} lines" if len(batch.rows) > 1 else ""
        start = ", with the start token" if settings.bos and batch.model.info.bos_id is not None else ""
        st.caption(f"{len(batch):,} tokens, {batch.target_bytes:,} bytes{lines} scored{start}")
    for error in result.errors.values():
        st.text(str(error))


def _what_is_compared(batches: Sequence[ScoredBatch], common: Shared) -> list[str]:
    """What bits per byte are taken over, if not all sides scored the same."""
    if all(batch.target_bytes == common.size for batch in batches):
        return []
    if not common.size:
        return ["No line was scored by all of them, so there is none to compare."]
    rows = {row.number for batch in batches for row in batch.rows}
    lines = f" in line {_listed(common.lines)}" if len(common.lines) < len(rows) else ""
    return [f"It is taken over the {common.size:,} bytes{lines} that all of them scored."]


def _listed(numbers: Sequence[int]) -> str:
    *first, last = map(str, numbers)
    return f"{', '.join(first)} and {last}" if first else last
