"""Streamed moments against plain loops, and a table that is far larger than the memory it may use."""

import resource
from pathlib import Path

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from locant.maths.blocks import blocks
from locant.xray import moments as module
from locant.xray.moments import fitting, haar, moments


@settings(max_examples=25, deadline=None)
@given(rows=st.integers(2, 40), width=st.integers(1, 9), size=st.integers(1, 60), seed=st.integers(0, 99))
def test_moments_are_those_of_plain_loops(rows: int, width: int, size: int, seed: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    table = torch.randn(rows, width, generator=generator).double() + 3
    weights = torch.rand(rows, generator=generator).double()
    weights[0] = 0
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module.blocks, "__defaults__", (size,))
        found = moments(table, weights)
    share = weights / weights.sum()
    mean = sum(share[v] * table[v] for v in range(rows))
    covariance = sum(share[v] * torch.outer(table[v] - mean, table[v] - mean) for v in range(rows))
    torch.testing.assert_close(found.mean, mean, rtol=0, atol=1e-12)
    torch.testing.assert_close(found.covariance, covariance, rtol=0, atol=1e-12)
    assert found.rows == rows - 1
    assert found.total == pytest.approx(float(covariance.trace()), abs=1e-12)
    rebuilt = found.directions @ found.energies.diag() @ found.directions.T
    torch.testing.assert_close(rebuilt, covariance, rtol=0, atol=1e-10)
    assert (found.energies.diff() <= 0).all()


def test_units_are_those_of_centred_unit_rows() -> None:
    table = torch.tensor([[3.0, 0.0], [-3.0, 0.0], [0.0, 2.0], [0.0, -2.0], [0.0, 0.0]])
    torch.testing.assert_close(moments(table).units, torch.eye(2).double() * 0.4)  # the row at the mean counts as 0


def test_strips_of_columns_are_the_whole_product(monkeypatch: pytest.MonkeyPatch) -> None:
    table = torch.randn(40, 11, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    whole = moments(table)
    monkeypatch.setattr(module, "STRIP", 4)
    torch.testing.assert_close(moments(table).covariance, whole.covariance, rtol=0, atol=1e-14)
    torch.testing.assert_close(moments(table).units, whole.units, rtol=0, atol=1e-14)
    assert torch.equal(moments(table).covariance, moments(table).covariance.T)


def test_only_long_products_are_in_single_precision(monkeypatch: pytest.MonkeyPatch) -> None:
    assert fitting(30_522, 384) == fitting(50_257, 768) == torch.float64
    assert fitting(262_144, 8192) == torch.float32
    table = torch.randn(64, 8, generator=torch.Generator().manual_seed(0)) + 3
    fast = moments(table, products=torch.float32)
    monkeypatch.setattr(module, "LONG", 1000)
    assert torch.equal(moments(table).covariance, fast.covariance)
    assert not torch.equal(moments(table, products=torch.float64).covariance, fast.covariance)


def test_products_in_single_precision_are_close() -> None:
    table = torch.randn(500, 20, generator=torch.Generator().manual_seed(0))
    exact, fast = moments(table), moments(table, products=torch.float32)
    assert 0 < (exact.covariance - fast.covariance).abs().max() < 1e-5


def test_a_16_bit_table_is_summed_in_double() -> None:
    table = torch.full((4000, 3), 1.0, dtype=torch.bfloat16)
    table[::2] = 2.0
    found = moments(table)
    torch.testing.assert_close(found.mean, torch.full((3,), 1.5).double(), rtol=0, atol=1e-12)
    torch.testing.assert_close(found.covariance, torch.full((3, 3), 0.25).double(), rtol=0, atol=1e-12)


def test_haar_is_orthogonal_and_uniform() -> None:
    generator = torch.Generator().manual_seed(1)
    draws = torch.stack([haar(3, generator) for _ in range(4000)])
    torch.testing.assert_close(draws[0] @ draws[0].T, torch.eye(3).double(), rtol=0, atol=1e-12)
    assert (draws.mean(0).abs() < 5 / (3 * 4000) ** 0.5).all()  # would be far from 0 without the signs
    assert ((draws**4).mean(0) - 3 / 15).abs().max() < 0.02  # E q^4 = 3 / (d (d + 2))


def test_blocks_cover_the_table_once() -> None:
    table = torch.arange(21.0).reshape(7, 3)
    assert [(start, len(block)) for start, block in blocks(table, 7)] == [(0, 2), (2, 2), (4, 2), (6, 1)]


@pytest.mark.parametrize(
    ("table", "weights", "message"),
    [
        (torch.zeros(3), None, r"expected a table of at least 2 rows and 1 column, was: \(3,\)"),
        (torch.zeros(1, 3), None, r"expected a table of at least 2 rows and 1 column, was: \(1, 3\)"),
        (torch.tensor([[0.0], [1.0], [torch.nan]]), None, "expected finite numbers in the table, was: nan in row 2"),
        (torch.tensor([[0.0], [-torch.inf]]), None, "expected finite numbers in the table, was: -inf in row 1"),
        (torch.zeros(2, 1), torch.ones(3), r"expected 2 weights for the table, was: \(3,\)"),
        (
            torch.zeros(2, 1),
            torch.tensor([1.0, -1.0]),
            "expected weights of the table of at least 0 with a sum above 0",
        ),
        (torch.zeros(2, 1), torch.zeros(2), "expected weights of the table of at least 0 with a sum above 0"),
    ],
)
def test_refusals(table: torch.Tensor, weights: torch.Tensor | None, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        moments(table, weights)


@pytest.mark.slow
def test_a_mapped_table_is_read_in_bounded_memory(tmp_path: Path) -> None:
    """100,000 x 512 float32 numbers are 205 MB on disk; in float64 they would be 410 MB in memory."""
    rows, width = 100_000, 512
    path, generator = tmp_path / "table.bin", torch.Generator().manual_seed(0)
    with path.open("wb") as file:
        for _ in range(0, rows, 10_000):
            file.write(torch.randn(10_000, width, generator=generator).numpy().tobytes())
    table = torch.from_file(str(path), shared=False, size=rows * width).reshape(rows, width)
    moments(table[:9000])  # libraries loaded, buffers of a block made
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    found = moments(table, products=torch.float32)
    grown = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
    assert grown < (rows * width * 4) // 1024 + 100_000  # the file's own pages, and less than 100 MB beside them
    assert found.total == pytest.approx(width, rel=0.01)
