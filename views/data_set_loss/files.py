"""All windows or all tokens of a run, as CSV or Parquet."""

import io
import json
from collections.abc import Callable
from functools import partial

import pandas as pd
import streamlit as st

from gptloss.models import find
from gptloss.serving.runs import BackgroundRun
from views.data_set_loss.run_losses import losses_of, ordered, words_of

Frame = Callable[[BackgroundRun], pd.DataFrame]
Write = Callable[[pd.DataFrame], str | bytes]


def downloads(shown: list[BackgroundRun]) -> None:
    """Windows and tokens as files, made when they are asked for."""
    with st.container(horizontal=True, gap="small", key="data-downloads"):
        for name, frame in (("windows", windows_frame), ("tokens", tokens_frame)):
            for kind, write, mime in (
                ("csv", csv, "text/csv"),
                ("parquet", parquet, "application/vnd.apache.parquet"),
            ):
                st.download_button(
                    f"All {name} as {'CSV' if kind == 'csv' else 'Parquet'}",
                    partial(_made, frame, write, shown),
                    f"{name}.{kind}",
                    mime,
                    icon=":material/download:",
                    on_click="ignore",
                    key=f"{name}-{kind}",
                )


def _made(frame: Frame, write: Write, shown: list[BackgroundRun]) -> str | bytes:
    return write(pd.concat([frame(run) for run in shown], ignore_index=True))


def windows_frame(run: BackgroundRun) -> pd.DataFrame:
    """One line a window, in the order of the text; losses in nats per token."""
    found, names = losses_of(run), run.job.texts.documents
    return pd.DataFrame(
        [
            {
                "model": run.job.model,
                "window": window.number,
                "part": window.part,
                "file": names[done.document].name,
                "first_character": window.begins,
                "last_character": window.ends,
                "tokens": window.tokens,
                "words": done.scored.words,
                "bytes": done.scored.bytes,
                "loss": window.loss,
                "text": words_of(run, done).scored,
            }
            for window, done in zip(found.windows, ordered(run), strict=True)
        ]
    )


def tokens_frame(run: BackgroundRun) -> pd.DataFrame:
    """One line a scored token: the window it counts in, its id, its bytes as hex, ln p in nats."""
    token = find(run.job.model).tokenizer().token
    frames = []
    for number, done in enumerate(ordered(run), 1):
        tokens, window = [token(id) for id in done.scored.ids.tolist()], done.scored.window
        frames.append(
            pd.DataFrame(
                {
                    "model": run.job.model,
                    "window": number,
                    "part": done.part,
                    "context": range(window.first - window.start, window.stop + 1 - window.start),
                    "id": [token.id for token in tokens],
                    "bytes": [token.raw.hex() for token in tokens],
                    "text": [token.text for token in tokens],
                    "log_proba": done.scored.log_probas.double().numpy(),
                }
            )
        )
    return pd.concat(frames, ignore_index=True)


def csv(frame: pd.DataFrame) -> str:
    """Texts are in quotes, as in JSON, so that no spreadsheet takes `=1+1` for a formula."""
    quoted = {name: frame[name].map(_quoted) for name in ("text", "file") if name in frame}
    return frame.assign(**quoted).to_csv(index=False)


def _quoted(text: str) -> str:
    return json.dumps(text, ensure_ascii=False)


def parquet(frame: pd.DataFrame) -> bytes:
    """The same table for programs."""
    target = io.BytesIO()
    frame.to_parquet(target, index=False)
    return target.getvalue()
