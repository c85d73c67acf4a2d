"""The limit of the best decoder: how many random sums a number format tells apart, and what noise leaves."""

import math
from collections.abc import Sequence

import torch

from locant.capacity.bits import bits_needed, log2_choose
from locant.capacity.check import check_members, check_noise, check_one_of_each, check_width
from locant.capacity.formats import NumberFormat, number_format

SAMPLES = 20_000
CHUNK = 1 << 22  # numbers drawn at a time
LOADS = (1.0, 1.5, 2.0, 2.25, 2.5, 2.75, 3.0, 3.5, 4.0, 4.5)  # outermost codes, in standard deviations of the sum


def random_code_probability(
    width: int, items: int | Sequence[int], members: int, format_name: str, *, generator: torch.Generator | None = None
) -> tuple[float, float]:
    """``(P(the sum is unique), P(the best decoder is right))`` for Gaussian codes whose sum is rounded to a format.

    ``N`` candidate sums fall into the cells of the format like points of a Poisson process. The cell of the sum ``y``
    expects ``lambda(y) = N prod_c F(cell of y_c)`` of the others, ``F`` the mass of N(0, K) in it, so that

        P(unique) = E exp(-lambda),   P(best decoder right) = E (1 - exp(-lambda)) / lambda

    the latter because of several candidates in a cell each is as likely as another. The usual random-coding argument,
    for a finite size; checked by enumeration in the tests. Sums that share members are not independent, which the law
    leaves out; with few members of few items it is then an approximation.

    The mean is over sampled sums (20,000; standard error below 0.004). A format without an exponent gets one fixed
    scale: of those that put its outermost codes at 1 to 4.5 deviations of the sum, the one that serves best.
    Raises ValueError for sizes out of range or an unknown format.
    """
    check_width(width)
    kind = number_format(format_name)
    if isinstance(items, Sequence):
        check_one_of_each(items, members)
        total = len(items)
    else:
        check_members(items, members)
        total = members
    log_count = bits_needed(items, members) * math.log(2)
    seed = 0 if generator is None else generator.initial_seed()
    loads = LOADS if kind.dtype is None and kind.bits > 1 else (1.0,)
    return max((_at_load(load, log_count, width, total, kind, seed) for load in loads), key=lambda pair: pair[1])


def _at_load(
    load: float, log_count: float, width: int, total: int, kind: NumberFormat, seed: int
) -> tuple[float, float]:
    """Both probabilities with the outermost codes at `load` standard deviations; the same sums for every load."""
    generator = torch.Generator().manual_seed(seed)
    scale = None if kind.dtype is not None else load * math.sqrt(total) / kind.largest
    log_lambda = torch.cat(
        [log_count + _log_mass(part, width, total, kind, scale, generator) for part in _parts(width)]
    )
    rate = log_lambda.exp()
    best = torch.where(rate > 1e-12, -torch.expm1(-rate) / rate.clamp_min(1e-300), torch.ones_like(rate))
    return float(torch.exp(-rate).mean()), float(best.mean())


def _parts(width: int) -> list[int]:
    size = max(1, CHUNK // width)
    return [min(size, SAMPLES - start) for start in range(0, SAMPLES, size)]


def _log_mass(
    count: int, width: int, total: int, kind: NumberFormat, scale: float | None, generator: torch.Generator
) -> torch.Tensor:
    """``sum_c log F(cell of y_c)`` of `count` drawn sums of variance `total`."""
    deviation = math.sqrt(total)
    sums = deviation * torch.randn(count, width, generator=generator, dtype=torch.float64)
    low, high = kind.cell(kind.round(sums, scale), scale)
    inside = torch.special.ndtr(high / deviation) - torch.special.ndtr(low / deviation)
    middle = (high + low) / (2 * deviation)  # for cells so small that the difference above is all cancellation
    density = torch.log((high - low) / deviation) - middle.square() / 2 - 0.5 * math.log(2 * math.pi)
    small = (high - low) < 1e-4 * deviation
    return torch.where(small, density, inside.clamp_min(1e-300).log()).sum(-1)


def noisy_width(items: int, members: int, noise: float) -> float:
    """The fewest coordinates of a Gaussian code for any decoder under noise: ``2 log C(V, K) / log(1 + K / noise)``.

    Below it almost nothing is recovered, above it almost all (all-or-nothing, for K = o(sqrt V)); in the form with
    ``K log(V/K)``: Reeves, Xu and Zadik 2019, arXiv:1903.05046; Gamarnik and Zadik 2022. Asymptotic.
    Raises ValueError for sizes out of range or a noise that is not positive.
    """
    check_members(items, members)
    check_noise(noise)
    if noise == 0:
        raise ValueError("expected a noise above 0 (without noise one real number suffices), was: 0")
    return 2 * log2_choose(items, members) * math.log(2) / math.log1p(members / noise)
