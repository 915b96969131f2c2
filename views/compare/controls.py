"""What is compared: models on one text, or texts under one model."""

import streamlit as st

from gptloss.charts.colours import RUNS
from gptloss.models import DEFAULT_MODEL, find, is_here
from gptloss.numbers import counted
from gptloss.serving.question import Question
from views.frame import model_choice, model_names, model_offer
from views.shared.choose_one import choose_one
from views.shared.folded import folded, preview
from views.shared.markdown import literal
from views.visit import access, session
from views.visit.fields.compare import MOST_MODELS, PARAGRAPH
from views.visit.fields.kinds import MAX_ROWS
from views.visit.fields.text import joined
from views.visit.settings import Settings

CHOICES = {"models": "Models on one text", "texts": "Two texts under one model"}
# Of a text in the folded controls.
LETTERS = 50


def comparison_controls(settings: Settings) -> None:
    """The controls: what is compared, then the models and their text, or the two texts."""
    models = settings.comparing == "models"
    kind, text = st.columns([5, 8], gap="small")
    with kind:
        choose_one("comparing", "What is compared", CHOICES, hide_label=True, spot=None)
    lines = compared_texts(settings) if models else settings.pair
    more = f" … and {counted(len(lines) - 1, 'more line')}" if models and len(lines) > 1 else ""
    summary = f"{preview(lines[-1] if models else lines[0], LETTERS)}{more}"
    with text, folded("text", summary if models else f"{summary}\n{preview(lines[1], LETTERS)}"):
        if models:
            _models(settings)
            _text(settings)
        else:
            _pair(settings)
    if not models:
        _trained(settings)
    model_offer.offers(name for name in missing(settings) if name not in session.wanted())


def compared_texts(settings: Settings) -> tuple[str, ...]:
    """The texts that the models read: the visitor's own, or the rows of the first page and a plain paragraph."""
    if settings.texts is not None:
        return settings.texts
    targets = settings.targets
    rows = settings.inputs if targets is None else map(joined, settings.inputs, targets)
    lines = [line for row in rows for line in row.split("\n") if line]
    return (*lines[: MAX_ROWS - 1], PARAGRAPH)


def titled_questions(settings: Settings) -> list[tuple[str, Question]]:
    """The title of each side, and what it asks of a model."""
    if settings.comparing == "texts":
        return [
            (f"Text {letter}", Question(settings.model, (text,), None, settings.bos))
            for letter, text in zip("AB", settings.pair, strict=True)
        ]
    names = [name for name in _names(settings) if is_here(name)]
    titles = [find(name).info.title for name in names]
    return [
        (
            title if titles.count(title) == 1 else f"{title} ({name})",
            Question(name, compared_texts(settings), None, settings.bos),
        )
        for name, title in zip(names, titles, strict=True)
    ]


def missing(settings: Settings) -> tuple[str, ...]:
    """The models that are compared and are not here."""
    return tuple(name for name in _names(settings) if not is_here(name)) if settings.comparing == "models" else ()


def _names(settings: Settings) -> list[str]:
    """The chosen model and those beside it. None stands alone: the untrained one is beside it, or the trained one."""
    names = list(dict.fromkeys([settings.model, *settings.others]))
    if len(names) > 1:
        return names
    beside = DEFAULT_MODEL if settings.model != DEFAULT_MODEL else access.pretrained_here()
    return sorted([settings.model, *([beside] if beside else [])], key=lambda name: name != DEFAULT_MODEL)


def colour_of(n: int, question: Question, settings: Settings) -> int:
    """Which of `RUNS` a side has: a model has the same colour wherever it is shown, a text that of its place."""
    fixed = {DEFAULT_MODEL: 0, access.pretrained(): 1}
    if settings.comparing == "texts":
        return n
    if question.model in fixed:
        return fixed[question.model]
    others = [name for name in _names(settings) if name not in fixed]
    free = [n for n in range(len(RUNS)) if n not in (fixed.get(name) for name in _names(settings))]
    return free[::-1][others.index(question.model) % len(free)]


def _models(settings: Settings) -> None:
    options = [name for name in dict.fromkeys([*access.models(), *settings.others]) if name != settings.model]
    session.give("others", [name for name in settings.others if name != settings.model])
    st.multiselect(
        "Compare with",
        options,
        format_func=model_names.option,
        key="others",
        max_selections=MOST_MODELS - 1,
        placeholder="Choose one to three models",
        select_all=False,
        on_change=_read_others,
    )


def _read_others() -> None:
    """Take what the browser sends, as far as this visitor may name it."""
    names = filter(access.allowed, map(str, st.session_state.others))
    session.change(others=tuple(names)[: MOST_MODELS - 1], spot=None)


def _text(settings: Settings) -> None:
    session.give("texts", "\n".join(compared_texts(settings)))
    st.text_area(
        f"Text: each line is read on its own, up to {MAX_ROWS} lines", key="texts", height=132, on_change=_read_text
    )


def _read_text() -> None:
    lines = tuple(line for line in st.session_state.texts.split("\n") if line)
    session.change(texts=lines[:MAX_ROWS] or None, spot=None)
    if len(lines) > MAX_ROWS:
        session.notify(f"The text has {len(lines)} lines; the first {MAX_ROWS} are compared.")


def _pair(settings: Settings) -> None:
    for n, (column, text) in enumerate(zip(st.columns(2), settings.pair, strict=True)):
        session.give(f"pair-{n}", text)
        column.text_area(f"Text {'AB'[n]}", key=f"pair-{n}", height=100, on_change=_read_pair)


def _trained(settings: Settings) -> None:
    """An untrained model hardly tells two texts apart: a button lets the trained one read them."""
    trained = access.pretrained()
    if settings.model == DEFAULT_MODEL and trained:
        title = model_names.title(trained)
        st.button(
            literal(f"Read both with {title}"),
            key="read-trained",
            help="An untrained model hardly tells the two texts apart.",
            icon=":material/school:",
            on_click=model_choice.choose_model,
            args=(trained,),
        )


def _read_pair() -> None:
    session.change(pair=(st.session_state["pair-0"], st.session_state["pair-1"]), spot=None)
