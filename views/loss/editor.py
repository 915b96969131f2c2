"""The editor of rows: an input and its target side by side, the examples, and what is wrong with a row."""

from typing import Literal

import streamlit as st

from gptloss.errors import GptlossError, TooLongError, UnequalLengthsError
from gptloss.models import find
from gptloss.tokens import text_of
from views.loss.examples import PRESETS, Preset
from views.shared.folded import LETTERS_SHOWN, folded, preview
from views.shared.row_errors import encoded_or_empty, row_error_card, start_of
from views.visit import session
from views.visit.fields.kinds import MAX_ROWS
from views.visit.fields.text import joined
from views.visit.settings import LINK_LIMIT, Settings

# Rows in the folded editor.
ROWS_SHOWN = 3
# Of a row that is left out, to show where it goes wrong.
TOKENS_SHOWN = 60

Rows = tuple[tuple[str, ...], tuple[str, ...] | None]
Titles = Literal["visible", "collapsed"]

# The whole text of a row goes to the server as the visitor types, after this pause.
TYPING_PAUSE = "200ms"


def editor(settings: Settings) -> None:
    """The rows in a line each; unfolded, the boxes and buttons that change them. Below, the examples."""
    with folded("editor", _summary(settings)):
        _boxes(settings)
    _examples()


def _summary(settings: Settings) -> str:
    """The rows as they are read, a line each: what goes in, and what is to come out."""
    targets = settings.targets or (None,) * len(settings.inputs)
    lines = [_line(given, target) for given, target in zip(settings.inputs, targets, strict=True)]
    more = [f"… and {len(lines) - ROWS_SHOWN} more rows"] if len(lines) > ROWS_SHOWN else []
    return "\n".join(lines[:ROWS_SHOWN] + more)


def _line(given: str, target: str | None) -> str:
    if target is None:
        return preview(given)
    half = LETTERS_SHOWN // 2
    return f"{preview(given, half)} → :primary[{preview(target.replace(' ', '·'), half)}]"


def _boxes(settings: Settings) -> None:
    shown = settings.inputs, settings.targets
    with st.container(gap="xsmall", key="editor-rows"):
        for i in range(len(settings.inputs)):
            _row(settings, i)
        with st.container(horizontal=True, vertical_alignment="center", key="editor-actions"):
            st.button(
                "Add a row",
                icon=":material/add:",
                type="tertiary",
                disabled=len(settings.inputs) == MAX_ROWS,
                on_click=_add_row,
                args=(shown,),
            )
            session.give("shift", settings.targets is None)
            st.toggle(
                "Targets = inputs shifted by one",
                key="shift",
                on_change=_switch_shift,
                args=(shown,),
                help="Each token's target is the token after it, as in training. Off: type any targets.",
            )
        _start_token(settings)


def _start_token(settings: Settings) -> None:
    """What stands in front of every row without being written there."""
    model = find(settings.model)
    if settings.bos and model.info.bos_id is not None:
        st.text(f"Each row is read after the start token {model.tokenizer().token(model.info.bos_id).label}")


def _examples() -> None:
    """The presets, one click away."""
    with st.container(horizontal=True, gap="small", key="presets", vertical_alignment="center"):
        st.caption("Examples", width="content")
        for preset in PRESETS:
            st.button(preset.name, help=preset.why, type="tertiary", on_click=_use, args=(preset,))


def row_errors(errors: dict[int, GptlossError], settings: Settings) -> None:
    """One sentence for each row that cannot be scored, with its tokens and the way out as a button."""
    shown = settings.inputs, settings.targets
    for number, error in errors.items():
        with row_error_card(number, f"Row {number} is left out", str(error)):
            if isinstance(error, UnequalLengthsError) and settings.targets is not None:
                _show_tokens("input", settings.inputs[number - 1])
                _show_tokens("target", settings.targets[number - 1])
                st.button("Shift all inputs by one", key=f"mend-{number}", on_click=_shift, args=(shown,))
            elif isinstance(error, TooLongError):
                st.button(
                    f"Keep the first {error.limit} tokens"
                    + (" and the next as the last target" if settings.targets is None else ""),
                    key=f"mend-{number}",
                    on_click=_keep_first,
                    args=(shown, number - 1, error.limit),
                )
                st.page_link(
                    "pages/surprise.py", label="Read all of it, window by window: Surprise in a text", width="content"
                )


def _row(settings: Settings, i: int) -> None:
    shown = settings.inputs, settings.targets
    given, target, remove = st.columns([9, 10, 1.5], gap="xsmall", vertical_alignment="bottom")
    titles: Titles = "visible" if i == 0 else "collapsed"
    with given:
        _text_box(shown, f"input-{i}", "Input" if i == 0 else f"Input {i + 1}", settings.inputs[i], titles)
    with target:
        locked = settings.targets is None
        text = settings.targets[i] if settings.targets is not None else _shifted_text(settings.inputs[i])
        title = "Target: what comes next" if i == 0 else f"Target {i + 1}"
        _text_box(shown, f"target-{i}", title, text, titles, locked)
    with remove:
        st.button(
            f"Remove row {i + 1}",
            key=f"remove-{i}",
            icon=":material/close:",
            type="tertiary",
            help=f"Remove row {i + 1}",
            disabled=len(settings.inputs) == 1,
            on_click=_remove_row,
            args=(shown, i),
        )


def _text_box(shown: Rows, key: str, label: str, text: str, titles: Titles, locked: bool = False) -> None:
    key = _box(key, text)
    session.give(key, text)
    if "\n" in text:
        st.text_area(
            label, key=key, height=68, label_visibility=titles, disabled=locked, on_change=_read, args=(shown,)
        )
    else:
        st.text_input(
            label,
            key=key,
            label_visibility=titles,
            disabled=locked,
            live=TYPING_PAUSE,
            on_change=_read,
            args=(shown,),
        )


def _box(key: str, text: str) -> str:
    """The key of the box that shows `text`: a one-line box would drop newlines, so they get a larger one."""
    return f"{key}-lines" if "\n" in text else key


def _show_tokens(what: str, text: str) -> None:
    tokens = encoded_or_empty(text)
    more = f"  … and {len(tokens) - TOKENS_SHOWN:,} more" if len(tokens) > TOKENS_SHOWN else ""
    st.text(f"{what}:  " + "  |  ".join(token.label for token in tokens[:TOKENS_SHOWN]) + more)


def _shifted_text(text: str) -> str:
    """What the locked target box shows."""
    if len(text) > LINK_LIMIT:
        return "(too long to show)"
    return text_of(encoded_or_empty(text)[1:])


def _read(shown: Rows) -> None:
    """Copy what stands in the boxes to the settings.

    Several changes may arrive in one run. The first reads all boxes, which still are as `shown`; a button does so
    too before it moves rows, so that nothing typed is lost.
    """
    current = session.settings()
    if (current.inputs, current.targets) != shown:
        return

    def typed(name: str, texts: tuple[str, ...]) -> tuple[str, ...]:
        return tuple(st.session_state[_box(f"{name}-{i}", text)] for i, text in enumerate(texts))

    inputs, targets = shown
    now = typed("input", inputs), None if targets is None else typed("target", targets)
    if targets is not None and now[0] != inputs and now[1] == targets and _follow(inputs, targets):
        # Somebody types an input, and the targets were the inputs shifted by one: they go on shifting.
        pairs = zip(inputs, now[0], targets, strict=True)
        now = tuple(new if new != old else joined(old, target) for old, new, target in pairs), None
    session.change(inputs=now[0], targets=now[1])


def _follow(inputs: tuple[str, ...], targets: tuple[str, ...]) -> bool:
    """Whether every target is its input without the first token, and with one more at the end."""
    for given, target in zip(inputs, targets, strict=True):
        read = encoded_or_empty(given)
        if not read or encoded_or_empty(target)[:-1] != read[1:]:
            return False
    return True


def _use(preset: Preset) -> None:
    session.change(inputs=preset.inputs, targets=preset.targets, at=(1, 1))


def _add_row(shown: Rows) -> None:
    _read(shown)
    current = session.settings()
    session.change(inputs=(*current.inputs, ""), targets=current.targets and (*current.targets, ""))


def _remove_row(shown: Rows, i: int) -> None:
    _read(shown)
    current = session.settings()
    session.change(
        inputs=current.inputs[:i] + current.inputs[i + 1 :],
        targets=current.targets and current.targets[:i] + current.targets[i + 1 :],
    )


def _switch_shift(shown: Rows) -> None:
    if st.session_state.shift:
        _shift(shown)
    else:
        _unshift(shown)


def _shift(shown: Rows) -> None:
    """Drop the targets. A target that was the shifted input all along lends the input its last token."""
    _read(shown)
    current = session.settings()
    if current.targets is None:
        return
    pairs = zip(current.inputs, current.targets, strict=True)
    session.change(inputs=tuple(_joined(given, target) for given, target in pairs), targets=None)


def _joined(given: str, target: str) -> str:
    inputs, targets = encoded_or_empty(given), encoded_or_empty(target)
    whole = text_of([*inputs, *targets[-1:]])
    return whole if inputs and inputs[1:] == targets[:-1] and encoded_or_empty(whole)[1:] == targets else given


def _unshift(shown: Rows) -> None:
    """Write the shifted targets out, so that they can be edited; the scored tokens stay the same."""
    _read(shown)
    inputs, targets = [], []
    for number, text in enumerate(session.settings().inputs, 1):
        tokens = encoded_or_empty(text)
        given, target = text_of(tokens[:-1]), text_of(tokens[1:])
        if len(tokens) < 2:
            given, target = text, ""
        elif encoded_or_empty(given) != tokens[:-1] or encoded_or_empty(target) != tokens[1:]:
            session.change()
            session.notify(
                f"Row {number} cannot be split into an input and a target text: its first or last token is a part"
                " of a character or word. The shift stays on; change that end of the row first."
            )
            return
        inputs.append(given)
        targets.append(target)
    session.change(inputs=tuple(inputs), targets=tuple(targets))


def _keep_first(shown: Rows, i: int, limit: int) -> None:
    """Keep what the model can read of row i: `limit` tokens, and with the shift one more as the last target."""
    _read(shown)
    current = session.settings()
    inputs = list(current.inputs)
    inputs[i] = start_of(inputs[i], limit + (current.targets is None))
    if current.targets is None:
        session.change(inputs=tuple(inputs))
        return
    targets = list(current.targets)
    targets[i] = start_of(targets[i], limit)
    session.change(inputs=tuple(inputs), targets=tuple(targets))
