"""What the settings ask to be computed, and what is too much for a page."""

from gptloss.corpus import conventions
from gptloss.corpus.conventions import Plan
from gptloss.corpus.job import PARTS, Job, Texts
from gptloss.corpus.layout import Layout
from gptloss.errors import GptlossError
from gptloss.models import find
from views.visit.settings import Settings

MOST_WINDOWS = 20_000


def check_windows(place: Layout, plan: Plan) -> None:
    """Raise `GptlossError` for more windows than the page can draw for everybody."""
    count = sum(map(place.tokens, PARTS)) // plan.stride
    if count > MOST_WINDOWS:
        raise GptlossError(
            f"That makes about {count:,} windows, and this page takes {MOST_WINDOWS:,}; choose a larger"
            f" {'stride' if plan.convention == 'strided' else 'window'}, or use `gptloss corpus`."
        )


def plan_of(settings: Settings, model: str) -> Plan:
    """The convention for a model: a window longer than its context is its context."""
    info = find(model).info
    window = min(settings.window, info.context_length)
    stride = min(settings.stride, window) if settings.convention == "strided" else None
    start = False if info.bos_id is None else settings.start
    return conventions.plan(settings.convention, info, window, stride, start)


def jobs_of(settings: Settings, texts: Texts) -> list[Job]:
    """What is to be computed: by the chosen model, and by the second one if there is one."""
    models = [settings.model, *([settings.second] if settings.second else [])]
    return [Job(model, texts, plan_of(settings, model), settings.split) for model in models]
