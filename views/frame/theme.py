"""The theme, worked out once.

In every run Streamlit 1.67 tells the browser the theme, and goes six times through its whole configuration for it:
a twelfth of the time that the first page takes. The theme does not change while a server runs.
"""

from collections.abc import Callable
from typing import Any

from streamlit.runtime import app_session

Populate = Callable[..., None]


def keep() -> None:
    """From now on each section of the theme is worked out once. Streamlit has no public way to say so."""
    populate: Populate | None = getattr(app_session, "_populate_theme_msg", None)
    if populate:
        app_session._populate_theme_msg = worked_out_once(populate)


def worked_out_once(populate: Populate) -> Populate:
    """A function that writes a section of the theme into a message as `populate` does, but asks it only once."""
    made: dict[str, Any] = {}

    def copied(message: Any, section: str = "theme") -> None:
        if section not in made:
            made[section] = type(message)()
            populate(made[section], section)
        if made[section].ByteSize():
            message.MergeFrom(made[section])

    return copied
