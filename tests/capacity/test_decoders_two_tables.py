"""Oblique projections and the best pair, against brute force and against the angles between the spans."""

import math

import pytest
import torch
from capacity.sums import right, sets, table
from torch import Tensor

from locant.capacity.decoders import (
    best_pairs,
    make_oblique,
    make_pairs,
    oblique_pairs,
    project_out,
    slot_filters,
    slots,
)

F64 = torch.float64


def low_rank(items: int, width: int, rank: int, seed: int, dtype: torch.dtype = F64) -> Tensor:
    return table(items, rank, seed, dtype) @ table(rank, width, seed + 100, dtype) + table(1, width, seed + 200, dtype)


def pair_sums(tables: list[Tensor], batch: int) -> tuple[Tensor, Tensor]:
    expected = torch.cat([sets(batch, len(rows), 1, seed) for seed, rows in enumerate(tables)], 1)
    return tables[0][expected[:, 0]] + tables[1][expected[:, 1]], expected


def nearest_pair(y: Tensor, first: Tensor, second: Tensor) -> list[int]:
    away = (y - first[:, None] - second[None]).square().sum(2)
    return list(divmod(int(away.argmin()), len(second)))


@pytest.mark.parametrize(("first", "second"), [(5, 3), (3, 5), (1, 7), (4, 4)])
def test_an_oblique_projection_takes_sums_apart(first: int, second: int) -> None:
    tables = [low_rank(50, 16, first, 1), low_rank(40, 16, second, 2)]
    sums, expected = pair_sums(tables, 60)
    made = make_oblique(*tables)
    assert made.ranks == (first, second)
    for part, rows, picked in zip(made.split(sums), tables, expected.T, strict=True):
        torch.testing.assert_close(part, rows[picked])
    assert torch.equal(oblique_pairs(sums, tables, made, chunk=7), expected)


@pytest.mark.parametrize(("first", "second"), [(6, 3), (3, 6)])
def test_what_a_projection_does_to_noise(first: int, second: int) -> None:
    """``1/sin θ`` at most, ``|E|_F²`` on average, ``rank - r + Σ 1/sin²``; angles by scipy."""
    from scipy.linalg import subspace_angles

    tables = [low_rank(50, 20, first, 1), low_rank(50, 20, second, 2)]
    made = make_oblique(*tables)
    angles = subspace_angles(*[(rows - rows.mean(0)).T.numpy() for rows in tables])
    assert made.sine == pytest.approx(math.sin(angles.min()))
    for matrix, gain, rank in zip((made.first, made.second), made.gains, made.ranks, strict=True):
        assert float(torch.linalg.matrix_norm(matrix, 2)) == pytest.approx(1 / made.sine)
        assert gain == pytest.approx(rank - 3 + float((1 / torch.from_numpy(angles).sin() ** 2).sum()))
        noise = table(40_000, 20, 9, F64)
        assert float((noise @ matrix.T).square().sum(1).mean()) == pytest.approx(gain, rel=0.03)


def test_tables_of_full_span_are_refused_and_projected_out() -> None:
    tables = [table(400, 24), low_rank(60, 24, 4, 1, torch.float32)]
    sums, expected = pair_sums(tables, 200)
    with pytest.raises(ValueError, match="expected ranks of at most the width 24 together, was: 24 and 4"):
        make_oblique(*tables)
    assert right(project_out(sums, tables, chunk=33), expected) == 1
    with pytest.raises(ValueError, match="expected a second table of rank below the width, was: 24"):
        project_out(sums, [tables[1], tables[0]])
    shared = low_rank(30, 24, 3, 5)
    with pytest.raises(ValueError, match="expected spans that meet only at zero"):
        make_oblique(shared, 2 * shared)
    with pytest.raises(ValueError, match="expected a tolerance between 0 and 1, was: 2"):
        make_oblique(shared, shared, tolerance=2)


def test_a_tolerance_leaves_small_directions_out() -> None:
    first = low_rank(50, 16, 3, 1) + 1e-3 * table(50, 16, 5, F64)
    second = low_rank(50, 16, 3, 2) + 1e-3 * table(50, 16, 6, F64)
    made = make_oblique(first, second, tolerance=0.02)
    assert made.ranks == (3, 3)
    sums, expected = pair_sums([first, second], 50)
    assert right(oblique_pairs(sums, [first, second], made), expected) > 0.9


@pytest.mark.parametrize("width", [1, 3, 8, 40])
@pytest.mark.parametrize("memory", [2**30, 0])
@pytest.mark.parametrize("dtype", [torch.float32, F64])
def test_the_best_pair_is_that_of_brute_force(width: int, memory: int, dtype: torch.dtype) -> None:
    tables = [table(60, width, 0, dtype) + 2, 0.5 * table(30, width, 1, dtype)]
    sums, _ = pair_sums(tables, 70)
    sums = sums + 0.5 * table(70, width, 2, dtype)
    made = make_pairs(*tables, memory=memory)
    assert (made.gram is None) == (memory == 0)
    found, looked = best_pairs(sums, made, cells=500)
    for y, picked, count in zip(sums, found.tolist(), looked, strict=True):
        away = float((y - tables[0][picked[0]] - tables[1][picked[1]]).square().sum())
        best = nearest_pair(y, *tables)
        least = float((y - tables[0][best[0]] - tables[1][best[1]]).square().sum())
        assert away <= least * (1 + 1e-3) + 1e-4
        assert 1 <= count <= 1800
        if dtype == F64:
            assert picked == best


def test_wide_tables_are_pruned_to_a_few_pairs() -> None:
    tables = [table(3000, 256), table(200, 256, 1)]
    sums, expected = pair_sums(tables, 40)
    found, looked = best_pairs(sums, make_pairs(*tables))
    assert torch.equal(found, expected)
    assert float(looked.double().mean()) < 3000 * 200 / 1000


def test_the_best_pair_beats_every_other_decoder() -> None:
    tables = [table(500, 6), table(60, 6, 1)]
    sums, expected = pair_sums(tables, 200)
    noisy = sums + 0.05 * table(200, 6, 2)
    best = right(best_pairs(noisy, make_pairs(*tables))[0], expected)
    assert best > 0.8
    assert best > right(slots(noisy, tables, slot_filters("whitened", tables)), expected) + 0.3


def test_refusals() -> None:
    made = make_pairs(table(3, 4), table(3, 4, 1))
    with pytest.raises(ValueError, match="expected at least 1 cell, was: 0"):
        best_pairs(table(2, 4), made, cells=0)
    with pytest.raises(ValueError, match="expected sums and table of one width, was: 5 and 4"):
        best_pairs(table(2, 5), made)
    with pytest.raises(ValueError, match="one width, was: 3 and 4"):
        make_pairs(table(3, 3), table(3, 4))
