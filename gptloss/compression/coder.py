"""An arithmetic coder driven by a language model: -log2 p is the length of a token's code.

Source: Rissanen and Langdon, *Arithmetic Coding*, IBM Journal of Research and Development, 1979. The coder itself is
that of the library `constriction` (Bamler 2022).

The decoder must compute the very same bits of every distribution as the encoder did, so both go token by token
through `Distributions`, and nothing else makes a probability.
"""

import math
from collections import deque
from collections.abc import Sequence
from typing import Any

import constriction
import numpy as np
import torch
from jaxtyping import Float

from gptloss.errors import GptlossError
from gptloss.models.base import LanguageModel
from gptloss.numbers import nats_to_bits
from gptloss.tokens import Token

# The coder's words are written in this order of bytes on every machine.
WORD = "<u4"


class Distributions:
    """The distribution of the next token, again and again, after all tokens that were `taken`.

    The first token comes after the model's start token; a model without one gives each token 1/V there. When the
    context is full, the model forgets all but its last half.
    """

    def __init__(self, model: LanguageModel) -> None:
        self._model, self._reader = model, model.reader()
        self._last: deque[int] = deque(maxlen=max(1, model.info.context_length // 2))
        self._unread = [] if model.info.bos_id is None else [model.info.bos_id]

    def next(self) -> Float[np.ndarray, " v"]:
        """ln p of each token, in float64."""
        if not self._unread:
            v = self._model.tokenizer.vocab_size
            return np.full(v, -math.log(v))
        with torch.no_grad():
            logits = self._model.head(self._reader.read(torch.tensor(self._unread))[-1:])[0]
        self._unread = []
        logs: Float[np.ndarray, " v"] = logits.double().log_softmax(-1).numpy()
        return logs

    def take(self, id: int) -> None:
        """The next token is this one."""
        self._last.append(id)
        self._unread = [id]
        if self._reader.length == self._model.info.context_length:
            self._reader, self._unread = self._model.reader(), list(self._last)


def _model_of(logs: Float[np.ndarray, " v"]) -> Any:
    """The distribution as the coder has it: in steps of 2^-24, no token with less than one.

    That takes up to V / 2^24 of the probability: 0.0043 bits a token for GPT-2. No code is longer than 24 bits.
    """
    return constriction.stream.model.Categorical(np.exp(logs), perfect=False)


class Encoder:
    """Codes tokens one by one. `bits` are -log2 p of each token that is done: what its code should take.

    `step` raises `GptlossError` for a token that the model rules out.
    """

    def __init__(self, model: LanguageModel, tokens: Sequence[Token]) -> None:
        self.tokens, self.bits = tuple(tokens), list[float]()
        self._distributions, self._coder = Distributions(model), constriction.stream.queue.RangeEncoder()

    @property
    def done(self) -> bool:
        return len(self.bits) == len(self.tokens)

    def step(self) -> None:
        """Code one token more."""
        token = self.tokens[len(self.bits)]
        logs = self._distributions.next()
        if not math.isfinite(logs[token.id]):
            raise GptlossError(f"The model rules {token.label!r} out, so it has no code for it; use another model.")
        self._coder.encode(token.id, _model_of(logs))
        self._distributions.take(token.id)
        self.bits.append(-nats_to_bits(float(logs[token.id])))

    @property
    def size(self) -> int:
        """The bytes of the code so far."""
        return self._coder.num_bits() // 8

    def code(self) -> bytes:
        """The code of the tokens that are done."""
        return self._coder.get_compressed().astype(WORD).tobytes()


class Decoder:
    """Reads `count` tokens back, one by one, with the model that coded them.

    Another model, or the same one with other last digits, gives other tokens: compare a checksum at the end. Raises
    `GptlossError` for a code that is no whole number of words.
    """

    def __init__(self, model: LanguageModel, code: bytes, count: int) -> None:
        if len(code) % np.dtype(WORD).itemsize:
            raise GptlossError(f"The code has {len(code):,} bytes, which is no whole number of words; it is damaged.")
        self.tokens, self.count = list[Token](), count
        self._tokenizer, self._distributions = model.tokenizer, Distributions(model)
        self._coder = constriction.stream.queue.RangeDecoder(np.frombuffer(code, WORD).astype(np.uint32))

    @property
    def done(self) -> bool:
        return len(self.tokens) == self.count

    def step(self) -> None:
        """Read one token more. Raises `GptlossError` where the code cannot go on like this."""
        try:
            id = int(self._coder.decode(_model_of(self._distributions.next())))
        except (AssertionError, ValueError) as error:
            raise GptlossError(f"The code cannot be read from token {len(self.tokens) + 1:,} on: {error}.") from None
        self._distributions.take(id)
        self.tokens.append(self._tokenizer.token(id))
