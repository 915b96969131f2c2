"""Tables of numbers: as many digits as the book prints, behind a heading that opens on demand."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import streamlit as st

from views.visit import session


def formats(pattern: str, *names: str) -> dict[str, Any]:
    """The same number format for several columns."""
    return {name: st.column_config.NumberColumn(format=pattern) for name in names}


# A probability keeps its digits at any size.
DIGITS = formats("%.4e", "target_proba", "proba") | formats("%.4f", "logit", "log_proba", "loss_share", "entropy")


@contextmanager
def numbers_as_tables(key: str) -> Iterator[bool]:
    """The heading that hides the tables; gives whether it is open, because a closed one runs its body too."""
    with st.expander("The numbers as tables", icon=":material/table:", key=key, on_change=session.change) as tables:
        yield bool(tables.open)
