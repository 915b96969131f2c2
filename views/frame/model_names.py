"""What a model is called in lists and sentences."""

from gptloss.errors import GptlossError
from gptloss.models import find
from gptloss.models.downloads.store import size_text
from views.visit import access


def option(name: str) -> str:
    """A model in a list: its title, and what it takes to have it here."""
    try:
        info = find(name).info
        return info.title if access.is_here(name) else f"{info.title} ↓ {size_text(info.size)}"
    except GptlossError:
        return f"{name} ↓"


def title(name: str) -> str:
    """Its title; of a hub model that is not here its name."""
    try:
        return find(name).info.title
    except GptlossError:
        return name
