"""M2 and M3a: the cases whose values are known, chance by simulation, exact searches against brute force."""

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from locant.xray import sums
from locant.xray.coherence import coherence, largest, max_cosine, mean_cosine
from locant.xray.metric import Metric
from locant.xray.moments import haar, moments
from locant.xray.overlap import chance, overlap, principal_overlap
from locant.xray.sums import loss_of_sum, rotated_limit, wiener

WIDTH = 6


def noise(rows: int, width: int, seed: int) -> Tensor:
    return torch.randn(rows, width, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))


def disjoint() -> tuple[Tensor, Tensor]:
    """Tokens in the first half of the coordinates, positions in the second."""
    w, p = noise(40, WIDTH, 0), noise(20, WIDTH, 1)
    w[:, 3:], p[:, :3] = 0, 0
    return w, p


def all_of_m2(w: Tensor, p: Tensor, ranks: tuple[int, ...] = (2,)) -> dict[str, Metric]:
    a, b = moments(w), moments(p)
    return {**overlap(a, b), **principal_overlap(a, b, ranks), **coherence(w, p, a, b, pairs=20_000)}


def test_disjoint_coordinates_give_zero() -> None:
    found = all_of_m2(*disjoint())
    for name in ("overlap", "principal.2", "coherence_mean", "coherence_rms", "coherence_max"):
        assert found[name].value == pytest.approx(0, abs=1e-12)
        assert found[name].baseline > 0.1


def test_equal_covariance_gives_overlap_1() -> None:
    w = noise(40, WIDTH, 0)
    found = all_of_m2(w, 3 * w + 5, (1, 3))
    assert found["overlap"].value == pytest.approx(1, abs=1e-12)
    assert found["principal.3"].value == pytest.approx(1, abs=1e-12)
    assert found["coherence_max"].value == pytest.approx(1, abs=1e-12)
    assert found["overlap_ratio"].value == pytest.approx(1 / found["overlap"].baseline)


def test_chance_is_that_of_many_rotations() -> None:
    """The exact mean and standard deviation, and the baselines that follow from them."""
    a, b = moments(noise(30, 5, 0) * torch.tensor([3, 1, 1, 1, 0.1])), moments(noise(9, 5, 1))
    generator = torch.Generator().manual_seed(2)
    drawn, principal = [], []
    for _ in range(4000):
        turn = haar(5, generator)
        drawn.append(float((a.covariance * (turn @ b.covariance @ turn.T)).sum()))
        principal.append(float((a.directions[:, :2].T @ turn @ b.directions[:, :2]).square().sum()) / 2)
    exact = chance(a.covariance, b.covariance)
    sample = torch.tensor(drawn)
    assert float(sample.mean()) == pytest.approx(exact.mean, abs=4 * exact.deviation / math.sqrt(4000))
    assert float(sample.std()) == pytest.approx(exact.deviation, rel=0.06)
    assert sum(principal) / 4000 == pytest.approx(2 / 5, abs=0.01)
    norm = float(a.covariance.norm() * b.covariance.norm())
    found = overlap(a, b)
    assert found["overlap"].baseline == pytest.approx(exact.mean / norm)
    low, high = found["overlap_chance"].interval
    inside = ((sample / norm > low) & (sample / norm < high)).double().mean()
    assert 0.92 < float(inside) < 0.98


def test_chance_has_no_spread_for_isotropic_or_one_dimensional() -> None:
    assert chance(torch.eye(4).double(), noise(4, 4, 0) + noise(4, 4, 0).T).deviation == 0
    assert chance(torch.ones(1, 1), torch.full((1, 1), 3.0)).deviation == 0


def test_mean_cosine_at_the_width_of_minilm_and_by_simulation() -> None:
    assert mean_cosine(384) == pytest.approx(0.040743, abs=5e-7)
    assert mean_cosine(2) == pytest.approx(2 / math.pi)
    rows = noise(200_000, 3, 0)
    assert float((rows[:, 0] / rows.norm(dim=1)).abs().mean()) == pytest.approx(mean_cosine(3), abs=0.004)


def test_max_cosine_is_the_median_of_the_largest() -> None:
    rows = noise(200 * 500, 8, 3)
    tops = (rows[:, 0] / rows.norm(dim=1)).abs().reshape(500, 200).amax(dim=1)
    assert float(tops.median()) == pytest.approx(max_cosine(8, 200), abs=0.01)
    assert max_cosine(1, 5) == 1


def test_isotropic_tables_are_at_the_baselines_of_coherence() -> None:
    w, p = noise(3000, 16, 0), noise(2000, 16, 1)
    found = coherence(w, p, moments(w), moments(p), pairs=200_000)
    assert found["coherence_mean"].value == pytest.approx(found["coherence_mean"].baseline, rel=0.01)
    assert found["coherence_rms"].value == pytest.approx(found["coherence_rms"].baseline, rel=0.01)


@settings(max_examples=40, deadline=None)
@given(
    v=st.integers(2, 30), n=st.integers(2, 12), width=st.integers(1, 7), rank=st.integers(1, 7), seed=st.integers(0, 99)
)
def test_coherence_is_that_of_brute_force(v: int, n: int, width: int, rank: int, seed: int) -> None:
    w, p = noise(v, width, seed), noise(n, width, seed + 100)
    weights = torch.rand(v, generator=torch.Generator().manual_seed(seed))
    a, b = moments(w, weights), moments(p)
    cosines = torch.nn.functional.normalize(w - a.mean, dim=1) @ torch.nn.functional.normalize(p - b.mean, dim=1).T
    share = weights.double() / weights.double().sum()
    found = coherence(w, p, a, b, weights=weights, pairs=20_000)
    assert found["coherence_rms"].value == pytest.approx(float((share @ cosines.square()).mean().sqrt()), abs=1e-9)
    mean = found["coherence_mean"]
    spread = (mean.interval[1] - mean.value) / 1.96
    assert mean.value == pytest.approx(float((share @ cosines.abs()).mean()), abs=6 * spread + 1e-9)
    top = largest(w, p, a.mean, b, rank=rank)
    assert top.value == top.bound == pytest.approx(float(cosines.abs().max()), abs=1e-12)
    assert float(cosines[top.token, top.position].abs()) == pytest.approx(top.value, abs=1e-12)


def test_the_search_for_the_largest_cosine_stops_early_and_says_so() -> None:
    w, p = noise(5000, 32, 0), noise(40, 32, 1)
    p[:, 2:] *= 0.01
    w[:, :2] *= 0.05  # nearly disjoint, except for one token
    w[123] = 7 * p[11]
    a, b = moments(w), moments(p)
    found = largest(w, p, a.mean, b, rank=4)
    assert found.token == 123
    assert found.evaluated < len(w) * len(p) / 5
    short = largest(w[:100], p, a.mean, b, rank=4, limit=len(p) * 3)
    exact = largest(w[:100], p, a.mean, b, rank=4)
    assert short.evaluated == 3 * len(p)
    assert short.value <= exact.value <= short.bound


def test_wiener_of_orthogonal_blocks_loses_nothing() -> None:
    a, b = (moments(table) for table in disjoint())
    found = loss_of_sum(a, b)
    assert found["wiener_token"].value == pytest.approx(1, abs=1e-12)
    assert found["wiener_position"].value == pytest.approx(1, abs=1e-12)
    assert found["wiener_token"].baseline == pytest.approx(1)  # random subspaces that fit do not meet either


def test_nearly_orthogonal_tables_lose_less_than_rotated_ones() -> None:
    w, p = (table + 0.1 * noise(len(table), WIDTH, 5) for table in disjoint())
    for metric in loss_of_sum(moments(w), moments(p)).values():
        assert metric.baseline + 0.02 < metric.value < 1


@pytest.mark.parametrize("s", [0.1, 1.0, 3.0])
def test_wiener_of_the_same_isotropic_covariance(s: float) -> None:
    corners = torch.cat([torch.eye(WIDTH), -torch.eye(WIDTH)]).double()
    found = loss_of_sum(moments(corners), moments(s * corners))
    for name, expected in (("wiener_token", 1 / (1 + s * s)), ("wiener_position", s * s / (1 + s * s))):
        assert found[name].value == pytest.approx(expected, abs=1e-12)
        assert found[name].baseline == pytest.approx(expected, abs=1e-12)  # a rotation changes nothing


def test_wiener_is_the_r_squared_of_least_squares_over_all_pairs() -> None:
    w, p = noise(12, 5, 0), noise(7, 5, 1)
    x = (w[:, None] + p).reshape(-1, 5)
    x = x - x.mean(0)
    target = (w - w.mean(0))[:, None].expand(12, 7, 5).reshape(-1, 5)
    fitted = x @ torch.linalg.lstsq(x, target).solution
    expected = 1 - float((target - fitted).square().sum() / target.square().sum())
    assert wiener(moments(w).covariance, moments(p).covariance).token == pytest.approx(expected, abs=1e-10)


def test_wiener_with_more_width_than_rows() -> None:
    """Two tokens and three positions in 50 dimensions: the sum is singular, and nothing is lost."""
    found = loss_of_sum(moments(noise(2, 50, 0)), moments(noise(3, 50, 1)))
    assert found["wiener_token"].value == pytest.approx(1, abs=1e-9)
    assert found["wiener_position"].value == pytest.approx(1, abs=1e-9)


def test_equal_rows_have_no_overlap_and_say_why() -> None:
    found = all_of_m2(torch.ones(3, 4), noise(5, 4, 0), ()) | loss_of_sum(
        moments(torch.ones(3, 4)), moments(noise(5, 4, 0))
    )
    assert {metric.value for metric in found.values()} == {None}
    assert {metric.note for metric in found.values()} == {"all rows of a table are equal"}


def test_refusals() -> None:
    a, b = moments(noise(5, 3, 0)), moments(noise(5, 4, 0))
    with pytest.raises(ValueError, match="expected tables of equal width, was: 3 and 4"):
        overlap(a, b)
    with pytest.raises(ValueError, match="expected a rank of 1 to 3, was: 4"):
        principal_overlap(a, a, [4])
    with pytest.raises(ValueError, match="expected at least 1 rotation, was: 0"):
        loss_of_sum(a, a, rotations=0)
    assert principal_overlap(moments(noise(2, 3, 0)), a, [2])["principal.2"].note == "a table has rank 1, below 2"


@pytest.mark.parametrize("rows", [30, 75, 400])
def test_the_limit_of_wide_tables_is_the_mean_over_rotations(rows: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """A falling spectrum of full rank with positions of rank below, near and above the width."""
    a = moments(noise(300, 120, 0) * (1 + torch.arange(120)) ** -0.7)
    b = moments(0.4 * noise(rows, 120, 1))
    found = loss_of_sum(a, b, rotations=20)
    limit = rotated_limit(a.energies, b.energies)
    assert limit.token == pytest.approx(found["wiener_token"].baseline, abs=2e-3)
    assert limit.position == pytest.approx(found["wiener_position"].baseline, abs=2e-3)
    monkeypatch.setattr(sums, "ROTATED", 100)
    again = loss_of_sum(a, b)
    assert again["wiener_token"].value == pytest.approx(found["wiener_token"].value)
    assert again["wiener_position"].baseline == limit.position


def test_the_limit_where_the_ranks_fit_and_where_all_is_isotropic() -> None:
    few = torch.tensor([3.0, 1, 0, 0, 0]).double()
    assert rotated_limit(few, few).token == 1
    ones = torch.ones(40).double()
    limit = rotated_limit(ones, 4 * ones)
    assert (limit.token, limit.position) == (pytest.approx(0.2), pytest.approx(0.8))


def test_wiener_by_factor_and_by_eigenvalues() -> None:
    a, b = moments(noise(60, 8, 0)).covariance, moments(noise(60, 8, 1)).covariance
    whole = torch.linalg.inv(a + b)
    assert wiener(a, b).token == pytest.approx(float((a @ whole @ a).trace() / a.trace()))
    thin = moments(noise(3, 8, 2)).covariance
    whole = torch.linalg.pinv(thin + 2 * thin, hermitian=True)
    assert wiener(thin, 2 * thin).token == pytest.approx(float((thin @ whole @ thin).trace() / thin.trace()))
    assert wiener(thin, 2 * thin).token == pytest.approx(1 / 3)
