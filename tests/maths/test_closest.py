"""The closest two rows against brute force, also with the settings that only large tables have."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from locant.maths import closest as module
from locant.maths.closest import Closest, closest_pair


def noise(rows: int, width: int, seed: int) -> Tensor:
    return torch.randn(rows, width, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))


def brute_pair(x: Tensor, apart: int) -> float:
    return min(float((x[i] - x[j]).norm()) for i in range(len(x)) for j in range(i + apart + 1, len(x)))


def closest(table: Tensor, apart: int = 0, work: int = module.WORK) -> Closest:
    """In the principal directions of the table."""
    mean = table.mean(0)
    directions = torch.linalg.eigh((table - mean).T @ (table - mean))[1].flip(1)
    return closest_pair(table, mean, directions, apart=apart, work=work)


@settings(max_examples=40, deadline=None)
@given(
    rows=st.integers(2, 50),
    width=st.integers(1, 8),
    apart=st.integers(0, 4),
    tile=st.sampled_from([4, 16, 1024]),
    dense=st.sampled_from([0.0, 2.0]),
    whole=st.booleans(),
    seed=st.integers(0, 999),
)
def test_the_closest_pair_is_that_of_brute_force(
    rows: int, width: int, apart: int, tile: int, dense: float, whole: bool, seed: int
) -> None:
    table = noise(rows + apart, width, seed) + 50
    table = table.round() if whole else table
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "TILE", tile)
        patch.setattr(module, "DENSE", dense)
        found = closest(table, apart=apart)
    assert found.value == found.bound == pytest.approx(brute_pair(table, apart), abs=1e-12)
    i, j = found.pair
    assert j - i > apart
    assert float((table[i] - table[j]).norm()) == pytest.approx(found.value, abs=1e-12)


def test_few_pairs_are_compared_in_full() -> None:
    table = noise(3000, 64, 0) * torch.logspace(1, -2, 64)
    found = closest(table)
    assert found.value == found.bound
    assert found.evaluated < 3000 * 2999 / 2 / 10


def test_a_table_without_pairs_is_refused() -> None:
    with pytest.raises(ValueError, match="expected at least 4 rows, was: 3"):
        closest(noise(3, 2, 0), apart=2)


def test_any_orthonormal_directions_give_the_closest_pair() -> None:
    table = noise(200, 6, 0)
    mean, directions = torch.full((6,), 0.5).double(), torch.linalg.qr(noise(6, 6, 1))[0]
    found = closest_pair(table, mean, directions)
    assert found.value == found.bound == pytest.approx(brute_pair(table, 0), abs=1e-12)


def test_a_search_cut_short_bounds_the_truth() -> None:
    table = noise(900, 40, 0)
    truth = closest(table).value
    found = closest(table, work=0)
    assert 0 < found.bound < truth <= found.value
