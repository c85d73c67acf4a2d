"""How likely the score of one more random sign vector stays below a given height: the tail of a sum of +-y_c."""

import math

import torch
from torch import Tensor

REACH = 16.0  # standard deviations in a period of the law: what wraps around is below 1e-15
NEGLIGIBLE = -40.0  # logarithm below which a frequency adds nothing
ROUNDS = 30  # of Newton's method at most; three or four suffice unless the score is near its largest value


def log_below_whole(sums: Tensor, scores: Tensor) -> Tensor:
    """``log P(X < score)`` with ``X = sum_c e_c y_c`` for random signs e and whole y, exactly; ties are not below.

    X lives on a lattice of step 2. With a tilt ``t > 0`` its upper tail is that of a law concentrated near the score,

        P(X >= s) = exp(k - t s) 1/M sum_j Re[ psi(w_j) exp(-i w_j s) / (1 - exp(-2 (t + i w_j))) ],   w_j = pi j / M,
        k = sum_c log cosh(t y_c),   psi(w) = prod_c cosh((t + i w) y_c) / cosh(t y_c),

    so that a tail of 1e-12, which 10^12 items multiply, is as precise as one of 0.5. Coordinates of equal magnitude
    share a factor. One tilt serves all trials whose digits it does not cost; the others are done again by themselves.
    Source: the Esscher transform on a lattice (Daniels 1954, section 8), with the sum over w in full.

    sums: `[trial, width]`, whole numbers of a floating type.  scores: `[trial]`.  Returns float64 `[trial]`.
    """
    values, counts = _multiplicities(sums)
    spread = (counts @ values.square()).sqrt()
    scores = scores.double().ceil()
    scores = scores + (scores - counts @ values) % 2  # the lowest point of the lattice that is not below
    found = torch.where(scores > -REACH / 2 * spread, 0.0, -math.inf).to(torch.float64)
    open_ = (found == 0) & (scores <= counts @ values)  # no sum reaches further than that
    if bool(open_.any()):
        found[open_] = torch.log1p(-_above(values, counts[open_], spread[open_], scores[open_]).clamp(0.0, 1.0))
    return found


def _multiplicities(sums: Tensor) -> tuple[Tensor, Tensor]:
    """The magnitudes other than 0 that occur `[value]`, and how often each does in each sum `[trial, value]`."""
    size = sums.abs().round().long()
    counts = torch.zeros(len(size), int(size.max()) + 1, dtype=torch.float64, device=sums.device)
    counts.scatter_add_(1, size, torch.ones(size.shape, dtype=torch.float64, device=sums.device))
    values = 1 + counts[:, 1:].any(0).nonzero()[:, 0]
    return values.double(), counts[:, values]


def _above(values: Tensor, counts: Tensor, spread: Tensor, scores: Tensor) -> Tensor:
    widest = float(spread.max())
    tilt = max(float((scores / spread.square()).median()), 0.5 / widest)
    periods = 2 * math.ceil((REACH * widest + 40 / tilt) / 4)  # M, even
    waves = torch.arange(periods // 2 + 1, dtype=torch.float64, device=scores.device) * (math.pi / periods)
    turning = torch.exp(torch.complex(torch.full_like(waves, -2 * tilt), -2 * waves))  # exp(-2 (t + i w))
    weights = torch.full_like(waves, 2.0 / periods)  # w and pi - w are conjugate
    weights[[0, -1]] /= 2
    # log cosh z = z + log(1 + exp(-2 z)) - log 2, which does not overflow
    log_cosh = torch.log1p(torch.exp(-2 * tilt * values))
    factor = torch.log(1 + torch.exp(values[:, None] * torch.log(turning))) - log_cosh[:, None]
    log_size = counts @ factor.real
    kept = (log_size > NEGLIGIBLE).any(0)
    angle = counts @ (factor.imag + values[:, None] * waves)[:, kept] - scores[:, None] * waves[kept]
    kernel = (weights / (1 - turning))[kept]
    total = (log_size[:, kept].exp() * (angle.cos() * kernel.real - angle.sin() * kernel.imag)).sum(1)
    log_scale = counts @ (tilt * values + log_cosh - math.log(2)) - tilt * scores
    above = total * torch.exp(log_scale.clamp_max(10))
    far = log_scale > 8  # this tilt aims so high above the score that digits cancel
    if bool(far.any()):
        above[far] = _above(values, counts[far], spread[far], scores[far])
    return above


def log_below_real(sums: Tensor, scores: Tensor) -> Tensor:
    """``log P(sum_c e_c y_c < score)`` for random signs e and real y, to a relative error of the tail of about 1/width.

    Lugannani and Rice's saddlepoint formula (1980), ``1 - Phi(w) + phi(w) (1/u - 1/w)`` with
    ``w = sgn(t) sqrt(2 (t s - k(t)))``, ``u = t sqrt(k''(t))``, ``k(t) = sum_c log cosh(t y_c)``, ``k'(t) = s``.
    Needs sums that lie on no lattice: for whole numbers there is `log_below_whole`.

    sums: `[trial, width]`.  scores: `[trial]`.  Returns float64 `[trial]`.
    """
    sums, scores = sums.double(), scores.double()
    height = scores.abs()
    reached = height >= sums.abs().sum(1)
    height, score = torch.where(reached, torch.zeros_like(height), height), height
    power = sums.square().sum(1).clamp_min(torch.finfo(torch.float64).tiny)
    tilt = height / power  # below the root, from where Newton's method climbs, as k' is concave
    for _ in range(ROUNDS):
        slope = torch.tanh(tilt[:, None] * sums)
        curve = (sums.square() * (1 - slope.square())).sum(1)
        step = (height - (sums * slope).sum(1)) / curve.clamp_min(1e-12 * power)
        tilt = tilt + step
        if bool((step.abs() <= 1e-9 * tilt).all()):
            break
    size = (tilt[:, None] * sums).abs()
    log_cosh = (size + torch.log1p(torch.exp(-2 * size)) - math.log(2)).sum(1)
    root = (2 * (tilt * height - log_cosh)).clamp_min(0).sqrt()
    other = tilt * curve.sqrt()
    density = torch.exp(-root.square() / 2) / math.sqrt(2 * math.pi)
    near = root < 1e-3  # both terms of the correction grow without limit, their difference goes to zero
    correction = torch.where(near, torch.zeros_like(root), density * (1 / other - 1 / root))
    above = (torch.special.ndtr(-root) + correction).clamp(0.0, 1.0)
    least = torch.exp2(-(sums != 0).sum(1).double())  # of a vector with the very signs of the sum
    above = torch.where(reached, torch.where(score > (1 + 1e-9) * sums.abs().sum(1), 0.0, least), above.maximum(least))
    return torch.where(scores >= 0, torch.log1p(-above), above.log())
