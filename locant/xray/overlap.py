"""M2: do token and position vectors use the same directions, more or less than chance would have them?"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from locant.xray.metric import Metric, absent
from locant.xray.moments import Moments

NORMAL = 1.959964  # 97.5 % quantile: the middle 95 % of a normal distribution lies within


@dataclass(frozen=True)
class Chance:
    """Mean and standard deviation of <A, R B R'>_F over uniformly random rotations R."""

    mean: float
    deviation: float


def chance(a: Tensor, b: Tensor) -> Chance:
    """What a random rotation gives for <A, R B R'>, A and B symmetric (d, d), exactly.

    Mean: tr A tr B / d. Variance: 2 |A0|^2 |B0|^2 / ((d - 1)(d + 2)) with A0 = A - tr A / d I: the traceless symmetric
    matrices are an irreducible representation of the orthogonal group, of dimension (d - 1)(d + 2) / 2, so by Schur's
    lemma the square of a coordinate averages to the square of the norm over that dimension. 0 at d = 1.
    """
    width = len(a)
    mean = float(a.trace() * b.trace()) / width
    if width == 1:
        return Chance(mean, 0.0)
    spread = _traceless(a) * _traceless(b)
    return Chance(mean, math.sqrt(2 * spread / ((width - 1) * (width + 2))))


def overlap(tokens: Moments, positions: Moments) -> dict[str, Metric]:
    """The overlap of the two covariances, against a rotation that keeps both spectra.

    `overlap`: nu = <S_W, S_P>_F / (|S_W|_F |S_P|_F), the cosine between the covariances of the rows of W and P; 0 for
    disjoint directions, 1 for proportional covariances; baseline nu_0 = tr S_W tr S_P / (d |S_W| |S_P|), its exact
    mean over uniformly random rotations of P. `overlap_ratio`: nu / nu_0, below 1 for more separate than chance.
    `overlap_chance`: nu_0 with the 95 % range of chance as its interval, from the exact variance (see `chance`).
    """
    check_widths(tokens, positions)
    norm = float(tokens.covariance.norm() * positions.covariance.norm())
    rows = tokens.rows + positions.rows
    if norm == 0:
        reason = "all rows of a table are equal"
        return {name: absent(reason, n=rows) for name in ("overlap", "overlap_ratio", "overlap_chance")}
    value = float((tokens.covariance * positions.covariance).sum()) / norm
    by_chance = chance(tokens.covariance, positions.covariance)
    mean, half = by_chance.mean / norm, NORMAL * by_chance.deviation / norm
    away = f"{(value - mean) * NORMAL / half:+.1f} standard deviations from chance" if half > 0 else "chance is certain"
    return {
        "overlap": Metric(value, mean, rows, note=f"n counts the rows of both tables; {away}"),
        "overlap_ratio": Metric(value / mean, 1.0, rows, note="overlap over its chance; below 1 is more separate"),
        "overlap_chance": Metric(mean, mean, rows, (max(0.0, mean - half), mean + half), "95 % range of chance"),
    }


def principal_overlap(
    tokens: Moments, positions: Moments, ranks: Sequence[int] = (3, 10, 30, 100)
) -> dict[str, Metric]:
    """O_k = |U_k' V_k|_F^2 / k, with U_k and V_k the first k principal directions of both tables; baseline k / d.

    The mean squared cosine of the principal angles: 0 for orthogonal, 1 for equal subspaces. Named `principal.k`. A k
    above the rank of a table is left out as absent, since directions without energy are arbitrary.
    """
    check_widths(tokens, positions)
    found = {}
    for rank in ranks:
        if not 1 <= rank <= tokens.width:
            raise ValueError(f"expected a rank of 1 to {tokens.width}, was: {rank}")
        least = min(_rank(tokens.energies), _rank(positions.energies))
        if rank > least:
            found[f"principal.{rank}"] = absent(f"a table has rank {least}, below {rank}", n=rank)
            continue
        u, v = tokens.directions[:, :rank], positions.directions[:, :rank]
        by_chance = chance(u @ u.T, v @ v.T)
        half = NORMAL * by_chance.deviation / rank
        note = f"mean squared cosine of principal angles; chance {rank / tokens.width:.4g} -+ {half:.2g}"
        found[f"principal.{rank}"] = Metric(
            float((u.T @ v).square().sum()) / rank, rank / tokens.width, rank, note=note
        )
    return found


def _rank(energies: Tensor) -> int:
    limit = len(energies) * torch.finfo(torch.float64).eps * float(energies[0])
    return int((energies > limit).sum())


def _traceless(a: Tensor) -> float:
    """Squared norm of A without its part along the identity."""
    return max(0.0, float(a.square().sum()) - float(a.trace()) ** 2 / len(a))


def check_widths(tokens: Moments, positions: Moments) -> None:
    """Refuse tables of unequal width."""
    if tokens.width != positions.width:
        raise ValueError(f"expected tables of equal width, was: {tokens.width} and {positions.width}")
