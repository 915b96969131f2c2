"""The text: the book's, a story that ships with gptloss, the visitor's files, or a pasted one.

Files and what was pasted stay with the visitor: they are in the session, not in the link.
"""

import streamlit as st

from gptloss.corpus import samples
from gptloss.corpus.job import Document, Texts, texts_of
from gptloss.corpus.text import decoded
from gptloss.errors import GptlossError
from views.visit import session
from views.visit.settings import Settings

CHOICES = {"verdict": "The Verdict", "island": "A story", "files": "My files", "paste": "Paste"}
FILES, PASTED, TURN, CHOSEN = "data-files", "data-pasted", "data-turn", "data-chosen"
LARGEST = 2_000_000  # characters in all
LARGEST_FILE = 2  # MB


def text_controls(settings: Settings) -> Texts | None:
    """The choice, and what goes with it; the texts, or None if there are none yet."""
    if settings.data in ("files", "paste") and not session.recall(CHOSEN, False):
        session.correct(
            "The link is about a text that its maker had, which does not travel in a link; the page shows its own.",
            always=True,
            data="verdict",
        )
    session.give("data", settings.data)
    st.segmented_control(
        "Text",
        list(CHOICES),
        format_func=CHOICES.__getitem__,
        key="data",
        required=True,
        label_visibility="collapsed",
        on_change=_choose,
    )
    with st.container(key="data-choice", gap="xsmall"):
        {"island": _island, "verdict": _verdict, "files": _files, "paste": _paste}[settings.data]()
    return chosen_texts(settings)


def _choose() -> None:
    session.remember(CHOSEN, True)  # a text of the visitor's own may be wanted before it is here
    session.change(data=st.session_state.data, look=None)


def chosen_texts(settings: Settings) -> Texts | None:
    """The chosen texts, if they are here and not empty; for fragments and callbacks."""
    if settings.data == "files":
        documents = _kept()
    elif settings.data == "paste":
        documents = (Document("pasted", session.recall(PASTED, "")),)
    else:
        name = CHOICES[settings.data]
        documents = (Document(name, samples.BY_NAME[name]),)
    documents = tuple(document for document in documents if document.text)
    return texts_of(documents) if documents else None


def _island() -> None:
    st.caption("*The Survey of Skerrin*, a story in ten chapters, 21,135 characters, written for this page.")


def _verdict() -> None:
    st.caption("*The Verdict* by Edith Wharton, 1908: the book’s text, 20,479 characters.")


def _files() -> None:
    kept = _kept()
    turn = session.recall(TURN, 0)
    st.file_uploader(
        "Text files in UTF-8; each is cut in two by itself",
        ["txt", "md"],
        accept_multiple_files=True,
        key=f"data-upload-{turn}",
        max_upload_size=LARGEST_FILE,
        on_change=_read,
        args=(turn,),
    )
    if kept:
        with st.container(horizontal=True, gap="small", vertical_alignment="center", key="data-kept"):
            st.text("\n".join(f"{document.name} · {len(document.text):,} characters" for document in kept))
            st.button("Remove all", icon=":material/close:", key="data-remove", type="tertiary", on_click=_remove)


def _kept() -> tuple[Document, ...]:
    """The visitor's files."""
    nothing: tuple[Document, ...] = ()
    return session.recall(FILES, nothing)


def _read(turn: int) -> None:
    """Add the files to those that are here; then the uploader is empty again."""
    files = st.session_state[f"data-upload-{turn}"]
    session.change(look=None)
    if not files:
        return
    session.remember(TURN, turn + 1)
    kept = {document.name: document for document in _kept()}
    for file in files:
        try:
            kept[file.name] = _document(file.name, file.getvalue(), kept)
        except GptlossError as error:
            session.notify(str(error))
    session.remember(FILES, tuple(kept.values()))


def _document(name: str, raw: bytes, kept: dict[str, Document]) -> Document:
    text = decoded(raw, name)
    if not text:
        raise GptlossError(f"{name} is empty; choose a file with some text.")
    size = len(text) + sum(len(document.text) for document in kept.values() if document.name != name)
    if size > LARGEST:
        raise GptlossError(
            f"With {name} it would be {size:,} characters, and the page takes {LARGEST:,}; leave a file out, or use"
            " gptloss corpus, which takes any length."
        )
    return Document(name, text)


def _remove() -> None:
    session.remember(FILES, ())
    session.change(look=None)


def _paste() -> None:
    session.give("data-paste", session.recall(PASTED, ""))
    st.text_area("Paste a text", key="data-paste", height=120, max_chars=LARGEST, on_change=_take_paste)


def _take_paste() -> None:
    session.remember(PASTED, st.session_state["data-paste"])
    session.change(look=None)
