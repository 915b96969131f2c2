"""Changed positions of a visitor's rows, each computed once for all visitors."""

from gptloss.errors import GptlossError
from gptloss.lessons.what_if import Branch, forced, moved
from gptloss.models import find
from gptloss.serving.make_once import MakeOnceCache
from gptloss.serving.question import Question
from gptloss.serving.readings import batch_of

MOST = 128
_branches = MakeOnceCache[Branch](MOST)


def branch_of(question: Question, at: tuple[int, int], token: int | None, proba: float | None) -> Branch:
    """The rows with another token, or another probability, at one position.

    Raises `GptlossError` for a position that the rows do not have and a token that the model does not have.
    """
    if proba is None and token is None:
        raise GptlossError("Nothing is changed; name a token or a probability.")
    key = find(question.model).info, question, at, token, proba
    return _branches.get(key, lambda: _make(question, at, token, proba))


def _make(question: Question, at: tuple[int, int], token: int | None, proba: float | None) -> Branch:
    batch = batch_of(question)
    batch.index(*at)
    if proba is not None:
        return moved(batch, *at, proba)
    assert token is not None
    return forced(batch, *at, batch.model.tokenizer.token(token))
