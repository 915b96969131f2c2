"""Why log? The product of the probabilities vanishes, the sum of their logarithms does not."""

import streamlit as st
import torch

from gptloss.charts.perplexity.products import log_sum_chart, product_chart
from gptloss.charts.theme import CONFIG
from gptloss.lessons.products import lost_after, product
from gptloss.numbers import Units, counted, in_units, power_text
from gptloss.scoring.batch import ScoredBatch
from gptloss.serving.question import Question
from gptloss.serving.readings import batch_of

# How far the charts go on after the product is lost, and where they end if it never is.
BEYOND, ENDS = 1.25, 400
PRECISIONS = (torch.float16, torch.bfloat16, torch.float32, torch.float64)


@st.cache_data(max_entries=64, show_spinner=False)
def why_log(question: Question, units: Units) -> None:
    """The two charts, and after how many tokens each precision has lost the product; once for all visitors."""
    batch = batch_of(question)
    losses = (-batch.log_probas.double()).tolist()
    lost = lost_after(losses)
    grown = product(losses, max(len(losses), int(BEYOND * (lost or ENDS)) + 1))
    with st.container(key="answer", gap="xxsmall"):
        st.header(f"The product of the {len(losses):,} probabilities: {power_text(-sum(losses))}", anchor=False)
        st.text(_sentence(batch, lost, units))
    left, right = st.columns(2, gap="medium")
    with left.container(border=True):
        at = f"At token {lost:,} it is 0 in float32." if lost else "float32 holds it."
        alt = f"The product falls token by token. {at}"
        st.plotly_chart(product_chart(grown), key="product", config=CONFIG, alt=alt)
    with right.container(border=True):
        alt = f"The sum of the logarithms falls by {in_units(batch.loss, units):.4f} {units} a token on average."
        st.plotly_chart(log_sum_chart(grown, units), key="log-sum", config=CONFIG, alt=alt)
    with st.container(horizontal=True, gap="small", key="lost"):
        for dtype in PRECISIONS:
            after = lost_after(losses, dtype)
            st.metric(f"{str(dtype).removeprefix('torch.')}: 0 after", counted(after, "token") if after else "never")


def _sentence(batch: ScoredBatch, lost: int | None, units: Units) -> str:
    mean = f"{in_units(batch.loss, units):.4f} {units}"
    if lost is None:
        return f"Each factor is close to 1, so float32 holds the product for long. The logarithms add {mean} a token."
    return (
        f"After {counted(lost, 'token')} such as these the product is 0 in float32, and the logarithm of 0 is no"
        f" number. The sum of the logarithms grows by {mean} a token and is never lost: log turns × into +."
    )
