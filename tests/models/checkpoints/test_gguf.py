"""A GGUF file, and what transformers makes of it."""

from pathlib import Path

import numpy as np
import torch
from transformers import AutoModelForCausalLM

from gptloss.models import Progress
from gptloss.models.checkpoints import gguf as gguf_file
from gptloss.models.checkpoints.json_tokens import JsonTokenizer
from gptloss.models.checkpoints.llama import from_folder
from tests.helpers.gguf import TINY, tiny_gguf


def test_a_converted_file_is_what_transformers_makes_of_it(tmp_path: Path) -> None:
    """Our Llama on the converted files, against transformers' on the same, in float64."""
    tiny_gguf(tmp_path / "tiny.gguf")
    said: list[Progress] = []
    gguf_file.convert(tmp_path / "tiny.gguf", tmp_path, said.append)
    assert said[-1].doing == "Converting"
    network = from_folder(tmp_path, TINY)
    theirs = AutoModelForCausalLM.from_pretrained(tmp_path).double().eval()
    ids = torch.tensor([[5, 9, 200, 259, 33], [1, 2, 3, 4, 5]])
    with torch.no_grad():
        wanted = theirs(ids).logits.log_softmax(-1)
        ours = network.double()
        torch.testing.assert_close(ours.head(ours.hidden(ids).flatten(0, 1)).log_softmax(-1), wanted.flatten(0, 1))
    tokenizer = JsonTokenizer(tmp_path / "tokenizer.json", TINY.vocab_size)
    assert [t.raw for t in tokenizer.encode("the\n<|im_start|>")][:3] == [b"th", b"e", b"\n"]
    assert tokenizer.token(1).text == "<|im_start|>"


def test_queries_and_keys_are_turned_as_llama_cpp_stores_them() -> None:
    """Rotating neighbours in llama.cpp's order is the same as rotating halves in transformers' order."""
    random = np.random.default_rng(0)
    interleaved = random.standard_normal((8, 5))  # one head of 8 rows: pairs (0, 1), (2, 3), ...
    halves = gguf_file._half_by_half(interleaved, 1)
    assert (halves[:4] == interleaved[0::2]).all()
    assert (halves[4:] == interleaved[1::2]).all()
