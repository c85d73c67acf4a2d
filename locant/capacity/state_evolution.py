"""What approximate message passing (AMP) can recover, by state evolution: the best decoder known to be fast."""

import math
from functools import lru_cache

import numpy as np
from scipy import special

from locant.capacity.check import check_members, check_noise, check_width

ROUNDS = 2000
SPREAD = 8.0  # nodes for g reach so many standard deviations: the sigmoid is as sharp as 1 / tau
GRID = np.linspace(-SPREAD, SPREAD, 1601)
DENSITY = np.exp(-(GRID**2) / 2)
DENSITY = DENSITY / DENSITY.sum()


def state_evolution(width: float, items: int, members: int, noise: float = 0.0) -> list[float]:
    """The effective noise variance ``tau^2`` of AMP, round by round, for `members` of `items` equal amplitudes.

    Unit-norm columns, 0/1 amplitudes, Bernoulli prior ``e = K / V``:

        tau_0^2 = noise + (K / d)(1 - K / V)
        tau_{t+1}^2 = noise + (V / d) e E_g[1 - eta(1 + tau_t g)],  eta(u) = sigmoid((u - 1/2) / tau^2 - ln((1-e)/e))

    as for the posterior mean ``E (x - eta)^2 = e E[1 - eta | x = 1]``. Exact in the limit of large sizes at fixed
    ratios (Bayati and Montanari 2011); at finite size the transition is smeared by a few per cent.

    noise: variance per coordinate where a code entry has variance ``1 / width``.
    Raises ValueError for sizes out of range or negative noise.
    """
    check_width(width)
    check_members(items, members)
    check_noise(noise)
    share = members / items
    if members == items:
        return [noise]
    prior = math.log1p(-share) - math.log(share)
    variance = noise + members / width * (1 - share)
    seen = [variance]
    for _ in range(ROUNDS):
        if variance < 1e-9:
            break
        tau = math.sqrt(variance)
        missed = special.expit(prior - (0.5 + tau * GRID) / variance)
        new = noise + members / width * float(DENSITY @ missed)
        seen.append(new)
        if abs(new - variance) <= 1e-9 * variance:
            break
        variance = new
    return seen


def amp_recovers(width: float, items: int, members: int, noise: float = 0.0) -> bool:
    """Whether state evolution ends where all members and no others are expected to pass the half: errors below 1/2.

    ``V P(error per item) < 1/2`` with the item error of a Bernoulli prior at the final ``tau``.
    """
    if members == items:
        return True
    variance = max(state_evolution(width, items, members, noise)[-1], 1e-12)
    tau, share = math.sqrt(variance), members / items
    threshold = 0.5 + variance * (math.log1p(-share) - math.log(share))
    log_false = math.log(items - members) + special.log_ndtr(-threshold / tau)
    log_missed = math.log(members) + special.log_ndtr((threshold - 1) / tau)
    return bool(np.logaddexp(log_false, log_missed) < math.log(0.5))


@lru_cache(maxsize=4096)
def amp_members(width: float, items: int, noise: float = 0.0) -> int:
    """The largest number of members that `amp_recovers` grants, by bisection; 0 if not even one."""
    if not amp_recovers(width, items, 1, noise):
        return 0
    low, high = 1, 2
    while high <= items // 2 and amp_recovers(width, items, high, noise):
        low, high = high, 2 * high
    high = min(high, items // 2 + 1)
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if amp_recovers(width, items, middle, noise) else (low, middle)
    return low


@lru_cache(maxsize=4096)
def amp_width(items: int, members: int, noise: float = 0.0) -> int:
    """The fewest coordinates at which `amp_recovers`; by bisection. Raises ValueError if 10^9 are too few."""
    low, high = 0, 1
    while not amp_recovers(high, items, members, noise):
        low, high = high, 2 * high
        if high > 10**9:
            raise ValueError(f"expected a noise that some width overcomes, was: {noise}")
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if amp_recovers(middle, items, members, noise) else (middle, high)
    return high
