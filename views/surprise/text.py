"""The text: the visitor's, one of three samples, or a file."""

from dataclasses import dataclass
from pathlib import Path

import streamlit as st

import gptloss
from gptloss.corpus.text import decoded
from gptloss.errors import GptlossError
from views.shared.text_box import own_text, take
from views.visit import session
from views.visit.pages import ODD
from views.visit.settings import Settings

LARGEST_FILE = 2  # MB
UPLOADS = "uploads"


@dataclass(frozen=True)
class Sample:
    """A text that is one click away."""

    name: str
    why: str
    text: str


CODE = '''def greet(names):
    """Say hello to everybody, one line each."""
    for name in names:
        print("Hello, " + name + "!")
    return len(names)


greet(["Ada", "Alan", "Grace"])
greet(["Ada", "Alan", "Grace"])
'''
STORY = (Path(gptloss.__file__).parent / "data" / "sample.txt").read_text("utf-8")

SAMPLES = (
    Sample("One odd word", "A short report with one word that nobody expects.", ODD),
    Sample("Program code", "Brackets, blanks and a line that is repeated.", CODE),
    Sample("A short story", "The Clock on Harbour Street, 754 words: longer than some models read at once.", STORY),
)


def text_choice(settings: Settings) -> None:
    """The text, folded, with a file inside; the samples under it."""
    own_text(settings, height=186, more=_file)
    with st.container(horizontal=True, gap="small", vertical_alignment="center", key="samples"):
        st.caption("Samples", width="content")
        for sample in SAMPLES:
            st.button(sample.name, help=sample.why, type="tertiary", on_click=take, args=((sample.text,),))


def _file() -> None:
    turn = session.recall(UPLOADS, 0)
    st.file_uploader(
        "Or a text file in UTF-8",
        ["txt", "md"],
        key=f"upload-{turn}",
        max_upload_size=LARGEST_FILE,
        on_change=_read_file,
        args=(turn,),
    )


def _read_file(turn: int) -> None:
    """Take the text of the file; then the uploader is empty again, because the text stands in the box."""
    file = st.session_state[f"upload-{turn}"]
    if file is None:
        return
    session.remember(UPLOADS, turn + 1)
    try:
        text = decoded(file.getvalue(), file.name)
        if not text:
            raise GptlossError(f"{file.name} is empty; choose a file with some text. The text here stays.")
        take((text,))
    except GptlossError as error:
        session.change()
        session.notify(str(error))
