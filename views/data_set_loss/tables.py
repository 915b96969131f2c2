"""One text under several conventions, and two means that are not the loss, as tables."""

import math

import pandas as pd
import streamlit as st

from gptloss.charts.conventions import BATCH
from gptloss.corpus.job import PARTS
from gptloss.corpus.tally import CorpusLoss
from gptloss.lessons.pitfalls.corpus_means import wrong_means
from gptloss.models import find
from gptloss.numbers import perplexity_text
from gptloss.serving import runs
from gptloss.serving.runs import BackgroundRun
from views.shared.tables import formats
from views.visit import session
from views.visit.visitor import visitor

LOGS = formats("%.5f", "loss, nats", "± (1 s.e.)", "bits per byte")


def conventions_table(shown: list[BackgroundRun]) -> None:
    """The runs that are shown, and all that this visitor asked for on this text before."""
    mine = [run for run in runs.kept(visitor()) if run.job.texts == shown[0].job.texts and run.windows]
    all_runs = [*mine, *(run for run in shown if run not in mine)]
    rows = [_row(run, part, result) for run in all_runs for part in PARTS if (result := run.result(part))]
    with st.container(border=True, gap="xsmall", key="data-conventions"):
        st.header("This text by convention", anchor=False)
        st.caption(
            "A perplexity belongs to a convention: other windows give other numbers. Run another one, and it is added"
            " here. Bits per byte and word perplexity can be compared between models whose tokens differ."
        )
        st.dataframe(pd.DataFrame(rows), hide_index=True, column_config=LOGS, key="conventions-frame")


def _row(run: BackgroundRun, part: str, result: CorpusLoss) -> dict[str, object]:
    plan = run.job.plan
    words = result.word_perplexity
    return {
        "model": find(run.job.model).info.title,
        "convention": plan.convention,
        "window": plan.window,
        "stride": plan.stride,
        "start token": "yes" if plan.bos else "no",
        "split": run.job.split,
        "part": part if run.state == "done" else f"{part}, incomplete",
        "tokens": result.tokens_scored,
        "words": result.words,
        "bytes": result.bytes,
        "loss, nats": result.loss,
        "± (1 s.e.)": result.loss_stderr,
        "perplexity": perplexity_text(result.loss),
        "word perplexity": "–" if words is None else perplexity_text(math.log(words)),
        "bits per byte": result.bits_per_byte,
    }


def pitfalls(run: BackgroundRun) -> None:
    """Two means that are not the loss, with the numbers of these very windows."""
    with st.expander(
        "Two means that are not the loss", icon=":material/warning:", key="data-pitfalls", on_change=session.change
    ) as part:
        if part.open:
            st.dataframe(pitfalls_table(run), hide_index=True, key="pitfalls-frame")
            st.caption(
                "The mean of batch means, as the book’s calc_loss_loader has it, equals the loss only if all windows"
                " have the same number of tokens. The mean of perplexities, as the metric in evaluate has it, is"
                " at least e^loss where all windows have the same number of tokens: the exponential is convex, so"
                " hard windows count for more."
            )


def pitfalls_table(run: BackgroundRun) -> pd.DataFrame:
    """For each part: the loss against the mean of batch means, and e^loss against the mean of perplexities."""
    rows = []
    for part in PARTS:
        if result := run.result(part):
            wrong = wrong_means(result, BATCH)
            rows.append(
                {
                    "part": part,
                    "loss: mean over tokens": f"{result.loss:.5f}",
                    f"mean of the means of batches of {BATCH}": f"{wrong.batch_means:.5f}",
                    "perplexity: e^loss": perplexity_text(result.loss),
                    "mean of the windows’ perplexities": perplexity_text(wrong.perplexities),
                }
            )
    return pd.DataFrame(rows)
