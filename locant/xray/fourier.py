"""M11, continued: waves over positions, the helix, and whether a straight line finds the index."""

import math

import torch
from torch import Tensor

from locant.xray.metric import Metric, absent
from locant.xray.moments import Moments

ROWS = 2048  # rows that are looked at, evenly spread over longer tables
COMPONENTS = 6  # principal components that are shown one by one
LOW = 8  # cycles over the table that count as slow
ORDERS = 10  # random orders of the rows for baselines
FINER = 8  # frequencies tried per cycle over the table
TURNS = 16  # cycles of a helix over the table, at most
FOLDS = 5
RIDGE = 1e-6  # of the mean variance


def waves(positions: Tensor, known: Moments, *, seed: int = 0) -> dict[str, Metric]:
    """What of a table (rows, d), less its mean row, are waves over positions; of at most 2048 rows, evenly spread.

    `slow_waves`: share of the squares that 1 to 8 cycles over the table hold (discrete Fourier transform of each
    column); baseline for rows without order: their share of all frequencies.
    `component.J.share`: share of the variance along principal direction J. `component.J.peak`: share of its squares
    that its strongest frequency holds, 1 for a whole number of cycles; baseline H_m / m for white noise with m
    frequencies, H_m = 1 + 1/2 + ... + 1/m. `component.J.cycles`: that frequency, in cycles over the table.
    `sinusoid_fit`: share of the variance of the first 6 components that one sinusoid of any frequency each explains.
    `helix_fit`: share of the variance of the first 3 that a turn and a straight line explain together, 1, p, cos wp and
    sin wp for the best w of at most 16 cycles. Both: baseline is the mean over 10 random orders of the rows.
    """
    rows = sampled(positions)
    centred = rows - rows.mean(0)
    count = len(rows)
    if count < 8 or float(centred.square().sum()) == 0:
        reason = f"expected at least 8 positions that differ, was: {count}"
        return {name: absent(reason, n=count) for name in ("slow_waves", "sinusoid_fit", "helix_fit")}
    power = spectrum(centred)
    slow = min(LOW, len(power))
    note = f"1 to {slow} cycles over {count} positions"
    found = {"slow_waves": Metric(float(power[:slow].sum() / power.sum()), _bins(count, slow), count, note=note)}
    kept = min(COMPONENTS, int((known.energies > 1e-9 * known.energies[0]).sum()))
    scores = centred @ known.directions[:, :kept]
    for index in range(kept):
        found |= _component(index + 1, scores[:, index], float(known.energies[index]) / known.total)
    generator = torch.Generator().manual_seed(seed)
    orders = [torch.randperm(count, generator=generator) for _ in range(ORDERS)]
    for name, fit, series in (("sinusoid_fit", sinusoid_fit, scores), ("helix_fit", helix_fit, scores[:, :3])):
        value, *chances = fit(torch.stack([series, *(series[order] for order in orders)])).tolist()
        note = f"first {series.shape[1]} components; {len(orders)} random orders give up to {max(chances):.3g}"
        found[name] = Metric(value, sum(chances) / len(chances), count, note=note)
    return found


def spectrum(rows: Tensor) -> Tensor:
    """Squares of the columns at 1, 2, ... cycles over the rows, both signs of a frequency together."""
    power = torch.fft.rfft(rows.double(), dim=0).abs().square().sum(1)[1:] * 2
    if len(rows) % 2 == 0:
        power[-1] /= 2
    return power


def sinusoid_fit(series: Tensor) -> Tensor:
    """Share of the squares of the columns, less their means, that the best sinusoid for each explains: (series,) of
    (series, rows, columns).

    Least squares with 1, cos wp and sin wp, w from 1/8 cycle over the rows to half a cycle per row in steps of 1/8.
    """
    kinds, count, columns = series.shape
    flat, centred = _flat(series)
    best = torch.zeros(kinds * columns, dtype=torch.float64)
    for some in (torch.arange(1, FINER * count // 2).double() / FINER).split(256):
        best = torch.maximum(best, _explained(_waves_of(count, some), flat).amax(0))
    return best.view(kinds, columns).sum(1) / centred.square().sum((1, 2))


def helix_fit(series: Tensor) -> Tensor:
    """Share of the squares of the columns, less their means, that 1, p, cos wp and sin wp explain, for the best w
    common to all columns: (series,) of (series, rows, columns)."""
    kinds, count, columns = series.shape
    flat, centred = _flat(series)
    cycles = torch.arange(2, FINER * min(TURNS, count // 4) + 1).double() / FINER
    line = torch.linspace(-1, 1, count, dtype=torch.float64).expand(len(cycles), 1, -1)
    explained = _explained(torch.cat([_waves_of(count, cycles), line], dim=1), flat)
    return explained.view(-1, kinds, columns).sum(2).amax(0) / centred.square().sum((1, 2))


def index_regression(positions: Tensor, *, seed: int = 0) -> dict[str, Metric]:
    """Ridge regression of the index on the rows, five folds in random order, at most 2048 rows evenly spread.

    `index_mae`: mean absolute error of the rounded prediction for rows that were not fitted on, with a 95 % interval;
    baseline rows / 4, the error of always saying the middle. `index_r2`: 1 - squared error over the variance; baseline
    0. After Wang and Chen 2020 (arXiv 2010.04903), who use no ridge and 512 rows; ours is 1e-6 of the mean variance.
    """
    rows = sampled(positions)
    count = len(rows)
    if count < 2 * FOLDS:
        reason = f"expected at least {2 * FOLDS} positions, was: {count}"
        return {name: absent(reason, n=count) for name in ("index_mae", "index_r2")}
    truth = torch.arange(count, dtype=torch.float64)
    order = torch.randperm(count, generator=torch.Generator().manual_seed(seed))
    guessed = torch.empty(count, dtype=torch.float64)
    for fold in range(FOLDS):
        test = order[fold::FOLDS]
        fit = torch.ones(count, dtype=torch.bool)
        fit[test] = False
        guessed[test] = _ridge(rows[fit], truth[fit], rows[test])
    errors = (guessed.round() - truth).abs()
    mean, half = float(errors.mean()), 1.96 * float(errors.std()) / math.sqrt(count)
    r2 = 1 - float((guessed - truth).square().sum() / (truth - truth.mean()).square().sum())
    note = "positions, rounded, rows not fitted on" + ("" if count == len(positions) else f"; of {count} spread evenly")
    return {
        "index_mae": Metric(mean, count / 4, count, (max(0.0, mean - half), mean + half), note),
        "index_r2": Metric(r2, 0.0, count, note="of rows not fitted on; below 0 is worse than the mean"),
    }


def _ridge(rows: Tensor, truth: Tensor, new: Tensor) -> Tensor:
    """Predictions for new rows, through whichever of the two normal equations is the smaller."""
    centre, middle = rows.mean(0), truth.mean()
    x, y = rows - centre, truth - middle
    ridge = RIDGE * float(x.square().sum()) / x.shape[1] + 1e-300
    if len(x) <= x.shape[1]:
        products = x @ x.T
        products.diagonal().add_(ridge)
        weights = x.T @ torch.linalg.solve(products, y)
    else:
        products = x.T @ x
        products.diagonal().add_(ridge)
        weights = torch.linalg.solve(products, x.T @ y)
    return (new - centre) @ weights + middle


def _component(index: int, scores: Tensor, share: float) -> dict[str, Metric]:
    count, power = len(scores), spectrum(scores[:, None])
    top = int(power.argmax())
    harmonic = sum(1 / k for k in range(1, len(power) + 1)) / len(power)
    name = f"component.{index}"
    cycles = Metric(float(top + 1), n=count, note=f"cycles over {count} positions, the strongest frequency")
    return {
        f"{name}.share": Metric(share, n=count, note="share of the variance"),
        f"{name}.peak": Metric(float(power[top] / power.sum()), harmonic, count, note=f"{top + 1} cycles"),
        f"{name}.cycles": cycles,
    }


def _flat(series: Tensor) -> tuple[Tensor, Tensor]:
    """(series, rows, columns) less the means over rows: as (rows, series x columns), and as it was."""
    centred = series - series.mean(dim=1, keepdim=True)
    return centred.transpose(0, 1).flatten(1), centred


def _waves_of(count: int, cycles: Tensor) -> Tensor:
    """(frequencies, 2, rows): cos and sin."""
    phase = 2 * math.pi * cycles[:, None] * torch.arange(count).double() / count
    return torch.stack([phase.cos(), phase.sin()], dim=1)


def _explained(waves: Tensor, series: Tensor) -> Tensor:
    """(frequencies, columns): squares that the waves of each frequency, less their means, explain of each column."""
    waves = waves - waves.mean(dim=2, keepdim=True)
    products, with_series = waves @ waves.transpose(1, 2), waves @ series
    scale = products.diagonal(dim1=1, dim2=2).mean(1)
    products.diagonal(dim1=1, dim2=2).add_(1e-9 * scale[:, None])  # slow waves and lines are nearly alike
    return (with_series * torch.linalg.solve(products, with_series)).sum(1)


def _bins(count: int, slow: int) -> float:
    """Share of the squares of white noise, less its mean, in the first frequencies: each has two numbers of rows - 1,
    but the last one of an even count has one."""
    numbers = 2 * slow - (1 if count % 2 == 0 and slow == count // 2 else 0)
    return numbers / (count - 1)


def sampled(positions: Tensor) -> Tensor:
    """At most 2048 rows, evenly spread, in float64."""
    count = len(positions)
    return positions[torch.linspace(0, count - 1, min(ROWS, count)).round().long()].double()
