"""Brute force against the exact law, in chunks, with any table."""

import pytest
import torch

from locant.capacity.brute import brute_force, supports
from locant.capacity.exact import recovery_probability
from locant.capacity.simulate import simulate


@pytest.mark.parametrize(("members", "noise"), [(3, 0.0), (2, 3.0)])
def test_gaussian_codes_follow_the_law(members, noise):
    found = brute_force(64, 1000, members, noise=noise, trials=4000, codebooks=16)
    assert found.trials == 4000
    assert recovery_probability(64, 1000, members, noise=noise) == pytest.approx(found.value, abs=0.035)
    assert found.low < found.value < found.high


@pytest.mark.parametrize("code", ["sphere", "sign"])
def test_other_codes_follow_their_simulators(code):
    found = brute_force(48, 500, 3, code=code, trials=4000, codebooks=16)
    assert simulate(48, 500, 3, code=code, trials=2000).value == pytest.approx(found.value, abs=0.035)


def test_chunks_change_nothing():
    table = torch.randn(700, 32, generator=torch.Generator().manual_seed(0))
    answers = {brute_force(table, members=3, trials=500, rows=rows).value for rows in (50, 333, 700, 5000)}
    assert len(answers) == 1


def test_orthogonal_table_gives_everything_back_and_equal_rows_nothing():
    assert brute_force(torch.eye(64), members=30, trials=200).value == 1.0
    assert brute_force(torch.ones(64, 4), members=3, trials=200).value == 0.0


def test_rounding_to_one_bit_costs():
    table = torch.randn(500, 64, generator=torch.Generator().manual_seed(1))
    exact, rounded = (brute_force(table, members=2, trials=1000, format_name=name).value for name in (None, "1bit"))
    assert rounded < exact - 0.05


@pytest.mark.parametrize(("items", "members"), [(20, 20), (20, 3), (40_000_000, 4), (17_000_000, 1)])
def test_supports_are_sets(items, members):
    chosen = supports(50, items, members, torch.Generator().manual_seed(0))
    assert all(len(set(row.tolist())) == members for row in chosen)
    assert chosen.min() >= 0
    assert chosen.max() < items


def test_floyd_draws_every_set_alike(monkeypatch):
    generator = torch.Generator().manual_seed(0)
    monkeypatch.setattr("locant.capacity.brute.torch.rand", None)  # the keys are not used for so many trials
    chosen = supports(3_000_000, 6, 2, generator).sort(dim=1).values
    _, counts = torch.unique(chosen, dim=0, return_counts=True)
    assert len(counts) == 15
    assert counts.max() / counts.min() < 1.02


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: brute_force(8, 10, 11), "expected members between 1 and 10 items, was: 11"),
        (lambda: brute_force(8, 10, 2, codebooks=1), "expected at least 2 codebooks, was: 1"),
        (lambda: brute_force(8, 10, 2, code="x"), "expected items and a code of gauss, sphere, sign, was: 10 and x"),
        (lambda: brute_force(8, 10, 2, trials=0), "expected at least 1 trial, codebook and row, was: 0, 8, 4096"),
        (lambda: brute_force(torch.full((4, 4), torch.nan), members=2), r"expected a finite table .*, was: \[4, 4\]"),
    ],
)
def test_refusals(call, message):
    with pytest.raises(ValueError, match=message):
        call()
