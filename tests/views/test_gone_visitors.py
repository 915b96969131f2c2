"""A visitor who has left is not scored for: the next forward pass belongs to somebody else."""

from typing import Any

import pytest
from torch import Tensor

from gptloss.models.architectures.toy import Bigram
from gptloss.serving.readings import reading_if_known
from tests.helpers.pages import numbers, opened
from views.shared import in_turn
from views.visit import pages
from views.visit.settings import Settings

pytestmark = pytest.mark.filterwarnings("ignore")


@pytest.mark.parametrize("page", [pages.LOSS, pages.SURPRISE], ids=lambda page: page.title)
def test_the_scoring_ends_before_the_next_pass(page: pages.Page, monkeypatch: pytest.MonkeyPatch) -> None:
    rows = [f"{letter}{page.title[0]}" * 130 for letter in "abcdefgh"]
    passes: list[int] = []
    hidden = Bigram.hidden

    def counted(self: Bigram, ids: Tensor) -> Any:
        passes.append(len(ids))
        return hidden(self, ids)

    monkeypatch.setattr(Bigram, "hidden", counted)
    monkeypatch.setattr(in_turn, "is_connected", lambda visitor: len(passes) < 2)
    app = opened(page, model="bigram", input=rows)
    assert not app.exception
    assert len(passes) == 2  # eight rows take a pass each
    assert reading_if_known(Settings(model="bigram", inputs=tuple(rows), targets=None).question) is None

    monkeypatch.setattr(in_turn, "is_connected", lambda visitor: True)
    assert "–" not in numbers(opened(page, model="bigram", input=rows))
    assert len(passes) == 2 + 8
