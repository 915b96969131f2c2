"""What if: another token in the text, or another p_ij; what that changes at every later position."""

import math

import pandas as pd
import streamlit as st

from gptloss.charts.perplexity.what_if import waterfall_chart
from gptloss.charts.theme import CONFIG
from gptloss.errors import GptlossError
from gptloss.lessons.what_if import Branch
from gptloss.models import find
from gptloss.numbers import in_units, perplexity_text, position_name, proba_text
from gptloss.prediction.search import find_tokens
from gptloss.scoring.batch import ScoredBatch
from gptloss.serving.branches import branch_of
from gptloss.tokens import Token
from views.shared.markdown import literal
from views.shared.position_strip import position_strip
from views.shared.scored_text import QUICK, scored
from views.shared.tables import formats, numbers_as_tables
from views.shared.ticks import set_by_widget, widget_key
from views.visit import session
from views.visit.fields.edits import LONGEST_NAME, LOWEST, Edit, Named
from views.visit.fields.perplexity import MOST_BRANCHES
from views.visit.settings import Settings

OFFERED = 8
LOGS = formats("%.4f", "log_proba", "log_proba_after", "change")
# The steps of the slider: probabilities, ten to a power of ten.
PROBAS = [round(10 ** (power / 10), 12) for power in range(round(10 * math.log10(LOWEST)), 1)]


@st.fragment
def what_if() -> None:
    """The text, what can be changed at the chosen token, and what that changes."""
    settings = session.settings()
    batch = scored(settings)
    if batch is None:
        return session.write_link()
    st.text("Choose a token. Then force another one in its place, or give it another probability.")
    position_strip(settings, _choose)
    change, result = st.columns([5, 8], gap="medium")
    with change.container(border=True, height="stretch"):
        _tokens(batch, settings)
        _proba(batch, settings)
    with result:
        _changed(batch, settings)
    _kept(settings)
    session.write_link()


def _choose(at: tuple[int, int]) -> None:
    """Another place: a change of the one before is no longer shown."""
    session.change(at=at, edit=None)


def _tokens(batch: ScoredBatch, settings: Settings) -> None:
    """The likeliest tokens as buttons, and a box for any other."""
    i, j = settings.at
    target, edit = batch.targets[batch.index(i, j)], settings.edit
    offered = _offered(batch, settings)
    forced = edit.token if edit and edit.at == settings.at else None
    if forced is not None and forced not in [token.id for token in offered]:
        offered = [*offered, *_known(forced, settings)]
    labels = {token.id: _label(batch, settings, token) for token in offered}
    session.give("force", forced if forced in labels else None)
    st.pills(
        f"Instead of {literal(target.label)}, {position_name(i, j)}",
        list(labels),
        format_func=lambda id: labels.get(id, str(id)),
        key="force",
        on_change=_force,
    )
    st.text_input("Any token, by text or id", key="force-text", placeholder=" pizza · 464", on_change=_force_text)


def _offered(batch: ScoredBatch, settings: Settings) -> list[Token]:
    """The likeliest tokens at the chosen position, without the target."""
    target = batch.targets[batch.index(*settings.at)]
    return [found.token for found in batch.top(*settings.at, OFFERED) if found.token != target]


def _known(id: int, settings: Settings) -> list[Token]:
    """The token with this id, if the model has it."""
    info = find(settings.model).info
    return [find(settings.model).tokenizer().token(id)] if id < info.vocab_size else []


def _label(batch: ScoredBatch, settings: Settings, token: Token) -> str:
    proba = proba_text(batch.prediction(*settings.at, token.id).log_proba)
    return f"{literal(token.label)} {proba}"


def _force() -> None:
    token = st.session_state.force
    session.change(edit=None if token is None else Edit(session.settings().at, token=int(token)))


def _force_text() -> None:
    typed, settings = st.session_state["force-text"], session.settings()
    if not typed:
        return
    found = find_tokens(find(settings.model).tokenizer(), typed, 1)
    if found:
        session.change(edit=Edit(settings.at, token=found[0].id))
    else:
        session.change()
        session.notify(f"No token of this model holds {typed[:40]!r}; write a shorter text, or an id.")


def _proba(batch: ScoredBatch, settings: Settings) -> None:
    """A slider for p_ij, from what it is."""
    i, j = settings.at
    own = math.exp(batch.log_probas[batch.index(i, j)].item())
    edit = settings.edit
    set_to = edit.proba if edit and edit.at == settings.at and edit.proba else None
    value = set_to or own
    key = widget_key("moved-proba", value)
    session.give(key, value)
    st.select_slider(
        f"{position_name(i, j)}, the probability of {literal(batch.targets[batch.index(i, j)].label)}",
        sorted({*PROBAS, value}),
        format_func=lambda proba: proba_text(math.log(proba)),
        key=key,
        on_change=lambda: session.change(
            edit=Edit(session.settings().at, proba=float(str(set_by_widget("moved-proba"))))
        ),
    )
    st.caption(
        f"The model gives {proba_text(math.log(own))}. A probability changes only its own loss: −ln p is added up"
        " one by one."
    )


def _changed(batch: ScoredBatch, settings: Settings) -> None:
    """The figures and the waterfall; before anything is chosen, those of the likeliest other token."""
    edit = settings.edit or _example(batch, settings)
    if edit is None:
        return
    with st.spinner("Scoring the changed text …"):
        branch = _branch(edit, settings)
    if isinstance(branch, str):
        st.info(branch)
        return
    units = settings.units
    before, after = in_units(batch.loss, units), in_units(branch.loss, units)
    figures = [
        (f"Loss before, {units}", f"{before:.4f}", f"perplexity {perplexity_text(batch.loss)}"),
        (f"Loss after, {units}", f"{after:.4f}", f"perplexity {perplexity_text(branch.loss)}"),
        ("Change of the loss", f"{in_units(branch.change, units):+.4f}", branch.what),
    ]
    if not settings.edit:
        st.caption(f"For example: {literal(branch.what)} at {position_name(*edit.at)}")
    with st.container(horizontal=True, gap="small", key="changed"):
        for label, value, note in figures:
            st.metric(label, value, literal(note), delta_color="off", delta_arrow="off")
    alt = f"{branch.what}: the loss changes by {branch.change:+.4f} nats. A bar for each of the positions after it."
    st.plotly_chart(waterfall_chart(branch, units), key="waterfall", config=CONFIG, alt=alt)
    if settings.edit:
        _keeping(branch, settings)
    with numbers_as_tables("what-if-tables") as opened:
        if opened:
            st.caption("The changed position and all after it in its row; logs and changes in nats")
            st.dataframe(branch_table(branch), hide_index=True, column_config=LOGS, key="what-if-frame")


def _example(batch: ScoredBatch, settings: Settings) -> Edit | None:
    """The likeliest other token; of a long row none, because each token after it has to be scored again."""
    row = next(row for row in batch.rows if row.number == settings.at[0])
    offered = _offered(batch, settings)
    return Edit(settings.at, token=offered[0].id) if offered and len(row.targets) <= QUICK else None


def _keeping(branch: Branch, settings: Settings) -> None:
    """A name to keep the change under, and the way back."""
    with st.container(horizontal=True, gap="small", vertical_alignment="bottom", key="keeping"):
        st.text_input("Name", key="branch-name", max_chars=LONGEST_NAME, placeholder=branch.what)
        full = len(settings.branches) >= MOST_BRANCHES
        st.button("Keep", icon=":material/bookmark_add:", key="keep-branch", on_click=_keep, disabled=full)
        st.button("Take back", icon=":material/undo:", key="take-back", on_click=_take_back)


def _branch(edit: Edit, settings: Settings) -> Branch | str:
    """The change made, or a sentence on why it cannot be."""
    try:
        return branch_of(settings.question, edit.at, edit.token, edit.proba)
    except GptlossError as error:
        return str(error)


def _take_back() -> None:
    session.change(edit=None)


def _keep() -> None:
    settings = session.settings()
    if settings.edit is None:
        return
    branch = _branch(settings.edit, settings)
    name = " ".join(st.session_state["branch-name"].split()) or (branch if isinstance(branch, str) else branch.what)
    kept = Named(name[:LONGEST_NAME], settings.edit)
    session.change(branches=(*(old for old in settings.branches if old.edit != kept.edit), kept)[-MOST_BRANCHES:])


def _kept(settings: Settings) -> None:
    """The kept changes: a table of what each costs, a button to come back to each, one to forget it."""
    if not settings.branches:
        return
    st.header("Kept", anchor=False)
    for n, kept in enumerate(settings.branches):
        branch = _branch(kept.edit, settings)
        with st.container(horizontal=True, gap="small", vertical_alignment="center", key=f"branch-{n}"):
            st.button(literal(kept.name), key=f"open-branch-{n}", on_click=_open, args=(n,))
            told = branch if isinstance(branch, str) else _told(branch, settings)
            st.text(told)
            st.button("Forget", key=f"forget-branch-{n}", type="tertiary", on_click=_forget, args=(n,))


def _told(branch: Branch, settings: Settings) -> str:
    units = settings.units
    change = f"{in_units(branch.change, units):+.4f}"
    return f"{branch.what} at {position_name(*branch.at)}: loss {in_units(branch.loss, units):.4f} ({change}) {units}"


def _open(n: int) -> None:
    kept = session.settings().branches[n]
    session.change(edit=kept.edit, at=kept.edit.at)


def _forget(n: int) -> None:
    branches = session.settings().branches
    session.change(branches=(*branches[:n], *branches[n + 1 :]))


def branch_table(branch: Branch) -> pd.DataFrame:
    """The bars of the waterfall as numbers: token, ln p before and after, what it costs more; in nats."""
    touched = list(branch.touched)
    return pd.DataFrame(
        {
            "position": [position_name(*branch.batch.positions[k]) for k in touched],
            "token": [branch.targets[k].label for k in touched],
            "log_proba": [branch.batch.log_probas[k].item() for k in touched],
            "log_proba_after": [branch.log_probas[k].item() for k in touched],
            "change": [branch.changes[k].item() for k in touched],
        }
    )
