"""The presets of a live run, and the recipe that the settings ask for."""

from dataclasses import replace

from gptloss.training.recipe import LETTERS, WORDS, Recipe
from views.visit import session
from views.visit.settings import Settings

PRESETS = {"letters": LETTERS, "words": WORDS}


def recipe_of(settings: Settings) -> Recipe:
    """What a live run is made from. Raises `GptlossError` for sizes that do not go together."""
    return replace(
        LETTERS,
        vocab_size=settings.vocabulary,
        emb_dim=settings.width,
        n_layers=settings.layers,
        n_heads=settings.heads,
        context_length=settings.context,
        batch_size=settings.windows,
        learning_rate=settings.step_rate,
        schedule=settings.schedule,
        seed=settings.train_seed,
        steps=settings.steps,
    )


def take_preset(name: str) -> None:
    """Let the settings ask for a preset. Call it from a callback."""
    recipe = PRESETS[name]
    session.change(
        vocabulary=recipe.vocab_size,
        width=recipe.emb_dim,
        layers=recipe.n_layers,
        heads=recipe.n_heads,
        context=recipe.context_length,
        windows=recipe.batch_size,
        step_rate=recipe.learning_rate,
        schedule=recipe.schedule,
        steps=recipe.steps,
    )
