"""The nearest pair against brute force over all pairs, ties and certificates included."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from locant.xray import nearest as module
from locant.xray.nearest import nearest_pairs, pair_index


def noise(rows: int, width: int, seed: int) -> Tensor:
    return torch.randn(rows, width, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))


def brute(x: Tensor, w: Tensor, p: Tensor) -> Tensor:
    """Squared distances (queries, V, N), pair by pair."""
    return (x[:, None, None] - w[:, None] - p).square().sum(-1)


@settings(max_examples=60, deadline=None)
@given(
    v=st.integers(1, 60),
    n=st.integers(2, 9),
    width=st.integers(1, 6),
    thin=st.sampled_from([1.0, 0.3, 0.01]),
    whole=st.booleans(),
    first=st.sampled_from([1, 3, 16]),
    size=st.sampled_from([10, 1000]),
    seed=st.integers(0, 999),
)
def test_it_is_exact(v: int, n: int, width: int, thin: float, whole: bool, first: int, size: int, seed: int) -> None:
    """Whatever the shapes: also when tables have equal rows, and when most queries need the second pass."""
    w, p, x = noise(v, width, seed), noise(n, width, seed + 1), 2 * noise(7, width, seed + 2)
    p[:, 1:] *= thin  # positions nearly on a line
    if whole:
        w, p, x = w.round(), p.round(), x.round()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "FIRST", first)
        patch.setattr(module.blocks, "__defaults__", (size,))
        found = nearest_pairs(x, pair_index(w, p))
    squares = brute(x, w, p)
    least = squares.flatten(1).amin(1)
    torch.testing.assert_close(found.distance.square(), least, rtol=0, atol=1e-10)
    torch.testing.assert_close(squares[torch.arange(7), found.token, found.position], least, rtol=0, atol=1e-10)
    assert found.ties.tolist() == (squares.flatten(1) <= least[:, None] + 1e-9).sum(1).tolist()
    assert (found.tried <= v).all()


def test_a_colliding_progression_has_two_unique_pairs_of_thirty() -> None:
    direction = torch.tensor([[0.0, 1.0, 0.0]])
    w, p = torch.arange(6.0)[:, None] * direction, torch.arange(5.0)[:, None] * direction
    sums = (w[:, None] + p).reshape(-1, 3)
    found = nearest_pairs(sums, pair_index(w, p))
    unique = (found.ties == 1).nonzero()[:, 0]
    assert unique.tolist() == [0, 29]  # 0 + 0 and 5 + 4
    assert (found.token[unique] * 5 + found.position[unique]).tolist() == [0, 29]
    assert found.distance.max() < 1e-6


def test_positions_on_a_plane_leave_one_token_to_try() -> None:
    w, p = noise(5000, 32, 0), noise(200, 32, 1)
    p[:, 2:] = 0
    pairs = torch.stack([torch.arange(0, 5000, 100), torch.arange(50) * 4])
    found = nearest_pairs(w[pairs[0]] + p[pairs[1]], pair_index(w, p))
    assert torch.equal(found.token, pairs[0])
    assert torch.equal(found.position, pairs[1])
    assert found.tried.tolist() == [1] * 50
    assert found.ties.tolist() == [1] * 50


def test_refusals() -> None:
    index = pair_index(noise(3, 4, 0), noise(3, 4, 1))
    with pytest.raises(ValueError, match=r"expected queries \(count, 4\), was: \(2, 5\)"):
        nearest_pairs(noise(2, 5, 0), index)
