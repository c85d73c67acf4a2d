"""One token plus one position, taken apart one after the other: the exact law for Gaussian tables."""

import math

import numpy as np
from scipy import special
from scipy.interpolate import CubicSpline

from locant.capacity.check import check_noise, check_one_of_each, check_width
from locant.capacity.exact import SCORES, STEP, lengths


def successive_pair(width: int, items: int, positions: int, *, noise: float = 0.0) -> float:
    """The probability that the position is found by dot product, subtracted, and then the token by dot product.

    ``y = t + p + n``. With ``w = y - p`` and ``r = |y|``, along and across y,

        w_along = r (1 + σ²) / (2 + σ²) + δ,   p_along = r / (2 + σ²) - δ,   δ ~ N(0, (1 + σ²) / (2 + σ²)),
        |w_across|² ~ (1 + σ²) / (2 + σ²) χ²_{d-1},   r² ~ (2 + σ²) χ²_d,
        P = E Φ(p_along)^(P-1) h(|w|),   h(w) = E_z Φ(w / (1 + σ²) + z √(σ² / (1 + σ²)))^(V-1) .

    Leaving h out, as is often done, is right where the width is large enough for one token alone.
    Returns a probability, good to 1e-5. Raises ValueError for sizes out of range or negative noise.
    """
    check_width(width)
    check_noise(noise)
    check_one_of_each((items, positions), 1)
    total = 2 + noise
    chi, weights = lengths(width)
    spread = math.sqrt((1 + noise) / total)
    delta = SCORES * spread
    normal = np.exp(-(SCORES**2) / 2) * STEP / math.sqrt(2 * math.pi)
    position = chi[:, None] / math.sqrt(total) - delta[None, :]
    along = chi[:, None] * (1 + noise) / math.sqrt(total) + delta[None, :]
    across, across_weights = lengths(width - 1) if width > 1 else (np.zeros(1), np.ones(1))
    size = np.sqrt(along[:, :, None] ** 2 + (spread * across[None, None, :]) ** 2)
    token = _one_item(items, noise, float(size.max()))(size) @ across_weights
    value = weights @ (np.exp((positions - 1) * special.log_ndtr(position)) * token) @ normal
    return min(1.0, max(0.0, float(value)))


def _one_item(items: int, noise: float, longest: float) -> CubicSpline:
    """h(w) for lengths w up to `longest`: the token is found in ``w = t + n`` of that length."""
    points = np.linspace(0.0, longest, max(200, int(longest * 30)))
    score = points[:, None] / (1 + noise) + SCORES[None, :] * math.sqrt(noise / (1 + noise))
    normal = np.exp(-(SCORES**2) / 2) * STEP / math.sqrt(2 * math.pi)
    return CubicSpline(points, np.exp((items - 1) * special.log_ndtr(score)) @ normal)
