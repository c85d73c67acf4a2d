"""Message passing against plain loops, state evolution and tables that it is not made for."""

import math

import numpy as np
import pytest
import torch
from capacity.sums import right, sets, table, trained

from locant.capacity.decoders import amp, pursuit, vamp, whiten
from locant.capacity.state_evolution import amp_members, amp_recovers, state_evolution

F64 = torch.float64


def by_loops(rows: np.ndarray, y: np.ndarray, members: int, iterations: int) -> tuple[list[int], list[float]]:
    """AMP for rows of equal length, as the papers write it; the effective variance of each round."""
    items, width = rows.shape
    length = np.sqrt((rows**2).sum(1)[0])
    rows, y, share = rows / length, y / length, members / items
    x, z, seen = np.full(items, share), y - share * rows.sum(0), []
    for _ in range(iterations):
        variance = float((z**2).sum() / width)
        seen.append(variance)
        pseudo = [x[j] + float(rows[j] @ z) for j in range(items)]
        odds = [(r - 0.5) / variance - math.log((1 - share) / share) for r in pseudo]
        x = np.array([1 / (1 + math.exp(-min(80.0, max(-80.0, value)))) for value in odds])
        memory = items / width * float(np.mean(x * (1 - x) / variance))
        z = y - x @ rows + memory * z
    return sorted(np.argsort(odds)[-members:].tolist()), seen


@pytest.mark.parametrize("iterations", [1, 2, 4])
def test_amp_is_that_of_plain_loops(iterations: int) -> None:
    rows = 3 * torch.nn.functional.normalize(table(60, 20, 0, F64), dim=1)
    sums = rows[sets(20, 60, 7)].sum(1)
    expected = [by_loops(rows.numpy(), y, 7, iterations)[0] for y in sums.numpy()]
    assert amp(sums, rows, 7, iterations=iterations, chunk=6).tolist() == expected


def test_its_errors_evolve_as_state_evolution_says() -> None:
    """Round by round, at a size at which the law of large numbers holds: the oracle, whose decisions are ours."""
    rows = torch.nn.functional.normalize(table(3200, 800, 1, F64), dim=1)
    sums = rows[sets(4, 3200, 200)].sum(1).numpy()
    seen = np.mean([by_loops(rows.numpy(), y, 200, 4)[1] for y in sums], axis=0)
    assert seen == pytest.approx(state_evolution(800, 3200, 200)[:4], rel=0.1)


@pytest.mark.parametrize(("width", "items"), [(256, 2048), (512, 2048)])
def test_the_limit_is_that_of_state_evolution(width: int, items: int) -> None:
    limit = amp_members(width, items)
    assert amp_recovers(width, items, limit)
    assert not amp_recovers(width, items, limit + 1)
    shares = []
    for factor in (0.8, 1.3):
        members = round(limit * factor)
        rows = table(items, width)
        expected = sets(24, items, members)
        shares.append(right(amp(rows[expected].sum(1), rows, members), expected))
    assert shares[0] > 0.85
    assert shares[1] < 0.15


def test_it_recovers_more_than_pursuit() -> None:
    rows = table(2048, 256)
    expected = sets(32, 2048, 36)
    sums = rows[expected].sum(1)
    assert right(amp(sums, rows, 36), expected) > 0.95
    assert right(vamp(sums, rows, 36), expected) > 0.95
    assert right(pursuit(sums, rows, 36, positive=True), expected) < 0.6


def test_trained_tables_need_whitening_or_vector_amp() -> None:
    rows = trained(2048, 256)
    expected = sets(32, 2048, 24)
    sums = rows[expected].sum(1)
    assert right(amp(sums, rows, 24), expected) < 0.2
    assert right(amp(*whiten(sums, rows, 24), 24), expected) > 0.95
    assert right(vamp(sums, rows, 24), expected) > 0.95


def test_unequal_norms_are_no_obstacle() -> None:
    rows = table(2048, 256) * torch.exp(0.4 * table(2048, 1, 3))
    expected = sets(32, 2048, 24)
    sums = rows[expected].sum(1)
    assert right(amp(sums, rows, 24), expected) > 0.9
    assert right(vamp(sums, rows, 24), expected) > 0.9


def test_noise_is_weighed() -> None:
    """Directions of little variance are the loudest in a decoder that does not know of the noise in them."""
    rows = trained(1024, 128)
    expected = sets(64, 1024, 6)
    sums = rows[expected].sum(1) + 0.3 * table(64, 128, 7)
    for decoder in (vamp, lambda y, a, k, noise=0.0: amp(*whiten(y, a, k, noise=noise), k)):
        known, unknown = (right(decoder(sums, rows, 6, noise=noise), expected) for noise in (0.09, 0.0))
        assert known > unknown + 0.1


def test_all_rows_and_dense_sets() -> None:
    rows = table(24, 40)
    for decoder in (amp, vamp):
        assert decoder(rows.sum(0, keepdim=True), rows, 24).tolist() == [list(range(24))]
        expected = sets(20, 24, 12)
        assert right(decoder(rows[expected].sum(1), rows, 12), expected) > 0.8


@pytest.mark.parametrize("decoder", [amp, vamp])
def test_chunks_and_scale_change_nothing(decoder) -> None:
    rows = table(500, 64)
    sums = rows[sets(30, 500, 6)].sum(1)
    whole = decoder(sums, rows, 6)
    assert torch.equal(decoder(sums, rows, 6, chunk=7), whole)
    assert torch.equal(decoder(sums * 1024, rows * 1024, 6), whole)
    assert torch.equal(decoder(sums.double(), rows.double(), 6), whole)


BAD = [
    (lambda: amp(table(2, 4), table(9, 4), 2, iterations=0), "at least 1 iteration, was: 0"),
    (lambda: vamp(table(2, 4), table(9, 4), 2, iterations=0), "at least 1 iteration, was: 0"),
    (lambda: vamp(table(2, 4), table(9, 4), 2, noise=math.nan), "a finite variance of at least 0, was: nan"),
    (lambda: amp(table(2, 4), torch.zeros(9, 4), 2), "no rows of zeros, was: row 0"),
    (lambda: amp(table(2, 4), table(9, 4), 2, chunk=0), "a chunk of at least 1, was: 0"),
]


@pytest.mark.parametrize(("call", "words"), BAD)
def test_refusals(call, words: str) -> None:
    with pytest.raises(ValueError, match="expected") as error:
        call()
    assert words in str(error.value)
