"""How many were added is not known: a fixed threshold on the scores instead of the K largest."""

import math

import numpy as np
from scipy import optimize, special

from locant.capacity.check import check_members, check_noise, check_width
from locant.capacity.exact import lengths
from locant.capacity.residuals import smallest_residual


def membership_probability(width: int, items: int, members: int, *, noise: float = 0.0) -> tuple[float, float]:
    """The probability that exactly the members exceed the best fixed threshold, and that threshold.

    ``P(tau) = E_r G_K(tau / r - r / (K + noise)) Phi(tau / r)^(V - K)``: given the length ``r`` of the sum the hits and
    the misses are those of `exact.recovery_probability`, and the threshold ``tau`` on ``<a_j, y>`` is the same for
    every sum; it is chosen to make ``P`` largest. A harder problem than the set of known size: at width 542, 4096 items
    and 8 members the best threshold fails 0.7 % of the time, where the 8 largest fail 0.004 %.

    Returns ``(probability, threshold / width)``; in that unit a lone member scores about 1.
    Raises ValueError for sizes out of range or negative noise.
    """
    check_width(width)
    check_members(items, members)
    check_noise(noise)
    chi, weights = lengths(width)
    size = chi * math.sqrt(members + noise)

    def failure(threshold: float) -> float:
        level = threshold * width / size
        hits = smallest_residual(level - size / (members + noise), members, noise)
        misses = np.exp((items - members) * special.log_ndtr(level))
        return -float(weights @ (hits * misses))

    # The best lies between "every hit passes" and "no miss does"; a coarse search first, as the middle may be flat.
    grid = np.linspace(0.02, 1.5, 75)
    start = int(np.argmin([failure(t) for t in grid]))
    bounds = (grid[max(0, start - 1)], grid[min(len(grid) - 1, start + 1)])
    found = optimize.minimize_scalar(failure, bounds=bounds, method="bounded", options={"xatol": 1e-6})
    best = float(found.x) if found.fun <= failure(grid[start]) else float(grid[start])
    return min(1.0, max(0.0, -failure(best))), best
