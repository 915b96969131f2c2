"""The page that runs again at once, because the other model has read the text, gives new boxes their values again."""

import pytest
import streamlit as st

from tests.helpers.pages import opened
from views.perplexity import ruler
from views.visit import pages, session


def test_a_box_that_is_not_on_the_screen_yet_is_given_its_value_again(monkeypatch: pytest.MonkeyPatch) -> None:
    app = opened(pages.PERPLEXITY, model="bigram", input="tea time")
    pending, known = [True], list[bool]()
    give = session.give

    def seen(key: str, value: object) -> None:
        if key == "amount-perplexity-1":
            known.append(key in st.session_state.drawn_before)
        give(key, value)

    monkeypatch.setattr(ruler, "read_other", lambda settings: pending.pop() if pending else False)
    monkeypatch.setattr(session, "give", seen)
    next(box for box in app.number_input if box.label == "Bits per token").set_value(3.0).run()
    assert known == [False, False]  # in both runs it counts as new: the browser may have seen neither
    assert next(box for box in app.number_input if box.label == "Perplexity").value == pytest.approx(8)
    app.run()
    assert known == [False, False, True]
