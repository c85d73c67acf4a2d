"""M11: tables whose anatomy is known, chance by simulation, and peers."""

import math

import pytest
import torch
from torch import Tensor

from locant.xray.anatomy import anatomy, noise_ranks, ranks, toeplitz
from locant.xray.fourier import index_regression, sinusoid_fit, spectrum, waves
from locant.xray.metric import Metric
from locant.xray.moments import haar, moments


def noise(rows: int, width: int, seed: int) -> Tensor:
    return torch.randn(rows, width, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))


def turned(columns: Tensor, width: int) -> Tensor:
    """The same table in a random basis of more columns."""
    wide = torch.zeros(len(columns), width, dtype=torch.float64)
    wide[:, : columns.shape[1]] = columns
    return wide @ haar(width, torch.Generator().manual_seed(3))


def circle(count: int, cycles: float = 1) -> Tensor:
    angles = torch.arange(count).double() * 2 * math.pi * cycles / count
    return torch.stack([angles.cos(), angles.sin()], dim=1)


def of(table: Tensor) -> dict[str, Metric]:
    known = moments(table)
    return {**anatomy(table, known), **waves(table, known), **index_regression(table)}


def test_a_circle() -> None:
    found = {name: metric.value for name, metric in of(turned(circle(64, 3), 8)).items()}
    for name in ("stable_rank", "entropy_rank", "effective_dimension", "k95"):
        assert found[name] == pytest.approx(2), name
    for name in ("toeplitz", "component.1.peak", "component.2.peak", "sinusoid_fit", "helix_fit", "slow_waves"):
        assert found[name] == pytest.approx(1, abs=1e-6), name
    assert found["component.1.cycles"] == 3
    assert "component.3.peak" not in found
    for lag in (1, 2, 4, 8, 16, 32):
        assert found[f"cosine.{lag}"] == pytest.approx(math.cos(2 * math.pi * 3 * lag / 64))
    assert found["norm_mean"] == pytest.approx(1)
    assert found["norm_first"] == pytest.approx(1)


def test_a_straight_line() -> None:
    line = torch.arange(50).double()[:, None] * torch.tensor([1.0, -2, 2])
    found = {name: metric.value for name, metric in of(line).items()}
    assert found["stable_rank"] == pytest.approx(1)
    assert found["index_mae"] == 0
    assert found["index_r2"] == pytest.approx(1, abs=1e-9)
    assert found["helix_fit"] == pytest.approx(1, abs=1e-6)
    assert found["columns"] == pytest.approx(81 / (1 + 16 + 16))


def test_a_helix_is_more_than_sinusoids() -> None:
    turns = torch.cat([circle(96, 2.5), torch.linspace(-1.5, 1.5, 96, dtype=torch.float64)[:, None]], dim=1)
    metrics = of(turned(turns, 12))
    assert metrics["helix_fit"].value == pytest.approx(1, abs=1e-6)
    assert metrics["helix_fit"].baseline < 0.25
    assert metrics["sinusoid_fit"].value < 0.995  # an eighth of a cycle is nearly straight
    assert metrics["index_mae"].value == 0


def test_sinusoids_are_waves() -> None:
    """The table of Vaswani et al. 2017: the same seen from everywhere, and each component a sinusoid."""
    rates = 10_000.0 ** -(torch.arange(0, 32, 2).double() / 32)
    angles = torch.arange(128).double()[:, None] * rates
    table = torch.cat([angles.sin(), angles.cos()], dim=1)
    products = table @ table.T
    assert torch.allclose(products.diagonal(5), products.diagonal(5).mean())
    found = of(table)
    assert found["toeplitz"].value > 0.8 > 3 * found["toeplitz"].baseline
    assert found["sinusoid_fit"].value > 0.75  # the components mix columns of near frequencies
    assert found["sinusoid_fit"].baseline < 0.2
    assert found["cosine.1"].value > 0.8


def test_noise_is_chance() -> None:
    """Isotropic noise has every baseline, within what its own chance allows."""
    found = of(noise(200, 60, 0))
    for name in ("stable_rank", "entropy_rank", "effective_dimension", "k90", "k95", "k99", "columns"):
        assert found[name].value == pytest.approx(found[name].baseline, rel=0.06), name
    assert found["toeplitz"].value == pytest.approx(found["toeplitz"].baseline, rel=0.05)
    assert found["cosine.1"].value == pytest.approx(found["cosine.1"].baseline, abs=0.03)
    assert found["slow_waves"].value == pytest.approx(found["slow_waves"].baseline, rel=0.2)
    assert found["sinusoid_fit"].value == pytest.approx(found["sinusoid_fit"].baseline, rel=0.35)
    assert found["index_r2"].value < 0.1
    assert found["index_mae"].value > 40


@pytest.mark.parametrize(("rows", "width"), [(400, 100), (100, 400), (150, 150)])
def test_noise_ranks_are_those_of_simulated_noise(rows: int, width: int) -> None:
    energies = torch.linalg.svdvals(noise(rows, width, 1)).square()
    expected = noise_ranks(rows, width)
    for name, value in ranks(energies).items():
        assert value == pytest.approx(expected[name], rel=0.05), name


def test_the_chance_of_toeplitz_is_the_mean_over_orders() -> None:
    table = torch.cat([circle(9), 0.3 * noise(9, 2, 1) + 1], dim=1)
    generator = torch.Generator().manual_seed(0)
    values = [toeplitz(table[torch.randperm(9, generator=generator)]).value for _ in range(4000)]
    error = 4 * float(torch.tensor(values).std()) / 4000**0.5
    assert toeplitz(table).baseline == pytest.approx(sum(values) / 4000, abs=error)
    assert error < 0.01


def test_toeplitz_by_plain_loops() -> None:
    table = noise(6, 3, 2)
    rows = table - table.mean(0)
    gram = rows @ rows.T
    means = {k: sum(float(gram[i, i + k]) for i in range(6) if 0 <= i + k < 6) / (6 - abs(k)) for k in range(-5, 6)}
    share = sum(means[j - i] ** 2 for i in range(6) for j in range(6)) / float(gram.square().sum())
    assert toeplitz(table).value == pytest.approx(share)


def test_the_columns_after_a_rotation() -> None:
    table = turned(circle(40), 10) + 0.2 * noise(40, 10, 1)
    generator, values = torch.Generator().manual_seed(0), []
    for _ in range(2000):
        energies = (table @ haar(10, generator)).var(0, correction=0)
        values.append([float(energies.sum().square()), float(energies.square().sum())])
    tops, bottoms = torch.tensor(values).mean(0)
    assert anatomy(table, moments(table))["columns"].baseline == pytest.approx(float(tops / bottoms), rel=0.02)
    along = torch.zeros(40, 10, dtype=torch.float64)
    along[:, :2] = circle(40)
    assert anatomy(along, moments(along))["columns"].value == pytest.approx(2)


def test_the_spectrum_has_all_squares() -> None:
    for count in (16, 17):
        table = noise(count, 3, 0)
        table -= table.mean(0)
        assert float(spectrum(table).sum()) / count == pytest.approx(float(table.square().sum()))


def test_one_sinusoid_by_a_grid_of_least_squares() -> None:
    import numpy

    series = noise(24, 1, 4)
    y, best = (series - series.mean()).numpy()[:, 0], 0.0
    for eighths in range(1, 96):
        phase = 2 * math.pi * eighths / 8 * numpy.arange(24) / 24
        design = numpy.stack([numpy.ones(24), numpy.cos(phase), numpy.sin(phase)], axis=1)
        rest = y - design @ numpy.linalg.lstsq(design, y, rcond=None)[0]
        best = max(best, 1 - float(rest @ rest) / float(y @ y))
    assert float(sinusoid_fit(series[None])[0]) == pytest.approx(best, rel=1e-4)


def test_ridge_is_that_of_scikit_learn() -> None:
    from sklearn.linear_model import Ridge

    for rows, width in ((40, 6), (30, 50)):
        table = noise(rows, width, 5)
        truth = torch.arange(rows, dtype=torch.float64)
        order = torch.randperm(rows, generator=torch.Generator().manual_seed(0))
        guessed = torch.empty(rows, dtype=torch.float64)
        for fold in range(5):
            test, fit = order[fold::5], torch.cat([order[other::5] for other in range(5) if other != fold])
            energy = float((table[fit] - table[fit].mean(0)).square().sum()) / width
            peer = Ridge(alpha=1e-6 * energy).fit(table[fit].numpy(), truth[fit].numpy())
            guessed[test] = torch.from_numpy(peer.predict(table[test].numpy()))
        found = index_regression(table)
        assert found["index_mae"].value == pytest.approx(float((guessed.round() - truth).abs().mean()))


def test_what_has_no_anatomy() -> None:
    equal = torch.ones(12, 4)
    for name, metric in of(equal).items():
        if name not in ("norm_mean", "norm_first", "index_mae", "index_r2"):
            assert metric.value is None, name
            assert metric.note, name
    few = of(noise(5, 3, 0))
    assert few["helix_fit"].note == "expected at least 8 positions that differ, was: 5"
    assert few["index_mae"].note == "expected at least 10 positions, was: 5"
