"""Greedy decoders without the items: the true atoms are drawn, what a wrong one does is integrated."""

import math

import numpy as np
import torch
from scipy.special import ndtr

from locant.capacity.check import check_members, check_noise, check_width
from locant.capacity.estimate import Estimate, from_values
from locant.capacity.sign_tail import log_below_real, log_below_whole
from locant.capacity.simulate import CODES
from locant.capacity.unions import SELECTIONS, union_probability

CELLS = 160  # between zero and the wall, on which the size of the motion is followed


def omp_probability(
    width: int,
    items: int,
    members: int,
    trials: int,
    generator: np.random.Generator,
    *,
    noise: float = 0.0,
    positive: bool = False,
    selection: str = "cosine",
    code: str = "gauss",
) -> Estimate:
    """The probability that OMP finds exactly the members of a random code, at a cost that does not depend on items.

    OMP is run on the K true atoms alone, in coordinates of their own span. Its residuals ``r_t`` and best true scores
    ``m_t`` do not depend on the other atoms, each of which stays out at all steps with probability ``1 - p``
    (`unions.union_probability`), all of them with ``(1 - p)^(items - members)``.

    noise: variance per coordinate.  positive: the largest score is taken, not the largest magnitude.
    selection: "cosine", ``<a, r> / |a|``, as the decoder `decoders.pursuit` does, or "dot", ``<a, r>``.
    code: "gauss", or of equal lengths "sphere" or "sign", for which the selection is "cosine", the same as dot there.
        For signs single steps are exact and their union is that of the sphere, within 0.03 of the decoder.
    Costs ``O(K³)`` a trial.  Raises ValueError for sizes out of range, negative noise, an unknown selection or code, or
    fewer than 2 trials.
    Source: derived here; checked against the decoder and, for "dot", against `absorption_probability`.
    """
    if selection not in ("cosine", "dot"):
        raise ValueError(f"expected a selection of cosine, dot, was: {selection}")
    _check(width, items, members, trials, noise, code, selection)
    if members > width or width == 1:
        return from_values(np.full(trials, float(members == items and members <= width)), "simulation")
    found = []
    for _ in range(trials):
        residuals, best = orthogonal_path(*draw_span(width, members, noise, generator, code), positive, selection)
        if not positive:
            residuals, best = np.vstack([residuals, -residuals]), np.tile(best, 2)
        single = _single(residuals, best, noise > 0, 1) if code == "sign" else None
        taken = union_probability(residuals, best, width, selection, generator, single)
        found.append(_all_stay_out(taken, items - members))
    return from_values(found, "simulation")


def successive_probability(
    width: int,
    items: int,
    members: int,
    trials: int,
    generator: np.random.Generator,
    *,
    noise: float = 0.0,
    selection: str | None = None,
    code: str = "gauss",
) -> Estimate:
    """The probability that taking the best vector and subtracting it, K times, finds exactly the members.

    Vectors of known amplitude 1: ``r_0 = y``, ``r_{t+1} = r_t - a`` for the ``a`` taken, none twice. As
    `omp_probability` otherwise.

    selection: "nearest", ``<a, r> - |a|²/2``, as the decoder `decoders.successive` does and the default, "dot" or
        "cosine", which they all are for equal lengths.  code: as for `omp_probability`.
    Costs ``O(K²)`` numbers a trial.  Raises ValueError for sizes out of range, negative noise, an unknown selection (at
    width 1 one other than "nearest") or code, or fewer than 2 trials.
    """
    selection = ("nearest" if code == "gauss" else "cosine") if selection is None else selection
    if selection not in SELECTIONS:
        raise ValueError(f"expected a selection of {', '.join(SELECTIONS)}, was: {selection}")
    _check(width, items, members, trials, noise, code, selection)
    if width == 1 and code != "gauss":  # there are two such vectors
        return from_values(np.full(trials, float(members == items)), "simulation")
    found = []
    for _ in range(trials):
        residuals, best = successive_path(*draw_span(width, members, noise, generator, code), selection)
        single = _single(residuals, best, noise > 0, members) if code == "sign" else None
        taken = (_on_a_line(residuals[:, 0], best, selection) if width == 1 else
                 union_probability(residuals, best, width, selection, generator, single))  # fmt: skip
        found.append(_all_stay_out(taken, items - members))
    return from_values(found, "simulation")


def absorption_probability(
    width: int, items: int, members: int, trials: int, generator: np.random.Generator
) -> Estimate:
    """`omp_probability` with selection "dot", no noise and both signs, as the absorption of a Brownian motion.

    As residuals shrink by orthogonal projections, ``<a, r_t> / |r_t|²`` of a wrong atom is a Brownian motion at the
    times ``1 / |r_t|²``: increments over disjoint projections are independent. It stays below all of ``m_t`` with the
    probability that the motion does not leave ``± m_t / |r_t|²`` at these times, followed on cells. Slower, and an
    independent check. Raises ValueError for sizes out of range or fewer than 2 trials.
    Source: the Brownian view is that of Fletcher and Rangan 2012; the rest is derived here.
    """
    _check(width, items, members, trials, 0.0)
    if members > width:
        return from_values(np.full(trials, 0.0), "simulation")
    found = []
    for _ in range(trials):
        residuals, best = orthogonal_path(*draw_span(width, members, 0.0, generator), False, "dot")
        power = (residuals**2).sum(1)
        coarse, fine = (staying(1 / power, best / power, cells) for cells in (CELLS // 2, CELLS))
        # The error of the cells is of second order (Richardson).
        found.append(_all_stay_out(1 - min(1.0, fine + (fine - coarse) / 3), items - members))
    return from_values(found, "simulation")


def staying(times: np.ndarray, walls: np.ndarray, cells: int) -> float:
    """P(|W(t)| < wall(t) at all the times), W a standard Brownian motion, by the distribution of |W| on cells.

    ``P(|W(t')| <= b | |W(t)| = s) = Φ((b - s) / D) - Φ((-b - s) / D)`` with ``D² = t' - t``, at the cells' edges.
    """
    edges = np.linspace(0, walls[0], cells + 1)
    mass = np.diff(2 * ndtr(edges / math.sqrt(times[0])))
    for before, now, wall in zip(times, times[1:], walls[1:], strict=False):
        deviation = math.sqrt(max(now - before, 1e-300))
        sources, edges = (edges[1:] + edges[:-1]) / 2, np.linspace(0, wall, cells + 1)
        below = ndtr((edges[:, None] - sources) / deviation) - ndtr((-edges[:, None] - sources) / deviation)
        mass = np.diff(below @ mass)
    return float(min(1.0, mass.sum()))


def draw_span(
    width: int, members: int, noise: float, generator: np.random.Generator, code: str = "gauss"
) -> tuple[np.ndarray, np.ndarray]:
    """True atoms and their noisy sum in coordinates of their span and one more, as only inner products matter.

    The atoms are a triangle: normal below the diagonal, chi on it (Bartlett 1933); what the noise has outside of their
    span is one number, its length. On the sphere they are scaled to the length ``√d``, as the direction of a Gaussian
    vector does not depend on its length. Signs are drawn as they are.
    """
    if code == "sign":
        atoms = 2.0 * generator.integers(0, 2, (members, width)) - 1
        return atoms, atoms.sum(0) + math.sqrt(noise) * generator.standard_normal(width)
    if members >= width:
        atoms = _lengthened(generator.standard_normal((members, width)), width, code)
        return atoms, atoms.sum(0) + math.sqrt(noise) * generator.standard_normal(width)
    atoms = np.zeros((members, members + 1))
    atoms[:, :-1] = np.tril(generator.standard_normal((members, members)), -1)
    atoms[range(members), range(members)] = np.sqrt(generator.chisquare(width - np.arange(members)))
    atoms = _lengthened(atoms, width, code)
    error = generator.standard_normal(members + 1)
    error[-1] = math.sqrt(generator.chisquare(width - members))
    return atoms, atoms.sum(0) + math.sqrt(noise) * error


def _lengthened(atoms: np.ndarray, width: int, code: str) -> np.ndarray:
    return atoms if code == "gauss" else atoms * (math.sqrt(width) / np.linalg.norm(atoms, axis=1, keepdims=True))


def orthogonal_path(
    atoms: np.ndarray, total: np.ndarray, positive: bool, selection: str
) -> tuple[np.ndarray, np.ndarray]:
    """Residuals ``[members, dimensions]`` and best true scores of OMP on its true atoms alone."""
    scale = np.linalg.norm(atoms, axis=1) if selection == "cosine" else np.ones(len(atoms))
    left, residual, across = np.arange(len(atoms)), total.copy(), atoms.copy()
    residuals, best = [], []
    while len(left):
        scores = (atoms[left] @ residual) / scale[left]
        scores = scores if positive else np.abs(scores)
        place = int(scores.argmax())
        residuals.append(residual)
        best.append(float(scores[place]))
        new = across[left[place]] / np.linalg.norm(across[left[place]])
        left = np.delete(left, place)
        residual = residual - new * (new @ residual)
        across[left] -= np.outer(across[left] @ new, new)
    return np.array(residuals), np.array(best)


def successive_path(atoms: np.ndarray, total: np.ndarray, selection: str) -> tuple[np.ndarray, np.ndarray]:
    """Residuals ``[members, dimensions]`` and best true scores of successive cancellation on its true atoms alone."""
    power = (atoms**2).sum(1)
    left, residual = np.arange(len(atoms)), total
    residuals, best = [], []
    while len(left):
        scores = atoms[left] @ residual
        if selection == "cosine":
            scores = scores / np.sqrt(power[left])
        elif selection == "nearest":
            scores = scores - power[left] / 2
        place = int(scores.argmax())
        residuals.append(residual)
        best.append(float(scores[place]))
        residual = residual - atoms[left[place]]
        left = np.delete(left, place)
    return np.array(residuals), np.array(best)


def _single(residuals: np.ndarray, best: np.ndarray, noisy: bool, whole: int) -> np.ndarray:
    """How likely the score of one more sign vector reaches the best cosine of each step; `whole` residuals lie on a
    lattice if there is no noise, where ties are frequent and lost half of the time.
    """
    rest, scores = torch.from_numpy(residuals), torch.from_numpy(best * math.sqrt(residuals.shape[1]))
    count = 0 if noisy else whole
    parts = []
    if count:
        whole_rest, level = rest[:count].round(), (scores[:count] - 1e-6).ceil()
        parts.append(torch.logaddexp(*(log_below_whole(whole_rest, level + more) for more in (0, 1))) - math.log(2))
    if count < len(rest):
        parts.append(log_below_real(rest[count:], scores[count:]))
    return -np.expm1(torch.cat(parts).numpy())


def _on_a_line(residuals: np.ndarray, best: np.ndarray, selection: str) -> float:
    """`union_probability` of nearest atoms of one coordinate: of intervals ``|a - r_t| < sqrt(r_t² - 2 l_t)``."""
    if selection != "nearest":
        raise ValueError(f"expected the selection nearest for a width of 1, was: {selection}")
    radius = np.sqrt(np.maximum(residuals**2 - 2 * best, 0.0))
    order = np.argsort(residuals - radius)
    low, high = (residuals - radius)[order], (residuals + radius)[order]
    reached = np.maximum.accumulate(np.r_[-np.inf, high[:-1]])  # what the intervals before already cover
    return float((ndtr(np.maximum(high, reached)) - ndtr(np.maximum(low, reached))).clip(0).sum())


def _all_stay_out(taken: float, others: int) -> float:
    return 1.0 if others == 0 else math.exp(others * math.log1p(-min(max(taken, 0.0), 1 - 1e-15)))


def _check(
    width: int, items: int, members: int, trials: int, noise: float, code: str = "gauss", selection: str = "cosine"
) -> None:
    if code not in CODES:
        raise ValueError(f"expected a code of {', '.join(CODES)}, was: {code}")
    if code != "gauss" and selection != "cosine":
        raise ValueError(f"expected the selection cosine for the code {code}, was: {selection}")
    check_width(width)
    check_members(items, members)
    check_noise(noise)
    if trials < 2:
        raise ValueError(f"expected at least 2 trials, was: {trials}")
