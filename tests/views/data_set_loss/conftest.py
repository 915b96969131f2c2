"""Every test of the page begins without results."""

from collections.abc import Iterator

import pytest

from gptloss.serving import runs


@pytest.fixture(autouse=True)
def _nothing_kept(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Runs of other tests would be results here; a click waits for its run, so that there are no ticks."""
    runs.stop_and_forget_all()
    monkeypatch.setattr("views.data_set_loss.numbers.SHORT", 60.0)
    yield
    runs.stop_and_forget_all()
