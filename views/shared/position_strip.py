"""The text as a strip of tokens, coloured by their loss, in which a position is chosen."""

from collections.abc import Callable

from views.components.choice import chosen
from views.components.token_strip import token_strip
from views.shared.scored_text import scored, strip_of
from views.visit import session
from views.visit.settings import Settings

STRIP = "position-strip"


def position_strip(settings: Settings, change: Callable[..., None] = session.change) -> None:
    """Draw the strip of a text that is scored; a choice is handed to `change` as `at`."""
    batch = scored(settings)
    assert batch is not None, "only what was scored is drawn"

    def choose() -> None:
        # Callbacks look the rows up again: one that held them would keep their model in memory.
        batch = scored(session.settings())
        if batch is not None:
            change(at=chosen(STRIP, batch))

    token_strip(
        strip_of(settings.question),
        at=batch.index(*settings.at),
        key=STRIP,
        on_choose=choose,
        flow=True,
        colour="loss",
        units=settings.units,
        legend=False,
    )
