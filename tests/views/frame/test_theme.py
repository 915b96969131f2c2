"""The theme that the browser is told is the one of the configuration, worked out once."""

from streamlit import config
from streamlit.proto.ForwardMsg_pb2 import ForwardMsg
from streamlit.runtime import app_session

from views.frame import theme

POPULATE = app_session._populate_theme_msg


def told(populate: theme.Populate) -> bytes:
    """All sections, as a run tells them."""
    message = ForwardMsg()
    whole = message.new_session.custom_theme
    populate(whole)
    for name, section in (("light", whole.light), ("dark", whole.dark)):
        populate(section, f"theme.{name}")
        populate(section.sidebar, f"theme.{name}.sidebar")
    populate(whole.sidebar, "theme.sidebar")
    return message.SerializeToString(deterministic=True)


def test_the_browser_is_told_the_same() -> None:
    config.get_config_options()
    kept = theme.worked_out_once(POPULATE)
    assert told(kept) == told(kept) == told(POPULATE)
    assert b"#a83808" in told(kept)  # the colour of targets


def test_each_section_is_worked_out_once() -> None:
    asked: list[str] = []

    def populate(message: object, section: str = "theme") -> None:
        asked.append(section)
        POPULATE(message, section)

    kept = theme.worked_out_once(populate)
    told(kept)
    told(kept)
    assert len(asked) == len(set(asked)) == 6
