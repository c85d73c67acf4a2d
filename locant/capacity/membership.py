"""How many were added is not known: a fixed threshold on the scores instead of the K largest."""

import math
from functools import lru_cache

import numpy as np
import torch
from scipy import special

from locant.capacity.check import check_members, check_noise, check_width
from locant.capacity.exact import lengths
from locant.capacity.residuals import smallest_residual
from locant.capacity.simulate import draw, log_below

COARSE = np.linspace(-2.0, 3.0, 251)  # thresholds, in units of the width
ZOOMS = 4  # each narrows the search to a twentieth
DRAWN = 1 << 22  # numbers that a threshold is sought on
TRIALS = 1000  # and sums, at most


def membership_probability(width: int, items: int, members: int, *, noise: float = 0.0) -> tuple[float, float]:
    """The probability that exactly the members exceed the best fixed threshold, and that threshold.

    ``P(τ) = E_r G_K(τ / r - r / (K + σ²)) Φ(τ / r)^(V - K)``: given the length ``r`` of the sum the hits and the misses
    are those of `exact.recovery_probability`, and the threshold ``τ`` on ``<a_j, y>`` is the same for every sum; it is
    chosen to make ``P`` largest. A harder problem than the set of known size: at width 542, 4096 items and 8 members
    the best threshold fails 0.7 % of the time, where the 8 largest fail 0.004 %.

    Returns ``(probability, τ / width)``; in that unit a member scores 1 on average. With all items members, any
    threshold that is low enough does: ``(1, -inf)``.
    Raises ValueError for sizes out of range or negative noise.
    """
    check_width(width)
    check_members(items, members)
    check_noise(noise)
    if members == items:
        return 1.0, -math.inf
    grid = COARSE
    for _ in range(ZOOMS):
        found = threshold_probability(grid, width, items, members, noise)
        # Where the best is a plateau, its middle is the safest.
        best = np.flatnonzero(found >= found.max() - 1e-15)
        middle = float(grid[best].mean())
        step = grid[1] - grid[0]
        grid = np.linspace(middle - step, middle + step, 41)
    threshold = float(grid[20])
    return float(threshold_probability(grid[20:21], width, items, members, noise)[0]), threshold


def threshold_probability(
    thresholds: np.ndarray, width: int, items: int, members: int, noise: float = 0.0
) -> np.ndarray:
    """``P(τ)`` of `membership_probability` for each threshold, given as a share of the width."""
    levels = np.asarray(thresholds, dtype=np.float64)[:, None] * width
    chi, weights = lengths(width)
    if members == 1 and noise == 0:
        return _alone(levels, width, items)
    size = chi * math.sqrt(members + noise)
    hits = smallest_residual(levels / size - size / (members + noise), members, noise)
    passed = hits * np.exp((items - members) * special.log_ndtr(levels / size))
    return np.clip(passed @ weights, 0.0, 1.0)


def _alone(levels: np.ndarray, width: int, items: int) -> np.ndarray:
    """One member and no noise: its score is r² itself, so the integral over r begins where that is the threshold."""
    nodes, weights = np.polynomial.legendre.leggauss(80)
    bottom = math.sqrt(2 * special.gammaincinv(width / 2, 1e-13))
    top = math.sqrt(2 * special.gammainccinv(width / 2, 1e-13))
    start = np.clip(np.sqrt(np.maximum(levels, 0.0)), bottom, top)
    length = start + (top - start) * (nodes + 1) / 2
    log_density = (width - 1) * np.log(length) - length**2 / 2 - (width / 2 - 1) * math.log(2)
    density = np.exp(log_density - special.gammaln(width / 2)) * weights * (top - start) / 2
    passed = density * np.exp((items - 1) * special.log_ndtr(levels / length))
    return np.clip(passed.sum(1), 0.0, 1.0)


@lru_cache(maxsize=1024)
def simulated_threshold(width: int, items: int, members: int, *, code: str, noise: float = 0.0, seed: int = 0) -> float:
    """The best fixed threshold, as a share of the width, for codes of equal length, by `TRIALS` sums on the sphere.

    Signs are taken for points of the sphere, which moves the threshold by less than a step of their scores. For
    Gaussian codes it is that of `membership_probability`.
    Raises ValueError as `membership_probability`.
    """
    if code == "gauss" or members == items or width < 3:
        return membership_probability(width, items, members, noise=noise)[1]
    generator = torch.Generator().manual_seed(seed)
    trials = max(50, min(TRIALS, DRAWN // (width * members)))
    drawn = draw("sphere", (trials, members, width), generator)
    sums = drawn.sum(1) + math.sqrt(noise) * torch.randn(trials, width, generator=generator, dtype=torch.float64)
    least = torch.einsum("tkd,td->tk", drawn, sums).amin(1)
    grid = torch.linspace(0.0, 1.5, 151, dtype=torch.float64)
    log_one = log_below("sphere", sums, (grid * width).expand(trials, -1), None, noise)
    right = (torch.exp((items - members) * log_one) * (least[:, None] > grid * width)).mean(0)
    return float(grid[int(right.argmax())])
