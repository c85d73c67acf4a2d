"""M11: the anatomy of a position table: lengths, spectrum, neighbours, columns, and what is a function of distance."""

import math

import torch
from torch import Tensor

from locant.maths.blocks import BLOCK, blocks
from locant.xray.metric import Metric, absent
from locant.xray.moments import Moments

SHARES = (90, 95, 99)  # per cent of the variance
SQUARE = 2048  # rows of which all pairs are looked at, at most
LAGS = 24  # doublings
PAIRS = 4096  # pairs of rows of one distance, at most


def anatomy(positions: Tensor, known: Moments) -> dict[str, Metric]:
    """Lengths, ranks, neighbours, columns and Toeplitz share of a (rows, d) table, in float64.

    `norm_mean`: mean length of a row. `norm_first`: length of the first row over the median of the others, 1 by
    chance. The rest is of rows less their mean; l are the eigenvalues of their covariance S:
    `stable_rank` tr S / l_1; `effective_dimension` (sum l)^2 / sum l^2; `entropy_rank` exp(-sum q log q), q = l / tr S;
    `k90`, `k95`, `k99` how many directions hold that many per cent of the variance. Baselines: isotropic Gaussian noise
    of the same shape, by the law of Marchenko and Pastur 1967 (see `noise_ranks`).
    `cosine.K`: mean cosine of rows K apart, K = 1, 2, 4, ...; -1/(rows - 1) for rows without order.
    `columns`: (sum e)^2 / sum e^2 for the variances e of the columns, how many columns positions live in; baseline: the
    ratio of expectations over uniformly random rotations, (d + 2) / (1 + 2 / effective dimension).
    `toeplitz`: share of the squares of the matrix of products of rows that is a function of i - j (see `toeplitz`).
    """
    lengths = torch.cat([block.norm(dim=1) for _, block in blocks(positions)])
    rest = float(lengths[1:].median())
    rows = len(positions)
    found = {"norm_mean": Metric(float(lengths.mean()), n=rows, note="length of a row")}
    if rest > 0:
        note = "length of the first row over the median of the others"
        found["norm_first"] = Metric(float(lengths[0]) / rest, 1.0, rows, note=note)
    else:
        found["norm_first"] = absent("most rows are 0", n=rows)
    if known.total == 0:
        reason = "all positions are equal"
        names = ("stable_rank", "effective_dimension", "entropy_rank", "k90", "k95", "k99", "cosine.1", "columns")
        return found | {name: absent(reason, n=rows) for name in (*names, "toeplitz")}
    expected = noise_ranks(rows - 1, known.width)
    for name, value in ranks(known.energies).items():
        found[name] = Metric(value, expected[name], rows, note="chance: isotropic noise of this shape")
    by_column, dimension = known.covariance.diagonal(), found["effective_dimension"].value or 1.0
    value = float(by_column.sum().square() / by_column.square().sum())
    note = f"of {known.width} columns; chance: after a random rotation"
    found["columns"] = Metric(value, (known.width + 2) / (1 + 2 / dimension), rows, note=note)
    found |= {f"cosine.{lag}": metric for lag, metric in cosines(positions, known.mean).items()}
    return found | {"toeplitz": toeplitz(positions[:SQUARE])}


def ranks(energies: Tensor) -> dict[str, float]:
    """The measures of a spectrum (d,), largest first: see `anatomy`."""
    shares = energies.clamp(min=0) / energies.clamp(min=0).sum()
    positive = shares[shares > 0]
    found = {
        "stable_rank": float(1 / shares[0]),
        "effective_dimension": float(1 / shares.square().sum()),
        "entropy_rank": math.exp(-float((positive * positive.log()).sum())),
    }
    held = shares.cumsum(0)
    return found | {f"k{share}": float((held < share / 100 - 1e-9).sum()) + 1 for share in SHARES}


def noise_ranks(rows: int, width: int) -> dict[str, float]:
    """`ranks` of the covariance of `rows` independent isotropic Gaussian rows, for large tables.

    With m the smaller and n the larger of both numbers and c = m/n, eigenvalues are 1 + c + 2 sqrt(c) cos t with
    density 2 sin^2 t / (pi x) over 0 < t < pi. So the largest is (1 + sqrt c)^2 and the mean 1, the mean of x^2 is
    1 + c, that of x log x is c/2, and those above t hold (t - sin t cos t) / pi of the variance.
    """
    small, ratio = min(rows, width), min(rows, width) / max(rows, width)
    found = {
        "stable_rank": small / (1 + math.sqrt(ratio)) ** 2,
        "effective_dimension": small / (1 + ratio),
        "entropy_rank": small * math.exp(-ratio / 2),
    }
    angles = torch.linspace(0, math.pi, 20_001, dtype=torch.float64)
    values = 1 + ratio + 2 * math.sqrt(ratio) * angles.cos()
    density = 2 * angles.sin().square() / (math.pi * values.clamp(min=1e-12))
    counts = torch.cumulative_trapezoid(density, angles)
    held = ((angles - angles.sin() * angles.cos()) / math.pi)[1:]
    for share in SHARES:
        at = min(int(torch.searchsorted(held, share / 100)), len(counts) - 1)
        found[f"k{share}"] = max(1.0, small * float(counts[at] / counts[-1]))
    return found


def cosines(positions: Tensor, mean: Tensor) -> dict[int, Metric]:
    """Mean cosine of rows, less their mean, that are 1, 2, 4, ... apart; a row at the mean counts as cosine 0.

    Of at most 4096 pairs for each distance, spread evenly.
    """
    count, found = len(positions), {}
    for lag in [1 << power for power in range(LAGS) if 1 << power < count]:
        first = torch.linspace(0, count - lag - 1, min(PAIRS, count - lag), dtype=torch.float64).round().long()
        total = 0.0
        for some in first.split(max(1, BLOCK // positions.shape[1])):
            left, right = (positions[at].double() - mean for at in (some, some + lag))
            size = left.norm(dim=1) * right.norm(dim=1)
            total += float(((left * right).sum(1) / size.where(size > 0, torch.inf)).sum())
        found[lag] = Metric(total / len(first), -1 / (count - 1), len(first), note=f"rows {lag} apart")
    return found


def toeplitz(positions: Tensor) -> Metric:
    """|T|^2 / |G|^2, with G the products of rows less their mean and T its mean along each diagonal: 1 if the table is
    the same from everywhere, as a circle or sinusoids are over all shifts.

    Baseline: the exact mean over all orders of the rows. With A = G off its diagonal, it follows from the means of
    A_ab^2, A_ab A_bc and A_ab A_cd over different a, b, c, d and from how many pairs of entries of a diagonal are
    alike, share a row, or neither.
    """
    rows = positions.double() - positions.double().mean(0)
    gram, count = rows @ rows.T, len(rows)
    whole = float(gram.square().sum())
    if whole == 0 or count < 4:
        return absent("expected at least 4 rows that differ", n=count)
    lags = torch.arange(count)
    sums = torch.stack([gram.diagonal(int(lag)).sum() for lag in lags])
    sides = torch.where(lags == 0, 1, 2) / (count - lags)
    value = float((sides * sums.square()).sum()) / whole
    middle = gram.diagonal()
    squares = whole - float(middle.square().sum())
    by_row = float((gram.sum(1) - middle).square().sum())
    all_of = float(gram.sum() - middle.sum())
    pairs = count * (count - 1)
    same, shared = squares / pairs, (by_row - squares) / (pairs * (count - 2))
    apart = (all_of**2 - 4 * (by_row - squares) - 2 * squares) / (pairs * (count - 2) * (count - 3))
    entries = (count - lags[1:]).double()
    touching = 2 * (count - 2 * lags[1:]).clamp(min=0).double()
    expected = entries * same + touching * shared + (entries * (entries - 1) - touching) * apart
    chance = (float(middle.sum()) ** 2 / count + 2 * float((expected / entries).sum())) / whole
    note = "share of the products of rows that hangs on their distance; chance: rows in any order"
    return Metric(value, chance, count, note=note)
