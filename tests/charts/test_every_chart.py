"""What every chart must do. A chart without an example here fails, so a new one is guarded for nothing."""

import inspect
import json
import pkgutil
from collections.abc import Callable
from importlib import import_module
from typing import Any, Literal

import pytest
import torch

import gptloss.charts
from gptloss import ScoredBatch, score
from gptloss.analysis.alignment import aligned_tokens, spans_of_tokens
from gptloss.analysis.temperature import temperature_curve
from gptloss.analysis.words import sentences, words
from gptloss.charts.colours import RUNS, TARGET
from gptloss.charts.compare import TokenPanel
from gptloss.charts.conventions import PartOfText
from gptloss.charts.corpus import RunLosses, WindowLoss
from gptloss.charts.figure import Chart
from gptloss.charts.perplexity.compression import Size
from gptloss.charts.perplexity.ruler import RulerMark
from gptloss.charts.probabilities import Mark
from gptloss.charts.ranks import Other
from gptloss.charts.vocabulary import index_sentence
from gptloss.corpus.conventions import Plan
from gptloss.corpus.scoring import scored_windows
from gptloss.corpus.tally import Tally
from gptloss.lessons.gradients import logit_curve, pushes
from gptloss.lessons.pitfalls.digits import entropy_curve
from gptloss.lessons.products import product
from gptloss.lessons.what_if import moved
from gptloss.models import LanguageModel, load_model
from gptloss.prediction.distribution import Distribution
from gptloss.prediction.sampled import SampledDistribution
from gptloss.prediction.sampling import Sampler
from gptloss.training.optimizer_steps import LayerMove, OptimizerStep
from gptloss.training.snapshot import Baselines, Followed, Snapshot

HOSTILE = ["<i>it</i>. $x$", "<script>alert(1)</script> a.", "a & b", "[x](http://y)"]
LARGEST = 60_000
# What Plotly shows of a trace.
TEXTS = ("name", "text", "hovertext", "customdata", "hovertemplate", "texttemplate")
PLAN = Plan("book", 8, 8, False)
Units = Literal["nats", "bits"]
# A ruler in both units, and a code, which is in bits whatever the losses are in.
OF_THEIR_OWN = ("loss_ruler_chart", "running_bits_chart")


def charts() -> dict[str, Callable[..., Chart]]:
    """Every public function of the package that makes a chart."""
    found = {}
    for module in pkgutil.walk_packages(gptloss.charts.__path__, "gptloss.charts."):
        for name, made in inspect.getmembers(import_module(module.name), inspect.isfunction):
            if name.endswith("_chart") and not name.startswith("_"):
                found[name] = made
    return found


class Example:
    """A text scored by a model, and what the charts draw of it."""

    def __init__(self, model: LanguageModel, text: str, units: Units) -> None:
        self.text, self.units = text, units
        self.batch = score(model, f"{text} x")
        self.at = self.batch.positions[-1]
        self.target = self.batch.targets[-1]
        self.distribution = Distribution(self.batch.logits_at(*self.at))
        self.marks = [Mark(self.target, "▸", TARGET), Mark(self.target, "◆", RUNS[3])]
        token = model.tokenizer.token
        self.sampled = SampledDistribution(
            self.batch.logits_at(*self.at), lambda id: token(id).label, Sampler(0.5, top_k=9), self.target.id
        )
        self.row = aligned_tokens(self.batch, 1)
        self.losses = losses(f"{text} " * 8, text)

    def arguments(self) -> dict[str, tuple[Any, ...]]:
        """What each chart is called with."""
        batch, units, one = self.batch, self.units, [self.losses]
        panels = [TokenPanel(self.text, self.row, 1), TokenPanel("two", self.row, None, RUNS[1])]
        counts = torch.bincount(torch.tensor([self.target.id] * 9), minlength=len(self.sampled.logits))
        first, marked = batch.top(*self.at, 5), [batch.prediction(*self.at, self.target.id)]
        others = [Other("① p12", RUNS[0], self.distribution)]
        return {
            "token_chart": (panels, units),
            "pushes_chart": (pushes(batch, *self.at), batch.model.info.vocab_size, self.at, units),
            "logit_curve_chart": (logit_curve(batch, *self.at), self.at, units),
            "climb_chart": (batch, [step(batch)]),
            "layers_chart": (step(batch),),
            "difference_chart": (spans_of_tokens(self.row, self.row), (self.text, "two"), units, self.text),
            "split_chart": ([PartOfText("training", 0, 80, 20, [(0, 40), (40, 80)])],),
            "convention_chart": (PLAN, 40),
            "ruler_chart": (one, units),
            "running_chart": (one, units),
            "along_chart": (one, 1, units),
            "histogram_chart": (one, units),
            "position_chart": (one, units),
            "draws_chart": (self.sampled, counts),
            "bars_chart": (self.sampled,),
            "ranks_chart": (self.sampled,),
            "expected_chart": (batch, *self.at),
            "losses_chart": (batch, *self.at, units),
            "vocabulary_chart": (self.distribution, self.marks, index_sentence(batch, self.at)),
            "seven_words_chart": (),
            "likeliest_chart": ("After", first, marked, self.marks, "probas"),
            "rank_chart": (self.distribution, self.marks, "p11", others, 5, 0.9),
            "cumulative_chart": (self.distribution, "p11", others),
            "costliest_tokens_chart": (batch, units),
            "costliest_words_chart": (words(batch), units),
            "sentence_chart": (sentences(batch), units),
            "loss_chart": (batch, 0, units),
            "rank_counts_chart": (batch.ranks,),
            "curves_chart": (looks(), Baselines(5.5, 3.1, 2.4), 256, units, 20, 10, looks()[1]),
            "heat_map_chart": ([followed(batch)], [0, 20], "token"),
            "loss_ruler_chart": (
                [RulerMark("certain", 0.0, RUNS[0]), RulerMark(self.text, batch.loss, TARGET, strong=True)],
                units,
            ),
            "entropy_bound_chart": (entropy_curve(batch, *self.at), units),
            "product_chart": (product((-batch.log_probas.double()).tolist(), 20),),
            "log_sum_chart": (product((-batch.log_probas.double()).tolist(), 20), units),
            "binary_chart": (1, 0.8, units),
            "waterfall_chart": (moved(batch, *batch.positions[0], 0.5), units),
            "sizes_chart": ([Size(self.text, 10), Size("b", 3.5, is_code=True)],),
            "running_bits_chart": ([1.0, 2.0], [4, 4], [self.text, "b"]),
            "temperature_chart": (temperature_curve(batch), 1.0, units),
        }


def step(batch: ScoredBatch) -> OptimizerStep:
    """A step that made every target twice as likely."""
    before = tuple(batch.log_probas.tolist())
    after = tuple(value + 0.69 for value in before)
    layers = (LayerMove("block 1", 2.0, 0.02), LayerMove("head", 3.0, 0.03))
    return OptimizerStep(1, 0.01, batch.loss, batch.loss - 0.69, before, after, -0.7, layers)


def looks() -> list[Snapshot]:
    """Three looks at a run that over-fits."""
    return [
        Snapshot(step, step / 10, 64 * step, training, validation, 1.0, 0.01)
        for step, training, validation in ((0, 5.6, 5.7), (10, 2.5, 2.6), (20, 1.0, 3.0))
    ]


def followed(batch: ScoredBatch) -> Followed:
    """The text at two steps of a run."""
    row = batch.rows[0]
    tokens = tuple(token.label for token in (*row.inputs[:1], *row.targets))
    return Followed("", tokens, ((-5.0,) * len(row.targets), tuple(batch.log_probas.tolist())))


def losses(text: str, title: str) -> RunLosses:
    """The windows of a text under the bigram model, in one part."""
    model, tally = load_model("bigram"), Tally(PLAN)
    found = list(scored_windows(model, [text], PLAN))
    for window in found:
        tally.add(window)
    windows = [
        WindowLoss(k + 1, "training", 8 * k, 8 * k + 8, 8, -window.log_probas.mean().item())
        for k, window in enumerate(found)
    ]
    return RunLosses(title, 256, {"training": tally.snapshot()}, tuple(windows))


def test_every_chart_has_an_example(tiny: LanguageModel) -> None:
    assert set(Example(tiny, "a b", "nats").arguments()) == set(charts())


@pytest.fixture(scope="module", params=HOSTILE)
def hostile(request: pytest.FixtureRequest, tiny: LanguageModel) -> Example:
    return Example(tiny, request.param, "nats")


@pytest.mark.parametrize("name", charts())
def test_plotly_knows_every_value(name: str, tiny: LanguageModel) -> None:
    """The app sends figures unchecked, so each is checked here."""
    chart = charts()[name](*Example(tiny, "one two. Three", "nats").arguments()[name])
    assert len(chart.figure.data) == len(chart.to_dict()["data"])


@pytest.mark.parametrize("name", charts())
def test_text_is_never_markup(name: str, hostile: Example) -> None:
    """Plotly reads tags, and MathJax between dollars, in everything but a scatter's plain text of its own."""
    spec = json.loads(charts()[name](*hostile.arguments()[name]).to_json())
    read = [spec["layout"], *([trace.get(part) for part in TEXTS] for trace in spec["data"])]
    said = json.dumps(read, ensure_ascii=False)
    assert [bad for bad in ("<script", "<i>", "$") if bad in said] == []


@pytest.mark.parametrize("name", [name for name in charts() if name not in OF_THEIR_OWN])
def test_bits_change_every_unit(name: str, tiny: LanguageModel) -> None:
    said = {}
    for units in ("nats", "bits"):
        spec = json.loads(charts()[name](*Example(tiny, "one two. Three", units).arguments()[name]).to_json())
        said[units] = json.dumps([spec["layout"], *([trace.get(part) for part in TEXTS] for trace in spec["data"])])
    assert "nats" not in said["bits"]
    assert ("nats" in said["nats"]) == ("bits" in said["bits"])


@pytest.mark.parametrize("name", charts())
def test_it_is_small_and_its_axes_are_named(name: str, tiny: LanguageModel) -> None:
    chart = charts()[name](*Example(tiny, "one two. Three", "nats").arguments()[name])
    assert len(chart.to_json()) < LARGEST
    layout = json.loads(chart.to_json())["layout"]
    assert layout["title"]["text"]
    named = [layout[axis].get("title", {}).get("text") for axis in layout if axis.startswith(("xaxis", "yaxis"))]
    assert any([*named, layout["title"].get("subtitle", {}).get("text")])


def test_the_example_is_of_a_whole_text(tiny: LanguageModel) -> None:
    example = Example(tiny, HOSTILE[1], "nats")
    assert isinstance(example.batch, ScoredBatch)
    assert len(example.losses.windows) > 3
