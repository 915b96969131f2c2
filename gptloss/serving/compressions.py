"""Texts that are compressed and read back, bit by bit; equal texts once for all visitors."""

from dataclasses import dataclass, field
from threading import Lock
from typing import Literal
from weakref import WeakKeyDictionary

from gptloss.compression.coder import Decoder, Encoder
from gptloss.compression.file import pack, unpack
from gptloss.compression.run import header_of, text_of
from gptloss.errors import GptlossError
from gptloss.models import find
from gptloss.serving.make_once import MakeOnceCache
from gptloss.serving.models import LoadedModel, loaded
from gptloss.serving.question import CHARACTERS
from gptloss.tokens import Token

# Of one model. While one is under way, a reader under SmolLM2 holds 46 MB for the longest text.
MOST = 16
# A token takes some hundredths of a second, there and back.
MOST_TOKENS = 1_000
Stage = Literal["encoding", "decoding", "done", "failed"]


@dataclass
class Compression:
    """A text on its way into a file and out of it again, a token at a time. `_lock` guards all of it.

    `bits` are -log2 p of the tokens that are coded, `sizes` the bytes of the code after each; `file` is there when
    all are. `decoded` are the tokens that were read back; `error` says why the text did not come back.
    """

    model: str
    text: str
    tokens: tuple[Token, ...] = ()
    bits: list[float] = field(default_factory=list)
    sizes: list[int] = field(default_factory=list)
    file: bytes = b""
    code: bytes = b""
    decoded: list[Token] = field(default_factory=list)
    stage: Stage = "encoding"
    error: str = ""
    _coder: Encoder | Decoder | None = None
    _lock: Lock = field(default_factory=Lock)

    def grow(self) -> None:
        """Code one token more, or read one back. All who code take turns, so that others get the processor too."""
        with _turn, self._lock:
            try:
                if self.stage == "encoding":
                    self._encode()
                elif self.stage == "decoding":
                    self._decode()
            except GptlossError as error:
                self.stage, self.error, self._coder = "failed", str(error), None

    def _encode(self) -> None:
        model = loaded(self.model).model
        if self._coder is None:
            self._coder = Encoder(model, self.tokens)
        assert isinstance(self._coder, Encoder)
        if not self._coder.done:
            self._coder.step()
            self.bits.append(self._coder.bits[-1])
            self.sizes.append(self._coder.size)
        if self._coder.done:
            self.code = self._coder.code()
            self.file = pack(header_of(model, len(self.tokens), self.text.encode()), self.code)
            self.stage, self._coder = "decoding", None

    def _decode(self) -> None:
        """From the file alone, as another machine would."""
        header, code = unpack(self.file, "The file")
        if self._coder is None:
            self._coder = Decoder(loaded(self.model).model, code, header.tokens)
        assert isinstance(self._coder, Decoder)
        if not self._coder.done:
            self._coder.step()
            self.decoded.append(self._coder.tokens[-1])
        if self._coder.done:
            same = text_of(header, self._coder) == self.text
            assert same, "the checksum says so"
            self.stage, self._coder = "done", None


_by_model: WeakKeyDictionary[LoadedModel, MakeOnceCache[Compression]] = WeakKeyDictionary()
_lock, _turn = Lock(), Lock()


def compression(model: str, text: str) -> Compression:
    """The text under this model; the same for all who ask.

    Raises `GptlossError` for a text of too many tokens, and for one that the model's tokenizer cannot spell.
    """
    if len(text) > CHARACTERS * MOST_TOKENS:
        raise _too_long(f"{len(text):,} characters")
    tokens = find(model).tokenizer().encode(text)
    if len(tokens) > MOST_TOKENS:
        raise _too_long(f"{len(tokens):,} tokens")
    owner = loaded(model)
    with _lock:
        cache = _by_model.setdefault(owner, MakeOnceCache(MOST))
    return cache.get(text, lambda: Compression(model, text, tokens))


def _too_long(amount: str) -> GptlossError:
    return GptlossError(
        f"The text has {amount} and the page codes at most {MOST_TOKENS:,} tokens, because each takes time twice;"
        " `gptloss compress` takes any text."
    )
