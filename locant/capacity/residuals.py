"""The smallest of K hits around their mean: a one-dimensional table for each number of members and noise."""

import math
from functools import lru_cache

import numpy as np
from scipy import special
from scipy.interpolate import CubicSpline

POINTS = 400
TAIL = 1e-13


def smallest_residual(threshold: np.ndarray, members: int, noise: float = 0.0) -> np.ndarray:
    """``P(min_j e_j > t)`` for K jointly normal ``e_j`` with covariance ``[i = j] - 1 / (K + σ²)``.

    They are iid normal ``X_j`` given ``ΣX_j + σw = 0``, so with ``ψ_t(ω) = ∫_t^∞ φ(x) exp(iωx) dx``

        P = √(2π(K + σ²)) / 2π ∫ ψ_t(ω)^K exp(-σ²ω²/2) dω .

    K up to 3 has closed forms without noise: a step, ``erf(-t)``, and ``1 - 6 T(-t √(3/2), √3)`` with Owen's T, which
    is a triangle's share of a plane normal distribution; noise smears them. Good to 1e-8.
    """
    if members == 1:
        return _one(threshold, noise)
    spline, low, high = _table(members, float(noise))
    inside = np.clip(threshold, low, high)
    value = np.clip(spline(inside), 0.0, 1.0)
    return np.where(threshold >= high, 0.0, np.where(threshold <= low, 1.0, value))


def _one(threshold: np.ndarray, noise: float) -> np.ndarray:
    if noise == 0:
        return (threshold < 0).astype(np.float64)
    return special.ndtr(-threshold / math.sqrt(noise / (1 + noise)))


@lru_cache(maxsize=4096)
def _table(members: int, noise: float) -> tuple[CubicSpline, float, float]:
    low = float(special.ndtri(TAIL / members))
    high = -float(special.ndtri(TAIL)) * math.sqrt(noise / (members * (members + noise)))
    points = np.linspace(low, high, POINTS)
    values = _few(points, members, noise) if members <= 3 else _many(points, members, noise)
    return CubicSpline(points, values), low, high


def _few(points: np.ndarray, members: int, noise: float) -> np.ndarray:
    """Two or three members: the closed form, averaged over the shift ``c z`` of the mean hit that noise brings."""
    scale = math.sqrt(noise / (members * (members + noise)))
    if scale == 0:
        return _closed(points, members)
    # The form ends with a kink at zero, so the average runs over the part of z that stays below it.
    nodes, weights = np.polynomial.legendre.leggauss(48)
    bottom = np.clip(points / scale, -9.0, 9.0)[:, None]
    z = bottom + (9.0 - bottom) * (nodes + 1) / 2
    density = np.exp(-(z**2) / 2) / math.sqrt(2 * math.pi) * weights * (9.0 - bottom) / 2
    return (density * _closed(points[:, None] - scale * z, members)).sum(1)


def _closed(threshold: np.ndarray, members: int) -> np.ndarray:
    below = np.maximum(-threshold, 0.0)
    if members == 2:
        return special.erf(below)
    return 1 - 6 * special.owens_t(below * math.sqrt(1.5), math.sqrt(3.0))


def _many(points: np.ndarray, members: int, noise: float) -> np.ndarray:
    total = members + noise
    # Beyond the normal part, |ψ| falls as φ(t) / ω <= 0.4 / ω: stop where the rest of the integral is below 1e-9.
    edge = (0.4**members / ((members - 1) * 1e-9)) ** (1 / (members - 1)) if members < 64 else 0.0
    if noise > 0:
        edge = min(edge, 7 / math.sqrt(noise))
    spacing = 2 * math.pi / (12 * math.sqrt(total))  # the trapezoid's error is a density 12 standard deviations out
    frequencies = np.arange(0.0, max(edge, 9 / math.sqrt(members)), spacing)
    psi = np.exp(-(frequencies**2) / 2) - 0.5 * np.exp(
        1j * points[:, None] * frequencies - points[:, None] ** 2 / 2
    ) * special.wofz((-frequencies - 1j * points[:, None]) / math.sqrt(2))
    terms = (psi**members).real * np.exp(-noise * frequencies**2 / 2)
    terms[:, 0] *= 0.5
    return terms.sum(1) * spacing / math.pi * math.sqrt(2 * math.pi * total)
