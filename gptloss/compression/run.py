"""A whole text to a file and back, on one thread, with progress; a wrong text is never given back."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import torch

from gptloss import __version__
from gptloss.compression.coder import Decoder, Encoder
from gptloss.compression.file import Header, checksum
from gptloss.errors import GptlossError
from gptloss.models import LanguageModel, find, load_model
from gptloss.models.fast import plan
from gptloss.models.fast.layers import kernels_of, use_kernels
from gptloss.provenance import weights_hash, weights_of

# Heard after each token, with how many are done.
Report = Callable[[int], None]


@contextmanager
def one_thread(count: int = 1) -> Iterator[None]:
    """Compute on so many threads, as both sides must: sums are added in another order on more."""
    before = torch.get_num_threads()
    torch.set_num_threads(count)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def header_of(model: LanguageModel, tokens: int, raw: bytes) -> Header:
    """What this process codes a text with, on one thread."""
    return Header(
        gptloss=__version__,
        torch=torch.__version__,
        capability=torch.backends.cpu.get_cpu_capability(),
        model=model.info.name,
        weights=weights_of(model),
        kernels=plan.kernels_as_json(kernels_of(model)),
        threads=1,
        tokens=tokens,
        bytes=len(raw),
        sha256=checksum(raw),
    )


def encode(model: LanguageModel, text: str, report: Report = lambda done: None) -> tuple[Header, Encoder]:
    """The text coded; the encoder has the code and the bits of each token.

    Raises `GptlossError` for half a surrogate pair and for a token that the model rules out.
    """
    tokens = model.tokenizer.encode(text)
    encoder = Encoder(model, tokens)
    with one_thread():
        while not encoder.done:
            encoder.step()
            report(len(encoder.bits))
    return header_of(model, len(tokens), text.encode()), encoder


def model_for(header: Header) -> LanguageModel:
    """The model that coded a file, loaded, multiplying as it did then.

    Raises `GptlossError` for a model that nobody knows, that is not here, or that has other weights, and for kernels
    that this machine does not have.
    """
    found = weights_hash(find(header.model).info.name)
    if found != header.weights:
        raise GptlossError(
            f"The file was made with other weights of {header.model} than are here ({_short(header.weights)}, here"
            f" {_short(found)}); decompress it where it was made."
        )
    try:
        kernels = plan.kernels_from_json(header.kernels)
    except (ValueError, AttributeError):
        raise GptlossError("The file names kernels in no known way; decompress it where it was made.") from None
    return use_kernels(load_model(header.model), kernels)


def _short(weights: str | None) -> str:
    return weights[:12] if weights else "none"


def decode(model: LanguageModel, header: Header, code: bytes, report: Report = lambda done: None) -> str:
    """The text back. Raises `GptlossError` unless it is the very same."""
    decoder, size = Decoder(model, code, header.tokens), 0
    with one_thread(header.threads):
        while not decoder.done and size <= header.bytes:
            decoder.step()
            size += len(decoder.tokens[-1].raw)
            report(len(decoder.tokens))
    return text_of(header, decoder)


def text_of(header: Header, decoder: Decoder) -> str:
    """The text that was decoded. Raises `GptlossError` if its bytes are not those of the header."""
    raw = b"".join(token.raw for token in decoder.tokens)
    if len(raw) != header.bytes or checksum(raw) != header.sha256:
        raise GptlossError(f"What came out is not the text that went in, so it is thrown away. {_why(header)}")
    return raw.decode("utf-8")


def _why(header: Header) -> str:
    """What may have made the distributions differ."""
    here = {"torch": torch.__version__, "capability": torch.backends.cpu.get_cpu_capability()}
    other = [f"{name} {getattr(header, name)}, here {value}" for name, value in here.items()
             if getattr(header, name) != value]  # fmt: skip
    if other:
        return f"It was made with {' and '.join(other)}, which compute other last digits; decompress it there."
    return "The model does not give the same distributions again; it has changed, or it looks ahead."
