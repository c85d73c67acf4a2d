"""The best decoder of random vectors at any width: exactly sampled when narrow, by a normal approximation when wide."""

import math
from functools import lru_cache

import numpy as np
import torch

from locant.capacity import information
from locant.capacity.bits import bits_needed
from locant.capacity.estimate import Estimate
from locant.capacity.formats import number_format
from locant.capacity.information import LOADS, random_code_probability
from locant.maths.proportion import wilson

METHOD = "random-coding argument"
WIDE = 8  # coordinates beyond which the sum of their log masses is taken as normal
SAMPLES = 1 << 17
NORMAL = 0.016  # times p (1 - p): how far the normal approximation was off where both can be computed, at most


def best_decoder(width: int, items: int | tuple[int, ...], members: int, name: str) -> Estimate:
    """The probability that the best decoder of a Gaussian code is right in a number format.

    Up to `WIDE` coordinates it is `information.random_code_probability`. Beyond, ``log lambda = log N + sum log F(cell
    of y_c)`` is a sum of many independent terms and taken as normal with their measured mean and variance; the
    probability is ``E (1 - exp(-lambda)) / lambda`` as there.
    Raises ValueError for sizes out of range or an unknown format.
    """
    one_of_each = isinstance(items, tuple)
    if width <= WIDE:
        return sampled(random_code_probability(width, items, 1 if one_of_each else members, name)[1])
    log_count = bits_needed(items, 1 if one_of_each else members) * math.log(2)
    mean, variance = _log_mass(name, len(items) if isinstance(items, tuple) else members)
    nodes, weights = np.polynomial.hermite_e.hermegauss(40)
    log_rate = log_count + width * mean + math.sqrt(width * variance) * nodes
    rate = np.exp(np.clip(log_rate, -600, 600))
    right = np.where(rate > 1e-12, -np.expm1(-rate) / rate, 1.0)
    value = float(np.clip(weights @ right / weights.sum(), 0, 1))
    error = NORMAL * value * (1 - value)
    return Estimate(value, value - error, value + error, METHOD)


def sampled(value: float) -> Estimate:
    """A mean over the sums that `information.random_code_probability` draws, with an interval that is surely wide
    enough: that of as many 0/1 trials.
    """
    return Estimate(value, *wilson(value, information.SAMPLES), METHOD)


@lru_cache(maxsize=4096)
def _log_mass(name: str, total: int) -> tuple[float, float]:
    """Mean and variance of ``log F(cell)`` of one number of a sum of variance `total`.

    A format without an exponent has the fixed scale, of `LOADS`, that leaves the smallest cells on average.
    """
    kind, deviation = number_format(name), math.sqrt(total)
    sums = torch.randn(SAMPLES, generator=torch.Generator().manual_seed(0), dtype=torch.float64) * deviation
    loads = LOADS if kind.dtype is None and kind.bits > 1 else (1.0,)
    found = []
    for load in loads:
        scale = None if kind.dtype is not None else load * deviation / kind.largest
        low, high = kind.cell(kind.round(sums, scale), scale)
        inside = torch.special.ndtr(high / deviation) - torch.special.ndtr(low / deviation)
        middle = ((low + high) / (2 * deviation)).square() / 2
        density = torch.log((high - low) / deviation) - middle - math.log(2 * math.pi) / 2
        small = (high - low) < 1e-4 * deviation  # where the difference above is all cancellation
        log_mass = torch.where(small, density, inside.clamp_min(1e-300).log())
        found.append((float(log_mass.mean()), float(log_mass.var())))
    return min(found)
