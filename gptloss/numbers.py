"""Numbers for the eye: enough digits to check against the book, and no probability shown as 0."""

import math
from typing import Literal, NamedTuple

Units = Literal["nats", "bits"]


class Logarithm(NamedTuple):
    """How the logarithm behind a unit is written in each place, and its base."""

    symbol: str
    html: str
    latex: str
    torch: str
    base: str


LOGARITHMS: dict[Units, Logarithm] = {
    "nats": Logarithm("ln", "ln", r"\ln", "log", "e"),
    "bits": Logarithm("log₂", "log<sub>2</sub>", r"\log_2", "log2", "2"),
}


def counted(amount: int, what: str, ending: str = "s") -> str:
    """`1 token`, `1,024 tokens`; `ending` makes the plural: `2 batches` needs `es`."""
    return f"{amount:,} {what}{'' if amount == 1 else ending}"


def position_name(i: int, j: int) -> str:
    """`p12`; from the tenth position on `p1,12`, because p112 could be read two ways."""
    return f"p{i}{j}" if j < 10 else f"p{i},{j}"


def proba_text(log_proba: float, digits: int = 2) -> str:
    """A probability from its natural log: `0.7725`, `7.45e-05`, `4.76e-400`, `1 - 2.1e-06`; never `0`.

    `digits` after the first one. Takes the log because the probability itself may
    be below what a float can hold.
    """
    if log_proba > math.log(0.99995):
        rest = -math.expm1(log_proba)
        return f"1 - {rest:.2g}" if rest > 0 else "1.0000"
    if log_proba >= math.log(0.001):
        return f"{math.exp(log_proba):#.{max(4, digits + 1)}g}"
    return power_text(log_proba, digits)


def power_text(log_value: float, digits: int = 2) -> str:
    """A positive number from its natural log, as `d.dde-dd`, at any size."""
    log10 = log_value / math.log(10)
    exponent = math.floor(log10)
    mantissa = f"{10 ** (log10 - exponent):.{digits}f}"
    if mantissa.startswith("10"):  # 9.999 rounded up
        mantissa, exponent = f"{1:.{digits}f}", exponent + 1
    return f"{mantissa}e{exponent:+03d}"


def odds_text(log_proba: float) -> str:
    """`1 in 13,416`: how many equally likely choices would give this probability."""
    if -log_proba < math.log(10):
        return f"1 in {math.exp(-log_proba):.2f}"
    if -log_proba < math.log(1e12):
        return f"1 in {math.exp(-log_proba):,.0f}"
    return f"1 in {power_text(-log_proba)}"


def perplexity_text(loss: float) -> str:
    """e^loss (loss in nats): `1.2946`, `48,725.8`, `3.08e+07`."""
    if loss < math.log(100):
        return f"{math.exp(loss):.4f}"
    return f"{math.exp(loss):,.1f}" if loss < math.log(1e6) else power_text(loss)


def in_units(nats: float, units: Units) -> float:
    """An amount given in nats, in the units asked for."""
    return nats if units == "nats" else nats_to_bits(nats)


def latex_number(number: str) -> str:
    """`4.76e-06` and `48,725.8` as LaTeX."""
    mantissa, _, exponent = number.partition("e")
    text = mantissa.replace(",", "{,}")
    return rf"{text} \cdot 10^{{{int(exponent)}}}" if exponent else text


def nats_to_bits(nats: float) -> float:
    """1 nat = 1 / ln 2 = 1.4427 bits."""
    return nats / math.log(2)
