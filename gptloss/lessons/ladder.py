"""The book's steps from logits to perplexity as data: a sentence, the formula with numbers, the PyTorch lines."""

from dataclasses import dataclass

from gptloss.numbers import (
    LOGARITHMS,
    Units,
    in_units,
    latex_number,
    odds_text,
    perplexity_text,
    position_name,
    power_text,
    proba_text,
)
from gptloss.scoring.batch import ScoredBatch

# A mean of more terms than this is written with dots.
TERMS_SHOWN = 8
TERMS_A_LINE = 3
# Float32 and float64 differ by so much, in nats, that it is worth a sentence.
VISIBLE = 1e-6


@dataclass(frozen=True)
class LadderStep:
    """One step of the ladder, said three ways for one chosen p_ij."""

    name: str
    sentence: str
    latex: str
    code: str


def shapes(batch: ScoredBatch) -> tuple[str, str]:
    """The shape of the logits by rows, and flattened: `[2, 3, 50257]` and `[6, 50257]`."""
    v = batch.model.info.vocab_size
    lengths = [len(row.targets) for row in batch.rows]
    if len(set(lengths)) == 1:
        by_row = f"[{len(lengths)}, {lengths[0]}, {v}]"
    else:
        by_row = " + ".join(f"[{length}, {v}]" for length in lengths)
    return by_row, f"[{len(batch)}, {v}]"


def steps(batch: ScoredBatch, i: int, j: int, units: Units) -> tuple[LadderStep, ...]:
    """The seven steps with the numbers of `batch`, the first four for p_ij. Logs in `units`."""
    k = batch.index(i, j)
    target = batch.targets[k]
    n, v = len(batch), batch.model.info.vocab_size
    logit, log_proba = batch.logits[k].item(), batch.log_probas[k].item()
    mean, loss = in_units(batch.avg_log_proba, units), in_units(batch.loss, units)
    logarithm = LOGARITHMS[units]
    log = logarithm.latex
    name = f"p_{{{position_name(i, j)[1:]}}}"
    proba, precise = latex_number(proba_text(log_proba)), latex_number(proba_text(log_proba, digits=4))
    return (
        LadderStep(
            "Logits",
            f"After each input token the model gives every one of the {v:,} tokens a score, its logit;"
            f" the target {target.label} got {logit:+.4f}.",
            rf"z_{{{position_name(i, j)[1:]}}} = \text{{logit of token {target.id}}} = {logit:.4f}",
            _logits_code(batch),
        ),
        LadderStep(
            "Softmax",
            f"e to the power of each logit, divided by the sum of all {v:,}, turns the scores into"
            " probabilities that sum to 1.",
            rf"\frac{{e^{{z}}}}{{\sum_{{v=1}}^{{{v}}} e^{{z_v}}}} = \frac{{e^{{{logit:.4f}}}}}"
            rf"{{{latex_number(power_text(logit - log_proba))}}} = {proba}",
            f"probas = torch.softmax(logits, dim=-1)  # {shapes(batch)[1]}, each line sums to 1",
        ),
        LadderStep(
            "Target probability",
            f"Of the {v:,} probabilities at this position only the target's counts: {odds_text(log_proba)}.",
            rf"{name} = \text{{probas}}[{k},\ {target.id}] = {precise}",
            f"target_probas = probas[torch.arange({n}), targets]  # [{n}]",
        ),
        LadderStep(
            "Log",
            "The logarithm turns a product of small probabilities into a sum that a computer can hold;"
            " a certain target would have log 0.",
            rf"{log}\, {name} = {log}({precise}) = {in_units(log_proba, units):.4f}",
            f"log_probas = torch.{logarithm.torch}(target_probas)",
        ),
        LadderStep(
            "Mean",
            f"The mean of all {n} logs: every target token counts the same, whichever row it is in.",
            rf"\begin{{aligned}}\tfrac{{1}}{{{n}}}(&{_sum_of_logs(batch, units)})\\ &= {mean:.4f}\end{{aligned}}",
            "avg_log_proba = torch.mean(log_probas)",
        ),
        LadderStep(
            "Minus",
            f"The minus sign makes it a loss, smaller is better; PyTorch does all six steps at once, in nats:"
            f" {_in_one_call(batch)}",
            rf"\text{{loss}} = -({mean:.4f}) = {loss:.4f}",
            "neg_avg_log_proba = avg_log_proba * -1\n"
            "loss = torch.nn.functional.cross_entropy(logits.double(), targets)  # the same in one call, in nats"
            + ("" if units == "nats" else "\nloss = loss / torch.log(torch.tensor(2.0))  # in bits"),
        ),
        LadderStep(
            "Perplexity",
            f"The model is as unsure as if it chose between {perplexity_text(batch.loss)} equally likely tokens.",
            rf"{logarithm.base}^{{\,{loss:.6f}}} = {latex_number(perplexity_text(batch.loss))}",
            f"perplexity = torch.{'exp' if units == 'nats' else 'exp2'}(loss)  # the loss in {units}",
        ),
    )


def _in_one_call(batch: ScoredBatch) -> str:
    """What `F.cross_entropy` says; and where float32 is seen to lose digits, why."""
    exact, usual = batch.cross_entropy, batch.cross_entropy_float32
    if abs(exact - usual) < VISIBLE:
        return f"{exact:.4f}."
    return (
        f"{exact:.7f}, if the logits are in float64. In float32 even PyTorch says {usual:.7f}: it adds"
        f" {batch.model.info.vocab_size:,} exponentials one after the other, and beside a large sum the small ones"
        " are rounded away."
    )


def _sum_of_logs(batch: ScoredBatch, units: Units) -> str:
    logs = [f"- {abs(in_units(value, units)):.4f}" for value in batch.log_probas.tolist()]
    if len(logs) > TERMS_SHOWN:
        logs = [*logs[: TERMS_SHOWN // 2], r"- \dots", *logs[-TERMS_SHOWN // 2 + 1 :]]
    lines = (" ".join(logs[start : start + TERMS_A_LINE]) for start in range(0, len(logs), TERMS_A_LINE))
    return r"\\ &".join(lines)


def _logits_code(batch: ScoredBatch) -> str:
    """From ids to flattened logits and targets; rows of unequal length go through the model one by one."""
    by_row, flat = shapes(batch)
    inputs = [[token.id for token in row.before + row.inputs] for row in batch.rows]
    first = "[:, 1:]" if batch.rows[0].before else ""  # nothing is asked at the start token
    targets = [token.id for token in batch.targets]
    if len(set(map(len, inputs))) == 1:
        forward = f"logits = model(torch.tensor(inputs)){first}  # {by_row}\n    logits = logits.flatten(0, 1)"
    else:
        forward = f"logits = torch.cat([model(torch.tensor([row])){first}[0] for row in inputs])  # {by_row}"
    return f"inputs = {inputs}\ntargets = torch.tensor({targets})\nwith torch.no_grad():\n    {forward}  # {flat}"
