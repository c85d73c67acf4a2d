"""The exact probability that a sum of Gaussian vectors is taken apart by its largest dot products."""

import math
from collections.abc import Sequence
from functools import lru_cache

import numpy as np
from scipy import special

from locant.capacity.check import check_members, check_noise, check_one_of_each, check_width
from locant.capacity.residuals import smallest_residual

GOALS = ("set", "slot", "membership")
LENGTHS = 40  # nodes for the length of the sum
GUMBEL = np.arange(-3.75, 36.0, 0.25)  # trapezoid nodes g for the largest miss, whose distribution is exp(-exp(-g))
GUMBEL_WEIGHTS = np.exp(-GUMBEL - np.exp(-GUMBEL)) * 0.25
STEP = 0.05  # of the trapezoid over one score; the sharpest edge, at 10^12 items, is 0.13 wide
SCORES = np.arange(-9.0, 9.0 + STEP / 2, STEP)


def recovery_probability(
    width: int, items: int | Sequence[int], members: int = 1, *, noise: float = 0.0, goal: str = "set"
) -> float:
    """The probability that dot products with the codebook give back what was added, exactly.

    Code vectors ``a_j`` have `width` independent N(0, 1) entries, ``y = Σ_{j in S} a_j + N(0, noise I)`` and the
    scores are ``<a_j, y>``. Given ``r = |y|`` the misses are iid N(0, r²), and the K hits are jointly normal:

        r² ~ (K + σ²) χ²_d,   hit_j / r = r / (K + σ²) + e_j,   cov(e_i, e_j) = [i = j] - 1 / (K + σ²)

    - goal "set": the `members` largest scores of one codebook are those added,
      ``E_r E_m P(min e_j > m - r / (K + σ²))`` with m the largest of ``items - members`` normal misses. With several
      codebooks (`items` a sequence, one item added from each): the largest score in each codebook is the one added,
      ``E_r E_e Π_j Φ(r / (K + σ²) + e_j)^(V_j - 1)``.
    - goal "slot": `members` codebooks of `items` each, one item added from each; one given slot is right. For a
      sequence of codebooks: the slot of the first.
    - goal "membership": the number of members is unknown; exactly the members exceed the best fixed threshold. See
      `membership.membership_probability`.

    width: coordinates d.  items: codebook size V up to 10^12 and beyond, or a sequence of sizes.  members: K; 1 (one of
        each) for a sequence.  noise: σ², variance per coordinate, where a code entry has variance 1.
    Returns a probability; the quadrature is good to 1e-6.
    Raises ValueError for sizes out of range, negative noise, an unknown goal, or membership in several codebooks.
    Source: derived here from the joint normality of scores and sum; the hits are not independent, as the classic
    integral assumes (see `approximate.classic_integral`), because they add up to ``|y|²``.
    """
    check_width(width)
    check_noise(noise)
    if goal not in GOALS:
        raise ValueError(f"expected a goal of {', '.join(GOALS)}, was: {goal}")
    if isinstance(items, Sequence):
        check_one_of_each(items, members)
        if goal == "membership":
            raise ValueError(f"expected one codebook for goal membership, was: {tuple(items)}")
        sizes = tuple(items)
        return _slot(width, sizes[0], len(sizes), noise) if goal == "slot" else _one_of_each(width, sizes, noise)
    if goal == "slot":
        if items < 1 or members < 1:
            raise ValueError(f"expected at least 1 item and 1 member, was: {items} and {members}")
        return _slot(width, items, members, noise)
    check_members(items, members)
    if goal == "membership":
        from locant.capacity.membership import membership_probability

        return membership_probability(width, items, members, noise=noise)[0]
    return _set(width, items, members, noise)


@lru_cache(maxsize=4096)
def lengths(width: int) -> tuple[np.ndarray, np.ndarray]:
    """Nodes and weights for ``E f(χ_d)``: Gauss-Legendre between the 1e-13 quantiles, weighted with the density."""
    low, high = special.gammaincinv(width / 2, 1e-13), special.gammainccinv(width / 2, 1e-13)
    nodes, weights = np.polynomial.legendre.leggauss(LENGTHS)
    bottom, top = math.sqrt(2 * low), math.sqrt(2 * high)
    chi = bottom + (top - bottom) * (nodes + 1) / 2
    density = (width - 1) * np.log(chi) - chi**2 / 2
    weights = weights * np.exp(density - density.max())
    return chi, weights / weights.sum()


def largest_miss(misses: int) -> np.ndarray:
    """Values m of the largest of `misses` standard normals at the nodes `GUMBEL`: ``Φ(m)^misses = exp(-exp(-g))``."""
    return special.ndtri_exp(-np.exp(-GUMBEL) / misses)


def _set(width: int, items: int, members: int, noise: float) -> float:
    if members == items:
        return 1.0
    if members == 1:  # the same question; the slot's integrand is smooth where the hit has no spread around its mean
        return _slot(width, items, 1, noise)
    chi, weights = lengths(width)
    barrier = largest_miss(items - members)[None, :] - (chi / math.sqrt(members + noise))[:, None]
    return _clip(weights @ smallest_residual(barrier, members, noise) @ GUMBEL_WEIGHTS)


def _slot(width: int, items: int, slots: int, noise: float) -> float:
    chi, weights = lengths(width)
    total = slots + noise
    score = (chi / math.sqrt(total))[:, None] + SCORES[None, :] * math.sqrt(max(0.0, 1 - 1 / total))
    normal = np.exp(-(SCORES**2) / 2) * STEP / math.sqrt(2 * math.pi)
    return _clip(weights @ np.exp((items - 1) * special.log_ndtr(score)) @ normal)


def _one_of_each(width: int, sizes: tuple[int, ...], noise: float) -> float:
    """``E_e Π f_j(e_j)`` for e ~ (X | ΣX + σw = 0), X and w iid normal: an integral over one frequency."""
    if len(sizes) == 1:
        return _slot(width, sizes[0], 1, noise)
    chi, weights = lengths(width)
    total = len(sizes) + noise
    log_hit = special.log_ndtr((chi / math.sqrt(total))[:, None] + SCORES[None, :])
    spacing = 2 * math.pi / (12 * math.sqrt(total) + 12)
    frequencies = np.arange(0.0, 40.0, spacing)
    waves = np.exp(1j * SCORES[:, None] * frequencies - SCORES[:, None] ** 2 / 2) * STEP / math.sqrt(2 * math.pi)
    product = np.broadcast_to(np.exp(-noise * frequencies**2 / 2), (chi.size, frequencies.size)).astype(complex)
    for size in sorted(set(sizes)):
        product = product * (np.exp((size - 1) * log_hit) @ waves) ** sizes.count(size)
    integral = product.real @ np.where(frequencies == 0, 0.5, 1.0) * spacing / math.pi
    return _clip(math.sqrt(2 * math.pi * total) * float(weights @ integral))


def _clip(value: float) -> float:
    return min(1.0, max(0.0, float(value)))
