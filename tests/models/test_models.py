"""What every registered model must do, and what GPT-2 must be."""

import os
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
import torch.nn.functional as F

from gptloss import GptlossError, ScoredBatch, load_model, score
from gptloss.errors import NotHereError, TooLongError
from gptloss.models import REGISTRY, LanguageModel, is_here, pull, remove
from gptloss.models.architectures.gpt2 import GPTConfig, GPTModel, MultiHeadAttention, untrained
from gptloss.models.architectures.llama import LlamaConfig, LlamaModel
from gptloss.models.architectures.reader import KeyValues
from gptloss.models.base import Reader
from gptloss.models.downloads import store
from tests.helpers.driver import ROOT
from tests.helpers.scoring import LECTURE

SMALL = GPTConfig(vocab_size=100, context_length=12, emb_dim=24, n_heads=3, n_layers=2)


@pytest.fixture(scope="module", params=[name for name in REGISTRY if is_here(name)])
def model(request: pytest.FixtureRequest, gpt2: LanguageModel) -> LanguageModel:
    """Every registered model that is on this machine; OpenAI's four are tried by tests/test_checkpoint.py."""
    return gpt2 if request.param == gpt2.info.name else load_model(request.param)


def test_contract_shapes_and_finite(model: LanguageModel) -> None:
    ids = torch.tensor([[1, 2, 3, 4], [4, 3, 2, 1]])
    hidden = model.hidden(ids)
    logits = model.head(hidden.flatten(0, 1))
    assert hidden.shape[:2] == (2, 4)
    assert logits.shape == (8, model.info.vocab_size)
    assert logits.dtype == torch.float32
    assert logits.isfinite().all()


def test_contract_causal(model: LanguageModel) -> None:
    one, other = torch.tensor([[5, 97, 98, 99]]), torch.tensor([[5, 97, 100, 101]])
    torch.testing.assert_close(model.hidden(one)[:, :2], model.hidden(other)[:, :2], atol=1e-5, rtol=1e-5)
    if model.info.name != "uniform":  # which looks at nothing
        assert not torch.allclose(model.hidden(one)[:, 2:], model.hidden(other)[:, 2:])


def test_contract_stateless(model: LanguageModel) -> None:
    ids = torch.tensor([[5, 6, 7]])
    assert torch.equal(model.hidden(ids), model.hidden(ids))


def test_contract_one_token_and_a_full_context(model: LanguageModel) -> None:
    for length in (1, min(model.info.context_length, 1024)):
        assert model.hidden(torch.zeros(1, length, dtype=torch.long)).shape[1] == length


def check_states(states: torch.Tensor, wanted: torch.Tensor) -> None:
    """Within 1e-5, measured by the largest number.

    SmolLM2's first state is what is left of numbers in the thousands, so that float32 gives it half the digits.
    """
    scale = max(1.0, wanted.abs().max().item())
    torch.testing.assert_close(states[:1], wanted[:1], atol=5e-5 * scale, rtol=0)
    torch.testing.assert_close(states[1:], wanted[1:], atol=1e-5 * scale, rtol=0)


@pytest.mark.parametrize("pieces", [[12], [1, 1, 3, 7], [5, 1, 6], [1] * 12])
def test_contract_reading_in_pieces_is_reading_the_whole(model: LanguageModel, pieces: list[int]) -> None:
    ids = torch.arange(12) * 37 % model.info.vocab_size
    reader = model.reader()
    states = torch.cat([reader.read(piece) for piece in torch.split(ids, pieces)])
    assert isinstance(reader, Reader)
    assert reader.length == 12
    check_states(states, model.hidden(ids[None])[0])


def test_contract_readers_do_not_disturb_each_other(model: LanguageModel) -> None:
    texts = [torch.tensor([5, 97, 98, 99]), torch.tensor([7, 101, 102, 103])]
    readers = [model.reader(), model.reader()]
    states = [[reader.read(text[k : k + 1]) for reader, text in zip(readers, texts, strict=True)] for k in range(4)]
    for read, text in zip(zip(*states, strict=True), texts, strict=True):
        check_states(torch.cat(read), model.hidden(text[None])[0])


def test_contract_a_reader_reads_as_much_as_the_context(model: LanguageModel) -> None:
    reader, limit = model.reader(), model.info.context_length
    with pytest.raises(GptlossError, match="There is no token to read"):
        reader.read(torch.tensor([], dtype=torch.long))
    with pytest.raises(TooLongError, match=f"^{limit + 1:,} tokens are too long: {model.info.name} reads at most"):
        reader.read(torch.zeros(limit + 1, dtype=torch.long))
    assert reader.length == 0
    reader.read(torch.zeros(3, dtype=torch.long))
    with pytest.raises(TooLongError) as caught:
        reader.read(torch.zeros(limit - 2, dtype=torch.long))
    assert (reader.length, caught.value.limit) == (3, limit)


TINY_LLAMA = LlamaConfig(60, 16, emb_dim=24, hidden_dim=40, n_heads=6, n_kv_groups=2, n_layers=3)


@pytest.mark.parametrize("pieces", [[16], [10, 5, 1], [1, 1, 3, 11], [1] * 16])
@pytest.mark.parametrize("kind", ["gpt2", "llama"])
def test_a_cache_gives_the_numbers_of_the_whole_in_float64(kind: str, pieces: list[int]) -> None:
    """To the last digits, and to the end of the context."""
    torch.manual_seed(0)
    cfg = GPTConfig(60, 16, emb_dim=24, n_heads=3, n_layers=3, qkv_bias=True)
    network = (untrained(cfg) if kind == "gpt2" else LlamaModel(TINY_LLAMA)).eval().double()
    ids, caches = torch.randint(0, 60, (1, 16)), [KeyValues() for _ in range(3)]
    states = [network.hidden(piece, caches) for piece in torch.split(ids, pieces, 1)]
    torch.testing.assert_close(torch.cat(states, 1), network.hidden(ids), atol=1e-12, rtol=1e-12)


def test_a_cache_has_room_for_any_number_of_tokens() -> None:
    cache, keys = KeyValues(), torch.randn(1, 2, 300, 4)
    values = -keys
    for start, stop in ((0, 1), (1, 64), (64, 65), (65, 300)):
        given = cache.extend(keys[:, :, start:stop], values[:, :, start:stop])
        assert cache.length == stop
        assert torch.equal(given[0], keys[:, :, :stop])
        assert torch.equal(given[1], values[:, :, :stop])


def test_contract_info_is_true(model: LanguageModel) -> None:
    entry = REGISTRY[model.info.name]
    assert isinstance(model, LanguageModel)
    assert model.info == replace(entry.info, source=entry.source() if entry.source else entry.info.source)
    assert model.tokenizer.vocab_size == model.info.vocab_size == entry.tokenizer().vocab_size
    network = getattr(model, "network", None)
    if network is not None:
        assert sum(weights.numel() for weights in network.parameters()) == model.info.parameters


def test_contract_the_start_token_is_a_token(model: LanguageModel) -> None:
    if model.info.bos_id is None:
        with pytest.raises(GptlossError, match=f"{model.info.name} has no start token"):
            score(model, "ab", bos=True)
    else:
        with_start = score(model, "every effort", bos=True)
        assert with_start.inputs[0].id == model.info.bos_id
        assert len(with_start) == 1 + len(score(model, "every effort"))


def test_contract_the_tokens_join_to_the_text(model: LanguageModel) -> None:
    text = "Tea 💙 für <|endoftext|> 12\n\tשלום"
    assert b"".join(token.raw for token in model.tokenizer.encode(text)) == text.encode()


def test_uniform_is_as_unsure_as_it_has_tokens() -> None:
    batch = score(load_model("uniform"), "any text at all")
    assert batch.perplexity == pytest.approx(256)
    assert batch.bits_per_byte == pytest.approx(8)
    assert batch.ranks.tolist() == [1] * len(batch)


def test_bigram_counts_what_follows_what() -> None:
    model = load_model("bigram")
    batch = score(model, "The clock")
    assert batch.distribution(1, 1).sum().item() == pytest.approx(1, abs=1e-5)
    assert batch.bits_per_byte < 5
    text = (ROOT / "gptloss" / "data" / "sample.txt").read_bytes()
    seen, after = text.count(b"Th"), sum(text[:-1].count(bytes([byte])) for byte in b"T")
    assert batch.distribution(1, 1)[ord("h")].item() == pytest.approx((seen + 1) / (after + 256), rel=1e-5)


def test_what_is_not_here_says_how_to_get_it(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("GPTLOSS_HOME", str(tmp_path))
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path))
    for name in ("smollm2-135m", "gpt2", "hf:owner/name"):
        assert not is_here(name)
        with pytest.raises(NotHereError, match=f"`gptloss models pull {name}` fetches it"):
            load_model(name)


def test_the_made_weights_are_kept_and_made_again_if_damaged(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, lecture: ScoredBatch
) -> None:
    monkeypatch.setenv("GPTLOSS_HOME", str(tmp_path))
    kept = tmp_path / "models" / "gpt2-untrained" / "model.safetensors"
    for spoil in (lambda: None, lambda: None, lambda: os.truncate(kept, 1000)):
        spoil()
        batch = score(load_model("gpt2-untrained"), *LECTURE)
        assert torch.equal(batch.log_probas, lecture.log_probas)
        assert kept.stat().st_size > 649_000_000
    assert remove("gpt2-untrained")
    assert not kept.exists()


def test_a_full_disk_only_costs_the_keeping(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("GPTLOSS_HOME", str(tmp_path))
    monkeypatch.setattr(store.shutil, "disk_usage", lambda _: SimpleNamespace(free=1000))
    monkeypatch.setattr("gptloss.models.architectures.gpt2.untrained", lambda *_: untrained(SMALL))
    assert load_model("gpt2-untrained").info.name == "gpt2-untrained"
    assert not (tmp_path / "models" / "gpt2-untrained").exists()


def test_a_cache_folder_that_cannot_be_written(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("GPTLOSS_HOME", str(tmp_path / "file"))
    with pytest.raises(GptlossError, match=r"cannot be used as the cache folder .* set GPTLOSS_HOME"):
        pull("smollm2-135m", lambda _: None)


def test_an_unknown_model_names_the_known_ones() -> None:
    with pytest.raises(GptlossError, match=r"There is no model called 'gtp2'\. Models: gpt2-untrained"):
        load_model("gtp2")


def test_parameters_at_the_books_two_contexts() -> None:
    with torch.device("meta"):
        sizes = [sum(p.numel() for p in GPTModel(GPTConfig(context_length=c)).parameters()) for c in (256, 1024)]
    assert sizes == [162_419_712, 163_009_536]


def test_the_seed_gives_the_books_weights() -> None:
    """The weights are PyTorch's own draws, taken in the order of the book's constructors."""
    torch.manual_seed(123)
    drawn = [torch.nn.Embedding(100, 24).weight, torch.nn.Embedding(12, 24).weight]
    for _ in range(2):
        for _ in range(3):
            drawn.append(torch.nn.Linear(24, 24, bias=False).weight)
        for sizes in ((24, 24), (24, 96), (96, 24)):
            layer = torch.nn.Linear(*sizes)
            drawn += [layer.weight, layer.bias]
    drawn.append(torch.nn.Linear(24, 100, bias=False).weight)
    ours = [p for name, p in untrained(SMALL, 123).named_parameters() if "norm" not in name]
    assert len(ours) == len(drawn)
    assert all(torch.equal(a, b) for a, b in zip(ours, drawn, strict=True))


def test_seeding_leaves_the_callers_random_state_alone() -> None:
    torch.manual_seed(7)
    before = torch.get_rng_state()
    untrained(SMALL)
    assert torch.equal(torch.get_rng_state(), before)


def test_attention_is_softmax_of_query_times_key() -> None:
    torch.manual_seed(0)
    layer, x = MultiHeadAttention(SMALL).eval(), torch.randn(2, 7, 24)
    heads = [w(x).view(2, 7, 3, 8).transpose(1, 2) for w in (layer.W_query, layer.W_key, layer.W_value)]
    scores = heads[0] @ heads[1].transpose(-1, -2) / 8**0.5
    weights = scores.masked_fill(torch.ones(7, 7).triu(1).bool(), -torch.inf).softmax(-1)
    by_hand = layer.out_proj((weights @ heads[2]).transpose(1, 2).reshape(2, 7, 24))
    torch.testing.assert_close(layer(x), by_hand, atol=1e-6, rtol=1e-5)


def test_logits_are_the_head_of_the_hidden_states() -> None:
    network = untrained(SMALL).eval()
    ids = torch.tensor([[1, 2, 3]])
    torch.testing.assert_close(network(ids), F.linear(network.hidden(ids), network.out_head.weight))
