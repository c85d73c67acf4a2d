"""Orthogonal matching pursuit without the items: the true atoms are drawn, the others are a Brownian motion."""

import math

import numpy as np
from scipy.special import ndtr

from locant.capacity.check import check_members, check_width
from locant.capacity.estimate import Estimate, from_values

CELLS = 160  # between zero and the wall, on which the size of the motion is followed


def omp_probability(width: int, items: int, members: int, trials: int, generator: np.random.Generator) -> Estimate:
    """The probability that OMP finds exactly the members of a Gaussian code, whatever the number of items.

    OMP is run on the K true atoms alone (a K x K Gram matrix). At step t its residual is ``r_t``; a wrong atom ``a`` is
    taken if ``|<a, r_t>|`` exceeds the best true score ``m_t``. As residuals shrink by orthogonal projections,
    ``<a, r_t> / |r_t|^2`` is a Brownian motion at the times ``1 / |r_t|^2``: increments over disjoint projections are
    independent. So one wrong atom stays below all of ``m_t`` with the probability that the motion does not leave
    ``+- m_t / |r_t|^2`` at these times, followed on cells; ``items - members`` independent ones with its power.

    Costs ``O(K^3 + K CELLS^2)`` a trial.  Raises ValueError for sizes out of range or fewer than 2 trials.
    Source: the Brownian view is that of Fletcher and Rangan 2012; the rest is derived here and checked directly.
    """
    check_width(width)
    check_members(items, members)
    if trials < 2:
        raise ValueError(f"expected at least 2 trials, was: {trials}")
    if members > width:
        return from_values(np.zeros(trials), "simulation")
    return from_values([_trial(width, items, members, generator) for _ in range(trials)], "simulation")


def _trial(width: int, items: int, members: int, generator: np.random.Generator) -> float:
    times, walls = _path(generator.standard_normal((members, width)))
    coarse, fine = _stays(times, walls, CELLS // 2), _stays(times, walls, CELLS)
    stays = min(1.0, fine + (fine - coarse) / 3)  # the error of the cells is of second order (Richardson)
    return float(np.exp((items - members) * math.log(stays))) if stays > 0 else 0.0


def _path(atoms: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Times ``1 / |r_t|^2`` and walls ``m_t / |r_t|^2`` of OMP on its true atoms ``[members, width]``."""
    total = atoms.sum(0)
    basis = np.zeros((0, atoms.shape[1]))
    left, times, walls = list(range(len(atoms))), [], []
    residual = total.copy()
    while left:
        scores = np.abs(atoms[left] @ residual)
        power = float(residual @ residual)
        times.append(1 / power)
        walls.append(float(scores.max()) / power)
        chosen = left.pop(int(scores.argmax()))
        new = atoms[chosen] - basis.T @ (basis @ atoms[chosen])
        new -= basis.T @ (basis @ new)  # twice is enough (Kahan)
        basis = np.vstack([basis, new / np.linalg.norm(new)])
        residual = residual - basis[-1] * (basis[-1] @ residual)
    return np.array(times), np.array(walls)


def _stays(times: np.ndarray, walls: np.ndarray, cells: int) -> float:
    """P(|W(t)| < wall(t) at all the times), W a standard Brownian motion, by the distribution of |W| on cells.

    ``P(|W(t')| <= b | |W(t)| = s) = Phi((b - s) / D) - Phi((-b - s) / D)`` with ``D^2 = t' - t``, at the cells' edges.
    """
    edges = _edges(walls[0], cells)
    mass = np.diff(2 * ndtr(edges / math.sqrt(times[0])))
    for before, now, wall in zip(times, times[1:], walls[1:], strict=False):
        deviation = math.sqrt(max(now - before, 1e-300))
        sources, edges = (edges[1:] + edges[:-1]) / 2, _edges(wall, cells)
        below = ndtr((edges[:, None] - sources) / deviation) - ndtr((-edges[:, None] - sources) / deviation)
        mass = np.diff(below @ mass)
    return float(min(1.0, mass.sum()))


def _edges(reach: float, cells: int) -> np.ndarray:
    """Edges of equal cells from 0 to reach."""
    return np.linspace(0, reach, cells + 1)
