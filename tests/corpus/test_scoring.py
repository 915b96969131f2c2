"""Long texts: each window as by itself, each word once, sums and means right, and little kept in memory."""

import inspect
import math
import subprocess
import sys
from dataclasses import replace

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from gptloss import GptlossError, load_model, score
from gptloss.analysis.words import _word_spans
from gptloss.corpus import conventions, scoring
from gptloss.corpus import head as corpus_head
from gptloss.corpus.conventions import Convention, Plan, windows
from gptloss.corpus.head import COLUMNS
from gptloss.corpus.log import passes
from gptloss.corpus.precision import in_precision, sample_loss
from gptloss.corpus.scoring import TooShortError, scored_windows
from gptloss.corpus.stream import reads
from gptloss.corpus.tally import CorpusLoss, Tally
from gptloss.corpus.text import split
from gptloss.models import REGISTRY, LanguageModel
from gptloss.models.architectures.gpt2 import GPT2
from gptloss.models.architectures.toy import Bigram, Uniform
from tests.helpers.driver import ROOT

VERDICT = ROOT.parent / "shared" / "data" / "the-verdict.txt"
TEXT = (ROOT / "gptloss" / "data" / "sample.txt").read_text("utf-8")[:700]
# Both read bytes and have a start token, which the models of the registry do not need.
UNIFORM = Uniform(replace(REGISTRY["uniform"].info, bos_id=0))
BIGRAM = Bigram(replace(REGISTRY["bigram"].info, bos_id=0))

TEXTS = st.text("ab ü字\n\u3000\u2028\x1c😀", min_size=1, max_size=80)


@st.composite
def plans(draw: st.DrawFn) -> Plan:
    convention: Convention = draw(st.sampled_from(["book", "rolling", "strided"]))
    window = draw(st.integers(2, 24))
    stride = draw(st.integers(1, window)) if convention == "strided" else window
    return Plan(convention, window, stride, draw(st.booleans()))


def totals(model: LanguageModel, text: str, plan: Plan) -> CorpusLoss:
    tally = Tally(plan)
    for scored in scored_windows(model, [text], plan):
        tally.add(scored)
    return tally.snapshot()


@pytest.mark.skipif(not VERDICT.is_file(), reason="The Verdict is not here")
def test_the_verdict_costs_what_the_lecture_says(gpt2: LanguageModel) -> None:
    plan = conventions.plan("book", gpt2.info)
    found = [totals(gpt2, "".join(pieces), plan) for pieces in split(VERDICT, 0.9)]
    assert [len(part.window_tokens) for part in found] == [18, 2]
    assert [part.loss for part in found] == pytest.approx([10.98758, 10.98111], abs=1e-4)


@given(TEXTS, plans(), st.integers(1, 30))
def test_the_stream_has_the_windows_of_the_convention(text: str, plan: Plan, size: int) -> None:
    raw = text.encode()
    stream = [0] * plan.bos + list(raw)
    pieces = [text[start : start + size] for start in range(0, len(text), size)]
    wanted = list(windows(plan, len(stream)))
    if not wanted:
        with pytest.raises(TooShortError):
            list(reads(UNIFORM, pieces, plan))
        return
    made = list(reads(UNIFORM, pieces, plan))
    assert [read.window for read in made] == wanted
    for read in made:
        assert read.ids.tolist() == stream[read.window.start : read.window.stop]
        assert read.targets.tolist() == stream[read.window.first : read.window.stop + 1]
        assert read.bytes == read.window.scored
    scored = {place - plan.bos for read in made for place in range(read.window.first, read.window.stop + 1)}
    spans = _word_spans(raw)
    assert sum(read.words for read in made) == sum(any(at in scored for at in range(*span)) for span in spans)


@given(TEXTS, st.integers(2, 24))
def test_rolling_counts_the_whole_text(text: str, window: int) -> None:
    result = totals(UNIFORM, text, Plan("rolling", window, window, True))
    assert result.words == len(text.split())
    assert result.bytes == result.tokens_scored == len(text.encode())
    assert result.log_likelihood == pytest.approx(-result.tokens_scored * math.log(256))
    assert result.bits_per_byte == pytest.approx(8)
    assert result.perplexity == result.byte_perplexity == pytest.approx(256)


def test_words_of_tokens_that_hold_several_and_parts_of_one(tiny: LanguageModel) -> None:
    text = "  Ünïcödé wörds\u3000字。 " * 9
    tiny = GPT2(replace(tiny.info, bos_id=50256), tiny.network)  # type: ignore[attr-defined]
    assert totals(tiny, text, conventions.plan("rolling", tiny.info)).words == len(text.split())
    assert totals(tiny, text, conventions.plan("strided", tiny.info, bos=True)).words == len(text.split())


@pytest.mark.parametrize("convention", ["book", "rolling", "strided"])
@pytest.mark.parametrize("bos", [False, True])
def test_each_window_is_scored_as_by_itself(tiny: LanguageModel, convention: Convention, bos: bool) -> None:
    tiny = GPT2(replace(tiny.info, bos_id=50256), tiny.network)  # type: ignore[attr-defined]
    plan = conventions.plan(convention, tiny.info, window=12, bos=bos)
    stream = [50256] * bos + [token.id for token in tiny.tokenizer.encode(TEXT)]
    made = list(scored_windows(tiny, [TEXT], plan))
    assert len(made) > 100 / 12
    for scored in made:
        window = scored.window
        logits = tiny.network(torch.tensor([stream[window.start : window.stop]]))[0]  # type: ignore[attr-defined]
        wanted = stream[window.first : window.stop + 1]
        exact = logits.double().log_softmax(-1)[-len(wanted) :]
        assert scored.ids.tolist() == wanted
        assert scored.log_probas.dtype == torch.float32
        torch.testing.assert_close(
            scored.log_probas.double(), exact[torch.arange(len(wanted)), torch.tensor(wanted)], atol=1e-5, rtol=0
        )


def test_strided_by_whole_windows_is_the_token_weighted_mean_of_chunks(tiny: LanguageModel) -> None:
    plan = conventions.plan("strided", tiny.info, window=16, stride=16)
    ids = [token.id for token in tiny.tokenizer.encode(TEXT)]
    chunks = [score(tiny, ids[start : start + 16]) for start in range(0, len(ids) - 1, 16)]
    tokens = sum(map(len, chunks))
    assert len(chunks[-1]) not in {0, 15}, "the last chunk must be shorter, or the weights would not show"
    result = totals(tiny, TEXT, plan)
    assert result.tokens_scored == tokens
    assert result.loss == pytest.approx(sum(chunk.loss * len(chunk) for chunk in chunks) / tokens, abs=1e-5)
    assert result.loss != pytest.approx(sum(chunk.loss for chunk in chunks) / len(chunks), abs=1e-4)


def test_what_is_skipped_is_read_and_not_computed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(scoring, "TOKENS", 30)
    plan = conventions.plan("rolling", BIGRAM.info, window=10)
    everything = [
        (scored.window, scored.log_probas.tolist(), scored.words) for scored in scored_windows(BIGRAM, [TEXT], plan)
    ]
    calls: list[int] = []
    forward = scoring.forward
    monkeypatch.setattr(scoring, "forward", lambda model, batch: calls.append(len(batch)) or forward(model, batch))
    for skip in (0, 3, 30, 31, len(everything)):
        calls.clear()
        rest = [scored for passed in passes(BIGRAM, [TEXT], plan, skip=skip) for scored in passed]
        assert [(scored.window, scored.log_probas.tolist(), scored.words) for scored in rest] == everything[skip:]
        assert sum(calls) < len(everything) - skip + 3


def test_windows_of_more_tokens_than_run_together_run_one_by_one() -> None:
    window = scoring.TOKENS + 1
    plan = conventions.plan("rolling", BIGRAM.info, window=window, bos=False)
    made = [len(batch) for batch in scoring.batches(BIGRAM, [TEXT * 2], plan)]
    assert made == [1] * math.ceil((2 * len(TEXT.encode()) - 1) / window)
    assert len(made) > 1


def test_a_vocabulary_larger_than_what_is_done_together_is_done_row_by_row(monkeypatch: pytest.MonkeyPatch) -> None:
    plan = conventions.plan("rolling", BIGRAM.info, window=10)
    wanted = totals(BIGRAM, TEXT, plan).window_log_likelihoods
    monkeypatch.setattr(corpus_head, "TOGETHER", BIGRAM.info.vocab_size - 1)
    assert totals(BIGRAM, TEXT, plan).window_log_likelihoods == wanted


def test_logits_of_few_digits_are_summed_in_float32() -> None:
    class Half(Bigram):
        def head(self, hidden: torch.Tensor) -> torch.Tensor:
            return super().head(hidden).bfloat16()

    plan = conventions.plan("rolling", BIGRAM.info, window=10, bos=False)
    ids = torch.tensor(list(TEXT.encode()))
    exact = BIGRAM.head(BIGRAM.hidden(ids[None, :-1])[0]).bfloat16().double().log_softmax(-1)
    found = torch.cat([scored.log_probas for scored in scored_windows(Half(BIGRAM.info), [TEXT], plan)])
    assert found.dtype == torch.float32
    torch.testing.assert_close(found.double(), exact[torch.arange(len(found)), ids[1:]], atol=1e-5, rtol=0)


def test_a_forward_pass_and_its_logits_are_never_large(tiny: LanguageModel, monkeypatch: pytest.MonkeyPatch) -> None:
    """By columns or, for a model of which only `head` is known, by rows."""
    passes: list[int] = []
    rows: list[int] = []
    parts: list[int] = []

    class Watched(GPT2):
        def hidden(self, ids: torch.Tensor) -> torch.Tensor:
            passes.append(ids.numel())
            return super().hidden(ids)

        def head(self, hidden: torch.Tensor) -> torch.Tensor:
            rows.append(len(hidden))
            return super().head(hidden)

    class Closed(Watched):
        output_layer = None  # type: ignore[assignment]

    columns = corpus_head.columns
    monkeypatch.setattr(
        corpus_head, "columns", lambda *given: (parts.append(given[1].shape[0] * COLUMNS), columns(*given))[1]
    )
    plan = conventions.plan("rolling", tiny.info)
    found = []
    for kind in (Watched, Closed):
        result = totals(kind(tiny.info, tiny.network), TEXT * 8, plan)  # type: ignore[attr-defined]
        found.append(result.log_likelihood / result.tokens_scored)
    assert sum(rows) == result.tokens_scored > 1_000
    assert max(rows) == corpus_head.ROWS
    assert max(passes) == scoring.TOKENS
    assert max(parts) == scoring.TOKENS * COLUMNS
    assert found[0] == pytest.approx(found[1], abs=1e-6)


def test_by_columns_or_by_rows_it_is_ln_p(tiny: LanguageModel) -> None:
    """With targets at both ends and on both sides of every cut of the vocabulary; float64 is the oracle."""
    cuts = range(0, 50_257, COLUMNS)
    targets = torch.tensor(sorted({0, 50_256} | set(cuts) | {cut - 1 for cut in cuts if cut}))
    hidden = torch.randn(len(targets), 32, generator=torch.Generator().manual_seed(0))
    exact = (hidden.double() @ tiny.network.out_head.weight.double().T).log_softmax(-1)  # type: ignore[attr-defined]
    wanted = exact[torch.arange(len(targets)), targets]
    for found in (corpus_head.log_probas(tiny, hidden, targets), corpus_head._by_rows(tiny, hidden, targets)):
        # ln p of about 11 has a step of 2^-20 in float32, and a logit of 32 products some 2^-23
        torch.testing.assert_close(found.double(), wanted, atol=2**-20, rtol=0)


@pytest.mark.skipif(sys.platform != "linux", reason="the peak of the memory is read from /proc")
def test_a_long_text_takes_less_than_64_mb_above_the_weights(gpt2: LanguageModel) -> None:
    script = """
import sys, torch
from gptloss import load_model
from gptloss.corpus import conventions
from gptloss.corpus.scoring import scored_windows
from gptloss.corpus.tally import Tally
torch.set_num_threads(1)
def memory(name):
    return next(int(line.split()[1]) * 1.024e-3 for line in open("/proc/self/status") if line.startswith(name))
model = load_model("gpt2-untrained")
plan = conventions.plan("rolling", model.info)
for weight in model.network.parameters():
    weight.sum()
def run(text):
    for scored in scored_windows(model, (text for _ in range(100)), plan): tally.add(scored)
tally = Tally(plan)
for scored in scored_windows(model, ["tea and milk"], plan): pass
before = memory("VmRSS")
run(sys.argv[1])
print(tally.tokens, memory("VmHWM") - before)
"""
    run = subprocess.run([sys.executable, "-c", script, "tea and milk, "], capture_output=True, text=True, check=True)
    tokens, added = map(float, run.stdout.split())
    assert tokens > 300
    assert added < 64


@pytest.mark.parametrize(
    ("text", "convention", "sentence"),
    [
        ("", "rolling", "The text is empty; choose one with a few sentences."),
        ("", "book", "The text is empty; choose one with a few sentences."),
        ("a", "strided", "The text has 1 token, so there is no next token to predict; choose a longer one."),
        ("ab cd", "book", "The text has 5 tokens, and book needs 9 for one window of 8 and the token after it;"),
    ],
)
def test_a_text_that_is_too_short(text: str, convention: Convention, sentence: str) -> None:
    with pytest.raises(TooShortError) as error:
        totals(UNIFORM, text, conventions.plan(convention, UNIFORM.info, window=8))
    assert sentence in str(error.value)


def test_a_token_that_is_ruled_out_is_named() -> None:
    class Never(Uniform):
        def head(self, hidden: torch.Tensor) -> torch.Tensor:
            logits = torch.zeros(len(hidden), 256)
            logits[:, ord("z")] = -torch.inf
            return logits

    plan = conventions.plan("rolling", UNIFORM.info, window=4, bos=False)
    for before, place in (("", "12"), ("tea " * 300, "1,212")):
        with pytest.raises(GptlossError) as error:
            totals(Never(UNIFORM.info), before + "tea and milz.", plan)
        assert str(error.value) == (
            f"uniform gives 'z', token {place} of what it reads, the log-probability -inf, so the text has no loss;"
            " use another model."
        )


@settings(max_examples=20)
@given(st.integers(2, 300))
def test_a_bigram_costs_the_same_under_every_convention(window: int) -> None:
    """It looks at one byte only, so windows change nothing but which tokens count."""
    raw = torch.tensor(list(TEXT.encode()))
    wanted = BIGRAM.log_probas[raw[:-1], raw[1:]].double().sum().item()
    for convention in ("rolling", "strided"):
        plan = conventions.plan(convention, BIGRAM.info, window=window, bos=False)  # type: ignore[arg-type]
        assert totals(BIGRAM, TEXT, plan).log_likelihood == pytest.approx(wanted, rel=1e-6)


def test_bfloat16_is_close_and_not_the_same(tiny: LanguageModel) -> None:
    plan = conventions.plan("rolling", tiny.info)
    lower = in_precision(tiny, "bfloat16")
    exact, rounded = sample_loss(tiny, [TEXT], plan), sample_loss(lower, [TEXT], plan)
    assert exact.tokens_scored == rounded.tokens_scored > 100
    assert 0 < abs(exact.loss - rounded.loss) < 0.01
    assert in_precision(tiny, "float32") is tiny
    with pytest.raises(GptlossError, match="float32"):
        in_precision(load_model("bigram"), "bfloat16")
    with pytest.raises(GptlossError, match="There is no precision 'int4'; use float32, float64, bfloat16"):
        inspect.unwrap(in_precision)(tiny, "int4")  # type: ignore[arg-type]
