"""Mistakes made with a visitor's rows, each computed once for all visitors."""

from gptloss.lessons.pitfalls.case import Comparison, Lab
from gptloss.lessons.pitfalls.catalogue import BY_KEY
from gptloss.models import DEFAULT_MODEL, find
from gptloss.serving.make_once import MakeOnceCache
from gptloss.serving.models import ModelHandle, loaded
from gptloss.serving.question import Question
from gptloss.serving.readings import batch_of

MOST = 512
BYTES = "bigram"
# The only mistake that is made at a position.
AT_A_POSITION = "top-entropy"
_comparisons = MakeOnceCache[Comparison](MOST)


def comparison(question: Question, key: str, at: tuple[int, int]) -> Comparison:
    """The right number and the wrong ones of a pitfall. Raises `GptlossError` where it cannot be made."""
    at = at if key == AT_A_POSITION else (1, 1)
    info = find(question.model).info
    return _comparisons.get((info, question, key, at), lambda: _compare(question, key, at))


def _compare(question: Question, key: str, at: tuple[int, int]) -> Comparison:
    batch = batch_of(question)
    name = DEFAULT_MODEL if batch.model.info.architecture == "bytes" else BYTES
    other = loaded(name).model
    return BY_KEY[key].compare(Lab(batch, at, ModelHandle(other.info, other.tokenizer)))
