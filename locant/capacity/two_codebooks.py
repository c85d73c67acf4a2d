"""One token plus one position, taken apart one after the other: exactly for Gaussian tables, else simulated."""

import math
from collections.abc import Sequence

import numpy as np
import torch
from scipy import special
from scipy.interpolate import CubicSpline

from locant.capacity.check import check_noise, check_one_of_each, check_width
from locant.capacity.estimate import Estimate, from_values
from locant.capacity.exact import SCORES, STEP, lengths
from locant.capacity.simulate import check_code_and_format, draw, log_below, stored

CHUNK = 256  # trials at a time


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


def simulated_slots(
    width: int,
    sizes: Sequence[int],
    *,
    code: str = "gauss",
    noise: float = 0.0,
    format_name: str | None = None,
    trials: int = 2000,
    generator: torch.Generator | None = None,
) -> Estimate:
    """As `successive_pair` for several tables of any code: the smallest is decoded by dot product and subtracted first.

    Only the added vectors are drawn; given these, the scores of the others are integrated step by step, as in
    `simulate.simulate`, of which the arguments are.
    Raises ValueError for sizes out of range, an unknown code or format, negative noise, or fewer than 2 trials.
    """
    check_width(width)
    check_noise(noise)
    check_one_of_each(sizes, 1)
    rounding = check_code_and_format(code, format_name, False)
    generator = torch.Generator().manual_seed(0) if generator is None else generator
    levels = rounding is not None and rounding.dtype is None  # then what is left of signs lies on no lattice
    found = []
    for start in range(0, trials, CHUNK):
        drawn = draw(code, (min(CHUNK, trials - start), len(sizes), width), generator, torch.float32)
        rest = stored(drawn.sum(1), drawn, noise, rounding, False, generator)
        right = torch.zeros(len(drawn), dtype=torch.float64)
        for index, size in enumerate(sorted(sizes)):
            hit = (drawn[:, index] * rest).sum(1, keepdim=True)
            right += (size - 1) * log_below(
                code, rest, hit, *(rounding, noise) if index == 0 else (None, noise + levels)
            )[:, 0]
            rest = rest - drawn[:, index]
        found.append(right.exp())
    return from_values(torch.cat(found).numpy(), "simulation")
