"""The loop: the book's own, the same to the last digit for the same seed, whatever else goes on."""

import math
from collections.abc import Iterator
from dataclasses import replace
from itertools import islice
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch.utils.data import DataLoader, TensorDataset

from gptloss import GptlossError
from gptloss.models.architectures.gpt2 import GPTConfig, GPTModel
from gptloss.models.checkpoints.json_tokens import JsonTokenizer
from gptloss.tokens import SAMPLE
from gptloss.training.loop import Trainer, run
from gptloss.training.recipe import BOOK, Recipe
from gptloss.training.snapshot import Snapshot
from gptloss.training.vocabulary import write_tokenizer

TEXT = SAMPLE.read_text("utf-8")[:4_000]
TINY = Recipe(
    context_length=16, emb_dim=16, n_heads=2, n_layers=1, batch_size=4, steps=12, eval_every=5, sample_tokens=8
)


@pytest.fixture(scope="module")
def letters(tmp_path_factory: pytest.TempPathFactory) -> JsonTokenizer:
    """Single bytes."""
    folder = tmp_path_factory.mktemp("letters")
    return JsonTokenizer(folder / "tokenizer.json", write_tokenizer("", 256, folder))


def facts(s: Snapshot) -> tuple[Any, ...]:
    """All of a snapshot that does not depend on the time."""
    return s.step, s.train_loss, s.val_loss, s.step_loss, s.sample, s.watched


def curve(trainer: Trainer) -> list[tuple[Any, ...]]:
    """The facts of all snapshots of a run."""
    return [facts(snapshot) for snapshot in run(trainer)]


def plain_loop(recipe: Recipe, ids: torch.Tensor, v: int) -> Iterator[float]:
    """Training as a textbook writes it: one global random state, one batch, one step, an evaluation, and so on."""
    cut = int(recipe.split * len(TEXT))
    t = recipe.context_length
    torch.manual_seed(recipe.seed)
    network = GPTModel(
        GPTConfig(v, t, recipe.emb_dim, recipe.n_heads, recipe.n_layers, recipe.drop_rate)
    )  # the weights come first, then the batches
    optimizer = torch.optim.AdamW(network.parameters(), lr=recipe.learning_rate, weight_decay=recipe.weight_decay)
    parts = []
    for part, shuffle in ((ids[:cut], True), (ids[cut:], False)):
        starts = range(0, len(part) - t, t)
        data = TensorDataset(
            torch.stack([part[i : i + t] for i in starts]), torch.stack([part[i + 1 : i + t + 1] for i in starts])
        )
        parts.append(DataLoader(data, batch_size=recipe.batch_size, shuffle=shuffle, drop_last=shuffle))
    step = 0
    while True:
        for inputs, targets in parts[0]:
            network.train()
            optimizer.zero_grad()
            loss = F.cross_entropy(network(inputs).flatten(0, 1), targets.flatten())
            loss.backward()
            optimizer.step()
            yield loss.item()
            step += 1
            if step % recipe.eval_every == recipe.eval_offset:
                network.eval()
                for loader in parts:
                    for inputs, _ in islice(loader, recipe.eval_batches):
                        network(inputs)


def test_it_is_the_books_loop(letters: JsonTokenizer) -> None:
    """Dropout, shuffles and evaluations draw from one random state, in the book's order."""
    recipe = replace(
        BOOK, context_length=16, emb_dim=16, n_heads=2, n_layers=2, vocab_size=256, batch_size=4, steps=80
    )
    trainer = Trainer(recipe, TEXT, letters)
    ids = torch.tensor([token.id for token in letters.encode(TEXT)])
    with torch.random.fork_rng(devices=[]):
        expected = list(islice(plain_loop(recipe, ids, 256), 80))
    found = []
    trainer.look()
    while not trainer.done:
        trainer.advance()
        found.append(trainer.step_loss)
        if recipe.evaluates(trainer.step):
            trainer.look()
    assert trainer.step > trainer.parts.batches  # more than an epoch
    assert found == pytest.approx(expected, abs=1e-4)


def test_the_same_seed_the_same_curve_whatever_else_draws(letters: JsonTokenizer) -> None:
    recipe = replace(TINY, drop_rate=0.1)
    first = curve(Trainer(recipe, TEXT, letters, ["the clock"]))
    other, found = Trainer(recipe, TEXT, letters, ["the clock"]), []
    for snapshot in run(other):
        found.append(
            (
                snapshot.step,
                snapshot.train_loss,
                snapshot.val_loss,
                snapshot.step_loss,
                snapshot.sample,
                snapshot.watched,
            )
        )
        torch.rand(100)
        other.look()  # looking once more changes nothing
    assert found == first
    assert curve(Trainer(replace(recipe, seed=124), TEXT, letters, ["the clock"])) != first


@pytest.mark.parametrize("parts", [2, 3, 4])
def test_the_same_loss_for_any_split_into_micro_batches(letters: JsonTokenizer, parts: int) -> None:
    """3 of 4 windows is an uneven split: a mean of means would weigh them wrongly."""
    whole = curve(Trainer(TINY, TEXT, letters))
    split = curve(Trainer(replace(TINY, micro_batches=parts), TEXT, letters))
    assert [entry[1:4] for entry in split[1:]] == [pytest.approx(entry[1:4], abs=2e-5) for entry in whole[1:]]


def test_it_learns_and_says_how_far_it_is(letters: JsonTokenizer) -> None:
    trainer = Trainer(replace(TINY, steps=60, eval_every=20), TEXT, letters, ["the clock"])
    snapshots = list(run(trainer))
    assert [snapshot.step for snapshot in snapshots] == [0, 20, 40, 60]
    losses = [snapshot.train_loss for snapshot in snapshots]
    assert losses == sorted(losses, reverse=True)
    assert snapshots[0].train_loss - snapshots[-1].train_loss > 1
    assert snapshots[-1].tokens == 60 * 4 * 16
    assert snapshots[-1].epoch == 60 / trainer.parts.batches
    assert snapshots[0].step_loss is None
    assert snapshots[-1].gradient_norm is not None
    watched = snapshots[-1].watched[0]
    assert "".join(watched.tokens) == "the·clock"
    assert len(watched.log_probas) == 8
    assert sum(watched.log_probas) > sum(snapshots[0].watched[0].log_probas)
    assert snapshots[-1].sample.startswith("The ")
    assert len(snapshots[-1].sample.encode()) >= len("The ") + 8


def test_a_loss_that_is_no_number_ends_in_a_sentence(letters: JsonTokenizer) -> None:
    trainer = Trainer(
        replace(TINY, steps=500, learning_rate=100.0, clip=0.0, warmup=0, weight_decay=10.0), TEXT, letters
    )
    with pytest.raises(
        GptlossError, match=r"The loss of step \d+ is no number: with a learning rate of 100 .* try 10"
    ):
        for _ in run(trainer):
            pass
    assert math.isfinite(trainer.step_loss or 0.0)


def test_a_look_at_weights_that_are_no_numbers_ends_in_a_sentence(letters: JsonTokenizer) -> None:
    trainer = Trainer(TINY, TEXT, letters)
    trainer.network.tok_emb.weight.data.fill_(float("inf"))
    with pytest.raises(GptlossError, match="The loss of step 0 is no number"):
        trainer.look()


@pytest.mark.parametrize("text", ["", "20 characters of it.", "aaa" * 10])
def test_a_text_that_is_too_short_says_what_one_batch_needs(letters: JsonTokenizer, text: str) -> None:
    with pytest.raises(GptlossError, match="one batch of 4 windows of 16 needs 65; take a longer text"):
        Trainer(TINY, text, letters)


def test_no_window_for_validation(letters: JsonTokenizer) -> None:
    with pytest.raises(GptlossError, match="The validation part has 4 tokens, and one window needs 17"):
        Trainer(replace(TINY, split=0.999), TEXT, letters)


def test_a_text_of_one_letter_is_learned_at_once(letters: JsonTokenizer) -> None:
    snapshots = list(run(Trainer(replace(TINY, steps=40, learning_rate=0.05, warmup=0), "a" * 2_000, letters)))
    assert snapshots[-1].val_loss < 0.1


@pytest.mark.parametrize(("text", "count"), [("a", "1"), ("a" * 18, "18")])
def test_a_watched_text_that_does_not_fit(letters: JsonTokenizer, text: str, count: str) -> None:
    with pytest.raises(GptlossError, match=f"has {count} tokens; give 2 to 17"):
        Trainer(TINY, TEXT, letters, [text])


def test_bfloat16_follows_the_curve(letters: JsonTokenizer) -> None:
    lower = curve(Trainer(replace(TINY, precision="bfloat16"), TEXT, letters))
    assert [entry[1] for entry in lower] == [
        pytest.approx(entry[1], abs=0.05) for entry in curve(Trainer(TINY, TEXT, letters))
    ]
