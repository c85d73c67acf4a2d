"""Mixed pairs and kappa: the cases whose values are known, and brute force at small sizes."""

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from locant.maths import closest as module
from locant.xray.moments import moments
from locant.xray.separation import closest_mixed, separation


def noise(rows: int, width: int, seed: int) -> Tensor:
    return torch.randn(rows, width, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))


def brute_mixed(w: Tensor, p: Tensor) -> float:
    tokens = (w[:, None] - w)[~torch.eye(len(w), dtype=torch.bool)]
    steps = (p[:, None] - p)[~torch.eye(len(p), dtype=torch.bool)]
    return float((tokens[:, None] + steps).norm(dim=2).min())


def line(numbers: list[float]) -> Tensor:
    return torch.tensor(numbers).double()[:, None] * torch.tensor([0.6, 0.0, 0.8], dtype=torch.float64)


@settings(max_examples=60, deadline=None)
@given(
    v=st.integers(2, 14),
    n=st.integers(2, 9),
    width=st.integers(1, 7),
    scale=st.sampled_from([0.1, 1.0, 10.0]),
    tile=st.sampled_from([4, 1024]),
    steps=st.sampled_from([1, 20, 1 << 22]),
    whole=st.booleans(),
    seed=st.integers(0, 999),
)
def test_the_closest_mixed_pair_is_that_of_brute_force(
    v: int, n: int, width: int, scale: float, tile: int, steps: int, whole: bool, seed: int
) -> None:
    """With few steps kept the far ones are only bounded: the true value is then inside of the interval."""
    w, p = noise(v, width, seed), noise(n, width, seed + 1) * scale
    w, p = (w.round(), p.round()) if whole else (w, p)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "TILE", tile)
        found = closest_mixed(w, p, steps=steps)
    truth = brute_mixed(w, p)
    if steps > 1000:
        assert found.value == pytest.approx(truth, abs=1e-7)
        assert found.bound == found.value
    assert found.bound - 1e-7 <= truth <= found.value + 1e-7
    (a, b), (c, d) = found.tokens, found.positions
    assert a != b
    assert c != d
    assert float((w[a] + p[c] - w[b] - p[d]).norm()) == pytest.approx(found.value, abs=1e-12)


def test_orthogonal_tables_add_their_squares() -> None:
    w, p = torch.zeros(30, 8).double(), torch.zeros(20, 8).double()
    w[:, :4], p[:, 4:] = noise(30, 4, 0), noise(20, 4, 1)
    found = separation(w, p, moments(w), moments(p))
    token, position = found["separation_token"].value, found["separation_position"].value
    assert found["separation_mixed"].value == pytest.approx(math.hypot(token, position), abs=1e-9)
    assert found["kappa"].value == pytest.approx(found["kappa"].baseline, abs=1e-9)
    assert found["kappa"].value > 1


@pytest.mark.parametrize(("spacing", "expected"), [(1.0, 0.0), (5.0, 1.0)])
def test_progressions_on_a_line(spacing: float, expected: float) -> None:
    """W_v = v e collides with P_p = p e; W_v = 5 v e leaves the sums one apart, as v 5 + p counts upwards."""
    w, p = line([spacing * v for v in range(6)]), line([0, 1, 2, 3, 4])
    found = separation(w, p, moments(w), moments(p))
    assert found["separation_mixed"].value == pytest.approx(expected, abs=1e-7)
    assert found["separation_token"].value == pytest.approx(spacing)
    assert found["separation_position"].value == pytest.approx(1)
    assert found["kappa"].value == pytest.approx(expected, abs=1e-7)


def test_equal_rows_leave_kappa_undefined() -> None:
    w, p = noise(9, 4, 0), noise(5, 4, 1)
    w[7] = w[2]
    found = separation(w, p, moments(w), moments(p), ids=torch.arange(100, 109))
    assert found["separation_token"].value == 0
    assert found["separation_token"].note.startswith("tokens 102 and 107;")
    assert found["kappa"].value is None
    assert found["kappa"].note == "two rows of a table are equal"


def test_a_search_cut_short_says_so_and_holds_the_truth() -> None:
    w, p = noise(600, 12, 0), noise(30, 12, 1)
    a, b = moments(w), moments(p)
    exact, short = separation(w, p, a, b), separation(w, p, a, b, work=1000)
    for name in ("separation_token", "separation_mixed", "kappa"):
        low, high = short[name].interval
        assert low <= exact[name].value <= high
        assert exact[name].interval == (exact[name].value, exact[name].value)
    assert short["kappa"].interval[0] < exact["kappa"].value
    assert "not finished" in short["separation_mixed"].note
    assert "certified" in exact["separation_mixed"].note
